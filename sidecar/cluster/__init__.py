"""What is done to a cluster: setting indices up, indexing documents."""

from __future__ import annotations

from sidecar.cluster.dead_letters import DeadLetters
from sidecar.cluster.index import IndexOptions, IndexRun, IndexSummary
from sidecar.cluster.models import encoder_of_index, pick_encoder
from sidecar.cluster.reading import Source, open_source
from sidecar.cluster.setup import IndexSpec, SetupPlan, plan_setup, set_up

__all__ = [
    "DeadLetters",
    "IndexOptions",
    "IndexRun",
    "IndexSpec",
    "IndexSummary",
    "SetupPlan",
    "Source",
    "encoder_of_index",
    "open_source",
    "pick_encoder",
    "plan_setup",
    "set_up",
]
