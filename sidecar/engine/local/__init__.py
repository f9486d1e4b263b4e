"""A real OpenSearch on this machine, from packages alone: the default of the demo and of the tests."""

from __future__ import annotations

from sidecar.engine.local.node import LocalNode

__all__ = ["LocalNode"]
