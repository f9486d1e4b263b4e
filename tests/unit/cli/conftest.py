"""What commands meet that end before they connect to anything."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest


@pytest.fixture
def untouched() -> Iterator[str]:
    """An address where nobody may knock."""
    with socket.socket() as waiting:
        waiting.bind(("127.0.0.1", 0))
        waiting.listen()
        yield f"127.0.0.1:{waiting.getsockname()[1]}"
        waiting.setblocking(False)
        with pytest.raises(BlockingIOError):
            waiting.accept()
