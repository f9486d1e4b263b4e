"""What an evaluation found, as data: this is the JSON file."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict

from sidecar.engine import PassageRule
from sidecar.errors import EvaluationError
from sidecar.evaluation.environment import Environment
from sidecar.evaluation.significance import Comparison
from sidecar.evaluation.statistics import Latency

__all__ = ["CollectionReport", "EvaluationReport", "ModelReport", "ProfileReport", "VectorReport"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelReport(_Frozen):
    """A model that the sidecar served."""

    name: str
    kind: str
    fingerprint: str
    quantization: str


class VectorReport(_Frozen):
    """Figures of the sparse vectors: `documents_sampled` documents, all judged queries; see `statistics.flops`.

    With passages, `mean_document_terms` is the sum over all of a document's vectors. None: the index keeps no vectors
    that can be read.
    """

    documents_sampled: int
    mean_document_vectors: float | None = 1.0
    mean_document_terms: float | None
    mean_query_terms: float
    flops: float | None


class ProfileReport(_Frozen):
    """One profile on one collection.

    `latency_ms` is what a caller waits for the first 10 hits, one at a time; `stages_ms` its parts (means).
    `against_baseline` compares nDCG@10 with the evaluation's baseline, query by query. `without_terms`: queries that
    the encoder found no term in.
    """

    profile: str
    settings: Mapping[str, object]
    means: Mapping[str, float]
    latency_ms: Latency
    latency_queries: int
    stages_ms: Mapping[str, float]
    without_terms: int = 0
    against_baseline: Comparison | None = None
    per_query: Mapping[str, Mapping[str, float]] | None = None


class CollectionReport(_Frozen):
    """One collection: its index, its vectors, and every profile. `passages` None: a document has one vector.

    `queries_without_relevant` count as 0 in every mean, whatever a profile answers.
    `missing_documents` are judged and not in the corpus; `queries_missing_relevant` counts the queries that one of them
    is relevant for. `index`: the name of one that existed before, which was only read. What is only known of an index
    that was made for this is None there; `documents_without_vector` is only counted there, and `index_bytes` is None
    where the user may not see it.
    """

    collection: str
    index: str | None = None
    split: str
    documents: int
    empty_documents: int | None = None
    documents_without_vector: int | None = None
    missing_documents: int = 0
    queries: int
    queries_missing_relevant: int = 0
    queries_without_relevant: int = 0
    removed_own_documents: int
    index_bytes: int | None
    documents_truncated: int | None = None
    documents_per_second: float | None = None
    passages: PassageRule | None = None
    vectors: VectorReport
    profiles: tuple[ProfileReport, ...]


class EvaluationReport(_Frozen):
    """A whole evaluation, with what it ran on. `baseline`: the profile that the others are compared with."""

    schema_version: int = 4
    created: str
    environment: Environment
    engine: str
    baseline: str | None = None
    models: tuple[ModelReport, ...]
    collections: tuple[CollectionReport, ...]

    def mean(self, profile: str, measure: str) -> float:
        """Return the mean of a measure over all collections, each counting the same."""
        values = [
            found.means[measure]
            for collection in self.collections
            for found in collection.profiles
            if found.profile == profile
        ]
        if not values:
            raise EvaluationError(f"The profile {profile} was not evaluated.")
        return statistics.fmean(values)

    @property
    def profiles(self) -> Sequence[str]:
        """Names of the profiles, in the order of the first collection."""
        return [found.profile for found in self.collections[0].profiles] if self.collections else []

    @staticmethod
    def check_writable(path: Path) -> None:
        """Raise EvaluationError where `write` would: hours of work should not end there. Makes the folder."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvaluationError(f"The report {path} can't be written: {error.strerror}.") from error
        if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
            raise EvaluationError(f"The report {path} can't be written: it is a folder, or lies in one that is closed.")

    def write(self, path: Path) -> None:
        """Write the JSON file; raise EvaluationError where it can't be written."""
        means = {
            profile: {name: self.mean(profile, name) for name in self.collections[0].profiles[0].means}
            for profile in self.profiles
        }
        data = {**self.model_dump(mode="json", exclude_none=True), "means": means}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            raise EvaluationError(f"The report {path} can't be written: {error.strerror}.") from error
