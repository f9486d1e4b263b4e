"""Installing from a Maven repository: a real one on the loopback interface, found as a mirror in `settings.xml`."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sidecar.engine.local import install as installing
from sidecar.engine.local.install import Jar, Lock, install, read_lock
from sidecar.errors import LocalNodeError

CONTENT = {name: f"the bytes of {name}".encode() * 500 for name in ("alpha", "beta", "gamma")}


def jar(name: str) -> Jar:
    return Jar(group="test.group", artifact=name, version="1.0", sha256=hashlib.sha256(CONTENT[name]).hexdigest())


def place(folder: Path, name: str) -> Path:
    return folder / "test" / "group" / name / "1.0" / f"{name}-1.0.jar"


class Quiet(SimpleHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012

    def log_message(self, format: str, *args: object) -> None:
        self.requests.append(self.path)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a Maven repository that is served, and a home directory that names it as its mirror."""
    folder = tmp_path / "repository"
    for name, content in CONTENT.items():
        place(folder, name).parent.mkdir(parents=True)
        place(folder, name).write_bytes(content)
    Quiet.requests.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    home = tmp_path / "home"
    (home / ".m2").mkdir(parents=True)
    (home / ".m2" / "settings.xml").write_text(
        '<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0"><mirrors><mirror><id>m</id><mirrorOf>*</mirrorOf>'
        f"<url>http://127.0.0.1:{server.server_port}/</url></mirror></mirrors></settings>"
    )
    monkeypatch.setenv("HOME", str(home))
    for name in ("M2_REPO", "JGO_CONFIG_FILE", "XDG_CONFIG_HOME", "JGO_CACHE_DIR", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(
        installing, "read_lock", lambda: Lock(main_class="Main", roots=("r",), jars=tuple(map(jar, CONTENT)))
    )
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".m2" / "repository"


def test_the_lock_lists_the_runner_and_the_cure_for_thai() -> None:
    lock = read_lock()
    listed = {str(jar) for jar in lock.jars}
    assert set(lock.roots) <= listed
    assert any("mapper-extras" in name for name in listed), "rank_features lives there"
    assert len(listed) == len(lock.jars)
    assert all(len(jar.sha256) == 64 for jar in lock.jars)


def test_an_empty_home_is_filled(repository: Path, cache: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = install(lambda done, total: seen.append((done, total)))
    assert [path.read_bytes() for path in found.class_path] == list(CONTENT.values())
    assert found.class_path[0] == place(cache, "alpha")
    assert found.java.is_file()
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_what_is_there_is_not_fetched_again(repository: Path) -> None:
    install()
    Quiet.requests.clear()
    install()
    assert Quiet.requests == []


@pytest.mark.parametrize("damage", [b"", b"the bytes of al", b"other bytes"])
def test_a_jar_that_was_cut_off_is_fetched_again(repository: Path, cache: Path, damage: bytes) -> None:
    install()
    place(cache, "alpha").write_bytes(damage)
    install()
    assert place(cache, "alpha").read_bytes() == CONTENT["alpha"]


def test_other_bytes_than_expected_are_refused_and_not_kept(repository: Path, cache: Path) -> None:
    place(repository, "beta").write_bytes(b"tampered")
    with pytest.raises(LocalNodeError, match=r"test\.group:beta:1\.0 arrived with other bytes"):
        install()
    assert not place(cache, "beta").exists()


def test_a_jar_that_is_nowhere(repository: Path) -> None:
    place(repository, "gamma").unlink()
    with pytest.raises(LocalNodeError, match=r"gamma:1\.0 could not be downloaded .*settings\.xml"):
        install()


def test_a_folder_that_cannot_be_written(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("M2_REPO", str(tmp_path / "file" / "inside"))
    with pytest.raises(LocalNodeError, match="M2_REPO"):
        install()


def test_m2_repo_is_respected(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M2_REPO", str(tmp_path / "elsewhere"))
    assert install().class_path[0] == place(tmp_path / "elsewhere", "alpha")


def test_jgos_own_repositories_win(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "home" / ".config" / "jgo.conf"
    config.parent.mkdir()
    config.write_text("[repositories]\ncentral = http://127.0.0.1:9/\n")
    with pytest.raises(LocalNodeError, match="could not be downloaded"):
        install()


@pytest.mark.parametrize(
    ("mirrored", "expected"),
    [
        ("central", "http://m/r"),
        ("*", "http://m/r"),
        ("a, central", "http://m/r"),
        ("*,!central", None),
        ("other", None),
    ],
)
def test_which_mirror_is_meant(tmp_path: Path, mirrored: str, expected: str | None) -> None:
    file = tmp_path / "settings.xml"
    mirror = f"<mirror><mirrorOf>{mirrored}</mirrorOf><url>http://m/r/</url></mirror>"
    file.write_text(f"<settings><mirrors>{mirror}</mirrors></settings>")
    assert installing._mirror_of_central(file) == expected


@pytest.mark.parametrize("content", ["<settings/>", "not xml", ""])
def test_settings_without_a_mirror(tmp_path: Path, content: str) -> None:
    file = tmp_path / "settings.xml"
    file.write_text(content)
    assert installing._mirror_of_central(file) is None
    assert installing._mirror_of_central(tmp_path / "absent.xml") is None


def test_a_download_that_breaks_off_leaves_no_jar(
    repository: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Quiet) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"half")
        self.close_connection = True

    monkeypatch.setattr(Quiet, "do_GET", broken)
    monkeypatch.setattr(installing._download.retry, "wait", lambda state: 0.0)
    with pytest.raises(LocalNodeError, match="could not be downloaded"):
        install()
    monkeypatch.undo()
    assert not list(cache.rglob("*.jar"))


def test_two_processes_at_once(repository: Path, cache: Path, tmp_path: Path) -> None:
    """Both install into the same empty folder, and both find whole jars."""
    lock = Lock(main_class="Main", roots=("r",), jars=tuple(map(jar, CONTENT)))
    script = (
        "import sys\n"
        "from sidecar.engine.local import install as installing\n"
        f"installing.read_lock = lambda: installing.Lock.model_validate_json({lock.model_dump_json()!r})\n"
        "print(*installing.install().class_path)\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert answers[0][0] == answers[1][0] != ""
    assert len([path for path in Quiet.requests if path.endswith("alpha-1.0.jar")]) == 1
