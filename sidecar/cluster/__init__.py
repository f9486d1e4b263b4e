"""What is done to a cluster: setting indices up and tearing them down, indexing documents."""

from __future__ import annotations

from sidecar.cluster.connectors import ConnectorSpec
from sidecar.cluster.dead_letters import DeadLetters
from sidecar.cluster.index import IndexOptions, IndexRun, IndexSummary
from sidecar.cluster.models import encoder_of_index, pick_encoder
from sidecar.cluster.reading import Source, open_source
from sidecar.cluster.setup import SetupPlan, plan_setup, set_up
from sidecar.cluster.spec import IndexSpec
from sidecar.cluster.teardown import TeardownPlan, plan_teardown, tear_down

__all__ = [
    "ConnectorSpec",
    "DeadLetters",
    "IndexOptions",
    "IndexRun",
    "IndexSpec",
    "IndexSummary",
    "SetupPlan",
    "Source",
    "TeardownPlan",
    "encoder_of_index",
    "open_source",
    "pick_encoder",
    "plan_setup",
    "plan_teardown",
    "set_up",
    "tear_down",
]
