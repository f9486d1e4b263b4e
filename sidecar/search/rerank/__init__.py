"""What happens after the first stage."""

from __future__ import annotations

from sidecar.search.rerank.early_stop import is_settled
from sidecar.search.rerank.interpolate import (
    interpolated,
    mixed_with_probabilities,
    order_by_probability,
    order_of_head,
)
from sidecar.search.rerank.policy import Rerank

__all__ = [
    "Rerank",
    "interpolated",
    "is_settled",
    "mixed_with_probabilities",
    "order_by_probability",
    "order_of_head",
]
