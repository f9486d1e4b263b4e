"""What happens after the first stage."""

from __future__ import annotations

from sidecar.search.rerank.interpolate import interpolated, order_of_head
from sidecar.search.rerank.policy import Rerank

__all__ = ["Rerank", "interpolated", "order_of_head"]
