import os

import pytest

from sidecar.inference.cpu import available_cpus, cgroup_cpus


@pytest.fixture
def host(tmp_path):
    """A machine's cgroup files: `write(path, text)` under its root, `own(text)` for /proc/self/cgroup."""

    class Host:
        root = tmp_path / "cgroup"
        membership = tmp_path / "self"

        def write(self, path, text):
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

        def own(self, text):
            self.membership.write_text(text)

        def quota(self):
            return cgroup_cpus(root=self.root, own=self.membership)

        def cpus(self):
            return available_cpus(root=self.root, own=self.membership)

    return Host()


def test_version_2_in_a_container(host):
    host.own("0::/\n")
    host.write("cpu.max", "150000 100000\n")
    assert host.quota() == 1.5


def test_version_2_takes_the_tightest_of_all_ancestors(host):
    host.own("0::/kubepods/pod1/app\n")
    host.write("kubepods/pod1/app/cpu.max", "max 100000\n")
    host.write("kubepods/pod1/cpu.max", "50000 100000\n")
    host.write("kubepods/cpu.max", "400000 100000\n")
    assert host.quota() == 0.5


def test_version_1_joined_and_single_controllers(host):
    host.own("4:memory:/x\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n")
    host.write("cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "250000\n")
    host.write("cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n")
    assert host.quota() == 2.5
    host.own("3:cpu:/\n")
    host.write("cpu/cpu.cfs_quota_us", "70000\n")
    host.write("cpu/cpu.cfs_period_us", "100000\n")
    assert host.quota() == 0.7


def test_version_1_path_of_the_host_that_the_container_does_not_see(host):
    host.own("3:cpu,cpuacct:/docker/abc\n")
    host.write("cpu,cpuacct/cpu.cfs_quota_us", "300000\n")
    host.write("cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    assert host.quota() == 3.0


def test_a_hybrid_machine_takes_the_tighter_one(host):
    host.own("3:cpu:/\n0::/\n")
    host.write("cpu/cpu.cfs_quota_us", "300000\n")
    host.write("cpu/cpu.cfs_period_us", "100000\n")
    host.write("cpu.max", "200000 100000\n")
    assert host.quota() == 2.0


@pytest.mark.parametrize("text", ["max 100000\n", "", "nonsense\n", "100000 0\n", "a b\n"])
def test_no_quota_where_none_can_be_read(host, text):
    host.own("0::/\n")
    host.write("cpu.max", text)
    assert host.quota() is None


def test_version_1_unlimited(host):
    host.own("3:cpu:/\n")
    host.write("cpu/cpu.cfs_quota_us", "-1\n")
    host.write("cpu/cpu.cfs_period_us", "100000\n")
    assert host.quota() is None


def test_no_cgroup_files_at_all(host):
    assert host.quota() is None
    assert host.cpus() == len(os.sched_getaffinity(0))


def test_a_path_can_not_climb_out(host):
    host.own("0::/../../..\n")
    host.write("cpu.max", "100000 100000\n")
    assert host.quota() == 1.0


@pytest.mark.parametrize(("quota", "cpus"), [(1, 1), (50_000, 1), (100_001, 2), (100_000 * 4_096, None)])
def test_the_quota_is_rounded_up_and_bounded_by_affinity(host, monkeypatch, quota, cpus):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    host.own("0::/\n")
    host.write("cpu.max", f"{quota} 100000\n")
    assert host.cpus() == (cpus or 8)


def test_affinity_counts_not_the_hosts_cores(host, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    monkeypatch.setattr(os, "cpu_count", lambda: 128)
    assert host.cpus() == 1


def test_on_this_machine():
    assert 1 <= available_cpus() <= len(os.sched_getaffinity(0))
