"""What can go wrong in a benchmark."""

from __future__ import annotations

from sidecar.errors import SidecarError

__all__ = ["BenchmarkFailed", "PeerUnavailable"]


class BenchmarkFailed(SidecarError):
    """A benchmark could not be run."""


class PeerUnavailable(BenchmarkFailed):
    """A peer is not installed, or does not work with this model: its rows stay empty, with the reason."""
