"""Rolling another model out in an index of its own, to which an alias is pointed by one request.

start -> copying -> verify -> swap -> (rollback -> swap) -> drop, or abort before a swap. What has been done is in the
two indices and the alias alone: every step can be killed and repeated.
"""

from __future__ import annotations

from sidecar.cluster.mirror import CopyRun, Pair, find_pair
from sidecar.cluster.second_index.checking import (
    SecondIndexStatus,
    mark_second_index_verified,
    second_index_status,
    verify_second_index,
)
from sidecar.cluster.second_index.opening import SecondIndexPlan, plan_second_index, start_second_index
from sidecar.cluster.second_index.removing import IndexRemoved, abort_second_index, drop_first_index
from sidecar.cluster.second_index.switching import BLOCK_SECONDS, clear_up, roll_indices_back, swap_indices

__all__ = [
    "BLOCK_SECONDS",
    "CopyRun",
    "IndexRemoved",
    "Pair",
    "SecondIndexPlan",
    "SecondIndexStatus",
    "abort_second_index",
    "clear_up",
    "drop_first_index",
    "find_pair",
    "mark_second_index_verified",
    "plan_second_index",
    "roll_indices_back",
    "second_index_status",
    "start_second_index",
    "swap_indices",
    "verify_second_index",
]
