"""The file that says a sidecar is ready, and on which ports: written once, and taken away by whoever wrote it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import structlog

from sidecar.errors import SettingsInvalid

__all__ = ["ReadyFile"]

log = structlog.get_logger(__name__)


class ReadyFile:
    """Holds the file open and locked as long as it stands: a lock ends with its process, however that ends.

    Without a path, nothing is written and nothing removed.

    Usage:
        ready = ReadyFile(Path("/run/sidecar.json"))
        ready.check()                # before the models are loaded
        ready.remove_stale()         # once the ports are known to be ours
        ready.write(b"{}")
        ready.remove()
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._written: int | None = None

    def check(self) -> None:
        """Raise SettingsInvalid where the file could not be written."""
        if self._path is not None:
            os.close(self._try_out(self._path))
            self._unfinished(self._path).unlink(missing_ok=True)

    def remove_stale(self) -> None:
        """Remove the file of a sidecar that was killed: whoever waits for this one would read its ports."""
        if self._path is None:
            return
        try:
            found = os.open(self._path, os.O_RDONLY)
        except OSError:
            return
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._path.unlink(missing_ok=True)
        except BlockingIOError:
            log.warning("the ready file belongs to another sidecar that runs", path=str(self._path))
        except OSError as error:
            log.warning("a ready file was found and can't be removed", path=str(self._path), error=error.strerror)
        finally:
            os.close(found)

    def write(self, content: bytes) -> None:
        """Write the file in one step: whoever waits for it must never read half of it. Raises SettingsInvalid."""
        if self._path is None:
            return
        written = self._try_out(self._path)
        unfinished = self._unfinished(self._path)
        try:
            os.write(written, content)
            unfinished.replace(self._path)
        except OSError as error:
            os.close(written)
            unfinished.unlink(missing_ok=True)
            raise self._refused(error) from None
        self._written = written

    def remove(self) -> None:
        """Remove the file if this object wrote it and nobody has replaced it since."""
        if self._path is None or self._written is None:
            return
        written, self._written = self._written, None
        try:
            if os.path.samestat(os.fstat(written), os.stat(self._path)):
                self._path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("the ready file can't be removed", path=str(self._path), error=error.strerror)
        finally:
            os.close(written)

    def _try_out(self, path: Path) -> int:
        """Create the unfinished file, locked where the file system has locks; return its descriptor."""
        try:
            if path.is_dir():
                raise IsADirectoryError(0, "it is a folder")
            opened = os.open(self._unfinished(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        except OSError as error:
            raise self._refused(error) from None
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            log.debug("the ready file can't be locked", path=str(path), error=error.strerror)
        return opened

    def _refused(self, error: OSError) -> SettingsInvalid:
        return SettingsInvalid(f"ready_file {self._path} can't be written: {error.strerror}.", field="ready_file")

    @staticmethod
    def _unfinished(path: Path) -> Path:
        return path.with_name(f".{path.name}.{os.getpid()}")
