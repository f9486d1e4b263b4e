"""What is done to a cluster: setting indices up and tearing them down, writing documents."""

from __future__ import annotations

from sidecar.cluster.blocking_writer import SparseWriter
from sidecar.cluster.connectors import ConnectorSpec
from sidecar.cluster.dead_letters import DeadLetters
from sidecar.cluster.index import IndexRun
from sidecar.cluster.index_summary import IndexOptions, IndexSummary
from sidecar.cluster.models import encoder_of_index, pick_encoder
from sidecar.cluster.reading import Source, open_source
from sidecar.cluster.setup import SetupPlan, plan_setup, set_up
from sidecar.cluster.spec import IndexSpec
from sidecar.cluster.teardown import TeardownPlan, plan_teardown, tear_down
from sidecar.cluster.writer import AsyncSparseWriter, WriteOutcome, WriterOptions

__all__ = [
    "AsyncSparseWriter",
    "ConnectorSpec",
    "DeadLetters",
    "IndexOptions",
    "IndexRun",
    "IndexSpec",
    "IndexSummary",
    "SetupPlan",
    "Source",
    "SparseWriter",
    "TeardownPlan",
    "WriteOutcome",
    "WriterOptions",
    "encoder_of_index",
    "open_source",
    "pick_encoder",
    "plan_setup",
    "plan_teardown",
    "set_up",
    "tear_down",
]
