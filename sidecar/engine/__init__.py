"""Search-engine adapters and dialects; the local OpenSearch node is in `sidecar.engine.local`."""

from __future__ import annotations

from sidecar.engine.bulk import BulkAction, BulkItem, BulkOperation
from sidecar.engine.bulk_writer import BulkPolicy
from sidecar.engine.checkpoints import Checkpoints
from sidecar.engine.detection import DialectChoice, choose_dialect
from sidecar.engine.dialect import DIALECTS, Dialect, dialect_for, dialect_named
from sidecar.engine.engine import Engine
from sidecar.engine.frequencies import CollectionFrequencies
from sidecar.engine.load import ClusterLoad
from sidecar.engine.meta import META_KEY, IndexMeta
from sidecar.engine.migration import MIGRATION_KEY, MigrationRecord, MigrationState
from sidecar.engine.names import require_new_name, require_one_name
from sidecar.engine.passage_field import PassageField, dialect_of, own_fields, vector_fields
from sidecar.engine.passages import EncodedPassage, Passage, PassageRule
from sidecar.engine.rank_features import RankFeatures
from sidecar.engine.responses import Hit, SearchResponse
from sidecar.engine.scan import Scan, ScanSpec
from sidecar.engine.stored import StoredDocument
from sidecar.engine.versions import ClusterInfo, Distribution

__all__ = [
    "DIALECTS",
    "META_KEY",
    "MIGRATION_KEY",
    "BulkAction",
    "BulkItem",
    "BulkOperation",
    "BulkPolicy",
    "Checkpoints",
    "ClusterInfo",
    "ClusterLoad",
    "CollectionFrequencies",
    "Dialect",
    "DialectChoice",
    "Distribution",
    "EncodedPassage",
    "Engine",
    "Hit",
    "IndexMeta",
    "MigrationRecord",
    "MigrationState",
    "Passage",
    "PassageField",
    "PassageRule",
    "RankFeatures",
    "Scan",
    "ScanSpec",
    "SearchResponse",
    "StoredDocument",
    "choose_dialect",
    "dialect_for",
    "dialect_named",
    "dialect_of",
    "own_fields",
    "require_new_name",
    "require_one_name",
    "vector_fields",
]
