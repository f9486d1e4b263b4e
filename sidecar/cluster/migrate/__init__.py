"""Rolling another model out on an index that is searched meanwhile, and dropping the old one.

start -> filling -> verify -> swap -> (rollback -> swap) -> drop, or abort before a swap. What has been done is in the
index alone: every step can be killed and repeated.
"""

from __future__ import annotations

from sidecar.cluster.migrate.counts import FieldCounts, MigrationStatus, status
from sidecar.cluster.migrate.filling import count_frequencies, filling
from sidecar.cluster.migrate.opening import Candidate, StartPlan, plan_start, start
from sidecar.cluster.migrate.removing import SETTLE_SECONDS, Removed, abort, drop
from sidecar.cluster.migrate.sample import Sample
from sidecar.cluster.migrate.switching import rollback, swap
from sidecar.cluster.migrate.verifying import Verification, VerifyOptions, mark_verified, verify

__all__ = [
    "SETTLE_SECONDS",
    "Candidate",
    "FieldCounts",
    "MigrationStatus",
    "Removed",
    "Sample",
    "StartPlan",
    "Verification",
    "VerifyOptions",
    "abort",
    "count_frequencies",
    "drop",
    "filling",
    "mark_verified",
    "plan_start",
    "rollback",
    "start",
    "status",
    "swap",
    "verify",
]
