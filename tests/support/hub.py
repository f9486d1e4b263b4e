"""A model hub on the loopback interface: the endpoints that huggingface_hub calls, and what they refuse.

GET  /api/models/{repository}[/revision/{revision}]     the commit of a revision
GET  /api/models/{repository}/tree/{commit}             the list of files
HEAD, GET /{repository}/resolve/{revision}/{path}       a file, with ETag and X-Repo-Commit
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["Hub", "Repository", "files_of", "hub"]


def files_of(folder: Path) -> dict[str, bytes]:
    """Return `{relative path: bytes}` of a checkpoint folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@dataclass
class Repository:
    """A repository: its commits, its branches and tags, and who may read it."""

    commits: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    gated: bool = False
    status: int | None = None

    def commit(self, files: Mapping[str, bytes], reference: str = "main") -> str:
        """Add a commit, move `reference` to it, and return its hash."""
        digest = hashlib.sha1(usedforsecurity=False)
        for path, content in sorted(files.items()):
            digest.update(path.encode() + b"\0" + content)
        sha = digest.hexdigest()
        self.commits[sha] = files
        self.references[reference] = sha
        return sha


@dataclass
class Hub:
    """The server's address, its repositories, and every request it saw as (method, path, authorization)."""

    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)

    def downloads(self) -> list[str]:
        """Return the paths of the files whose content was fetched."""
        return [path.split("/resolve/")[1].partition("/")[2] for method, path, _ in self.requests
                if method == "GET" and "/resolve/" in path]  # fmt: skip


_API = re.compile(r"^/api/models/(?P<repository>[^/]+/[^/]+)(?:/(?P<what>revision|tree)/(?P<revision>[^/]+))?$")
_FILE = re.compile(r"^/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)$")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def log_message(self, format: str, *arguments: object) -> None:
        del format, arguments

    def _serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        authorization = self.headers.get("Authorization")
        self.hub.requests.append((self.command, path, authorization))
        match = _API.match(path) or _FILE.match(path)
        repository = self.hub.repositories.get(match["repository"]) if match else None
        if match is None or repository is None:
            return self._refuse(404, "RepoNotFound")
        if repository.status is not None:
            return self._refuse(repository.status, None)
        allowed = repository.token is None or authorization == f"Bearer {repository.token}"
        if not allowed and repository.gated:
            return self._refuse(401 if authorization is None else 403, "GatedRepo")
        if not allowed:
            return self._refuse(401 if authorization is None else 403, None)
        revision = match["revision"] or "main"
        sha = repository.references.get(revision, revision)
        files = repository.commits.get(sha)
        if files is None:
            return self._refuse(404, "RevisionNotFound")
        if match.re is _FILE:
            return self._file(files, match["path"], sha)
        if match["what"] == "tree":
            return self._json(
                [{"type": "file", "path": name, "size": len(data), "oid": _oid(data)} for name, data in files.items()]
            )
        return self._json(
            {
                "_id": "0",
                "id": match["repository"],
                "modelId": match["repository"],
                "sha": sha,
                "private": False,
                "siblings": [{"rfilename": name} for name in files],
            }
        )

    def _file(self, files: Mapping[str, bytes], path: str, sha: str) -> None:
        if path not in files:
            return self._refuse(404, "EntryNotFound")
        content = files[path]
        headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        return self._answer(200, content, {**headers, "Content-Type": "application/octet-stream"})

    def _json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str | None) -> None:
        headers = {"X-Error-Code": code} if code else {"X-Error-Message": "Invalid credentials in Authorization header"}
        self._answer(status, json.dumps({"error": "refused"}).encode(), {"Content-Type": "application/json", **headers})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _oid(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


@contextmanager
def hub() -> Iterator[Hub]:
    """Serve a hub without repositories until the block ends."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield handler.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
