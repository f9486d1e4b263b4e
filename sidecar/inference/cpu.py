"""How many CPUs this process may really use: affinity and cgroup quota, never the host's core count."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

__all__ = ["available_cpus", "cgroup_cpus"]

CGROUP_ROOT = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")

_Reader = Callable[[Path], "float | None"]


def available_cpus(*, root: Path = CGROUP_ROOT, own: Path = OWN_CGROUPS) -> int:
    """Return the CPUs of the affinity mask, or the cgroup quota rounded up where that is less; at least 1."""
    mask = len(os.sched_getaffinity(0))
    quota = cgroup_cpus(root=root, own=own)
    return mask if quota is None else max(1, min(mask, math.ceil(quota)))


def cgroup_cpus(*, root: Path = CGROUP_ROOT, own: Path = OWN_CGROUPS) -> float | None:
    """Return the smallest CPU quota of this process's cgroup and its ancestors, or None where there is none.

    Reads `cpu.max` (v2) and `cpu.cfs_quota_us` / `cpu.cfs_period_us` (v1) under `root`; `own` lists the process's
    cgroups (`/proc/self/cgroup`). In a container with a cgroup namespace the process's own group is the root.
    """
    quotas: list[float] = []
    for controllers, path in _own_cgroups(own):
        if controllers == ():
            quotas.extend(_quotas(root, path, _quota_v2))
        elif "cpu" in controllers:
            for mount in ("cpu,cpuacct", "cpu"):
                quotas.extend(_quotas(root / mount, path, _quota_v1))
    return min(quotas, default=None)


def _own_cgroups(own: Path) -> list[tuple[tuple[str, ...], PurePosixPath]]:
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    found: list[tuple[tuple[str, ...], PurePosixPath]] = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if separator:
            found.append((tuple(name for name in controllers.split(",") if name), PurePosixPath(path)))
    return found


def _quotas(mount: Path, path: PurePosixPath, read: _Reader) -> list[float]:
    folder = mount.joinpath(*(part for part in path.parts if part not in ("/", "..")))
    folders = [folder, *folder.parents[: len(folder.parts) - len(mount.parts)]]
    return [quota for each in folders if (quota := read(each)) is not None]


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
