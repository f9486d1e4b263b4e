"""From a query's vector to the one with feedback: what is read, in every dialect, and what each failure becomes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from sidecar.domain import EncodeResult, JsonObject, SparseVector
from sidecar.engine import IndexMeta, PassageRule, dialect_of
from sidecar.errors import (
    EngineOverloaded,
    EngineRejected,
    EngineUnavailable,
    FingerprintMismatch,
    IndexNotFound,
    Overloaded,
    SidecarError,
    SidecarUnavailable,
    wire_error,
)
from sidecar.search import NO_STORED_VECTORS, Profile, Rocchio
from sidecar.search.degradation import Deadline, Degraded
from sidecar.search.expansion import QueryExpander
from sidecar.search.feedback import FeedbackDocument
from sidecar.search.profile import Sparse
from sidecar.search.retrieval import FirstStage
from tests.unit.search.test_term_weights import OLD, Record, Table, model

VECTOR = SparseVector((7, 3), (2.0, 1.0), ("wolf", "u.s."))
DOCUMENTS = (
    ("first", 4.0, SparseVector((7, 4, 9), (1.5, 1.0, 0.5), ("wolf", "snow", "##s")), "two wolves in the snow"),
    ("second", 2.0, SparseVector((3, 4, 11), (2.0, 0.5, 0.25), ("u.s.", "snow", "a.b")), "snow"),
)
RULE = Rocchio(documents=2, terms=10, weight=0.5, sharpness=1.0, timeout=5.0)


class Cluster:
    """Stands where the cluster is: answers every search with the same hits."""

    search_parameters: Mapping[str, str] = {}

    def __init__(self, hits: Sequence[JsonObject], error: SidecarError | None = None, seconds: float = 0.0) -> None:
        self.hits, self.error, self.seconds = hits, error, seconds
        self.asked: list[tuple[str, JsonObject]] = []

    async def read(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        *,
        timeout: float | None = None,
    ) -> JsonObject:
        self.asked.append((path, body or {}))
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return {"took": 1, "timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": list(self.hits)}}


def meta(dialect: str = "rank_features", **changes: object) -> IndexMeta:
    return IndexMeta(fingerprint=OLD, bundle="starter", dialect=dialect, **changes)


def hits(kept: IndexMeta) -> list[JsonObject]:
    """The documents as a cluster would tell them, in an index's own dialect."""
    found: list[JsonObject] = []
    for name, score, vector, text in DOCUMENTS:
        features = dialect_of(kept).document_features(vector, OLD)
        hit: dict[str, object] = {"_id": name, "_index": "articles-1", "_score": score}
        if kept.passages is None:
            hit["_source"] = {kept.vector_field: features, "text": text}
        else:
            inner = {"hits": {"hits": [{"_score": score, "_source": {"vector": features, "text": text}}]}}
            hit["inner_hits"] = {kept.vector_field: inner}
        found.append(hit)
    return found


def expander(cluster: Cluster, sidecar: Table, rule: Rocchio = RULE) -> QueryExpander:
    retriever = Sparse(feedback=rule)
    first = FirstStage(cluster, "articles", Profile(name="fed", retrievers=(retriever,)))
    return QueryExpander(cluster, "articles", sidecar, retriever, rule, first)


async def expanded(cluster: Cluster, sidecar: Table, kept: IndexMeta | None = None, limit: int = 1_000, seconds=10.0):
    record = Record()
    record.meta = kept or meta()
    clause = {"term": {"kind": "odd"}}
    return await expander(cluster, sidecar).expand(VECTOR, [clause], record, Deadline(seconds), limit)


DIALECTS = ("rank_features", "rank_features_saturation", "neural_sparse", "elasticsearch", "seismic")
WANTED = RULE.expanded(
    {"wolf": 2.0, "u.s.": 1.0},
    [
        FeedbackDocument(4.0, {"wolf": 3.0, "snow": 1.0, "##s": 0.25}),
        # Neither text says `u.s.` nor `a.b`: what a query would give them is not known.
        FeedbackDocument(2.0, {"snow": 0.5}),
    ],
    1_000,
)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_dialect_is_read_back(dialect: str) -> None:
    cluster = Cluster(hits(meta(dialect)))
    found = await expanded(cluster, Table(), meta(dialect))
    assert found.degraded is None
    assert found.vector.by_term() == pytest.approx(WANTED)
    assert dict(zip(found.vector.terms, found.vector.term_ids, strict=True)) == {
        "wolf": 7,
        "u.s.": 3,
        "snow": 4,
        "##s": 9,
    }
    assert list(found.vector.weights) == sorted(found.vector.weights, reverse=True)
    assert found.indices == (frozenset({"articles-1"}),)
    assert not found.partial
    # The cluster takes the new query as it took the old one.
    assert dialect_of(meta(dialect)).sparse_query("splade", found.vector)


async def test_one_request_for_the_vectors_and_the_texts_alone() -> None:
    cluster = Cluster(hits(meta()))
    await expanded(cluster, Table())
    ((path, body),) = cluster.asked
    assert path == "/articles/_search"
    assert body["size"] == 2
    assert body["_source"] == {"includes": ["splade", "title", "text"]}
    assert body["query"]["bool"]["filter"] == [{"term": {"kind": "odd"}}]


async def test_of_a_document_with_passages_the_best_one_counts() -> None:
    kept = meta(passages=PassageRule(), vector_field="splade_passages")
    cluster = Cluster(hits(kept))
    found = await expanded(cluster, Table(), kept)
    assert found.vector.by_term() == pytest.approx(WANTED)
    ((_, body),) = cluster.asked
    assert body["_source"] is False
    (clause,) = body["query"]["bool"]["must"]
    assert clause["nested"]["inner_hits"] == {
        "size": 1,
        "_source": {"includes": ["splade_passages.vector", "splade_passages.text"]},
    }


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_model_that_reads_its_queries_takes_the_documents_own_weights(dialect: str) -> None:
    found = await expanded(Cluster(hits(meta(dialect))), Table(model(query_mode="neural")), meta(dialect))
    wanted = RULE.expanded(
        {"wolf": 2.0, "u.s.": 1.0}, [FeedbackDocument(score, one.by_term()) for _, score, one, _ in DOCUMENTS], 1_000
    )
    names = {"4": "snow", "9": "##s", "11": "a.b"}
    assert {names.get(term, term): weight for term, weight in found.vector.by_term().items()} == pytest.approx(wanted)
    assert len(set(found.vector.term_ids)) == len(found.vector)
    # Where features are ids they are the terms' own; elsewhere nobody knows them, and they are nobody's.
    new = {term_id for term, term_id in zip(found.vector.terms, found.vector.term_ids, strict=True)} - {7, 3}
    assert new == {4, 9, 11} if dialect == "seismic" else all(term_id < 0 for term_id in new)
    assert dialect_of(meta(dialect)).sparse_query("splade", found.vector)


async def test_the_limit_holds_and_the_query_stays() -> None:
    found = await expanded(Cluster(hits(meta())), Table(), limit=3)
    assert set(found.vector.terms) == {"wolf", "u.s.", "snow"}
    full = await expanded(Cluster(hits(meta())), Table(), limit=1)
    assert set(full.vector.terms) == {"wolf", "u.s."}


@pytest.mark.parametrize(
    "source", [{"text": "two wolves"}, {"splade": None, "text": "two wolves"}, {}], ids=["left out", "null", "nothing"]
)
async def test_one_document_without_a_stored_vector_is_enough(source: JsonObject) -> None:
    bare = [*hits(meta())[:1], {"_id": "bare", "_index": "articles-2", "_score": 1.0, "_source": source}]
    table = Table()
    found = await expanded(Cluster(bare), table)
    assert found.degraded == Degraded("feedback", NO_STORED_VECTORS)
    assert found.vector == VECTOR
    assert found.indices == (frozenset({"articles-1", "articles-2"}),)
    assert table.calls == []


async def test_no_hits_are_no_failure() -> None:
    found = await expanded(Cluster([]), Table())
    assert (found.vector, found.degraded, found.indices) == (VECTOR, None, (frozenset(),))


async def test_a_partial_first_pass_is_said() -> None:
    class Limping(Cluster):
        async def read(self, *arguments, **options) -> JsonObject:
            return {**await super().read(*arguments, **options), "_shards": {"failed": 1}}

    found = await expanded(Limping(hits(meta())), Table())
    assert found.partial
    assert found.vector != VECTOR


@pytest.mark.parametrize("error", [EngineUnavailable("away"), EngineOverloaded("full")])
async def test_a_cluster_that_is_late_or_full_costs_the_feedback(error: SidecarError) -> None:
    found = await expanded(Cluster([], error), Table())
    assert found.degraded == Degraded("feedback", wire_error(error).reason)
    assert found.vector == VECTOR


@pytest.mark.parametrize("error", [EngineRejected("wrong filter"), IndexNotFound("gone")])
async def test_what_the_search_itself_would_raise_is_raised(error: SidecarError) -> None:
    with pytest.raises(type(error)):
        await expanded(Cluster([], error), Table())


@pytest.mark.parametrize("error", [Overloaded("full"), SidecarUnavailable("gone"), FingerprintMismatch("another")])
async def test_whatever_the_sidecar_does_costs_the_feedback(error: SidecarError) -> None:
    class Failing(Table):
        async def encode(self, texts: Sequence[str], **options: object) -> EncodeResult:
            raise error

    found = await expanded(Cluster(hits(meta())), Failing())
    assert found.degraded == Degraded("feedback", wire_error(error).reason)
    assert found.vector == VECTOR


async def test_half_of_what_is_left_belongs_to_the_second_pass() -> None:
    deadline = Deadline(0.2)
    found = await expander(Cluster(hits(meta()), seconds=60.0), Table()).expand(VECTOR, [], Record(), deadline)
    assert found.degraded == Degraded("feedback", "DEADLINE_EXCEEDED")
    assert found.vector == VECTOR


async def test_its_own_limit_holds_where_there_is_time_enough() -> None:
    cluster = Cluster(hits(meta()), seconds=60.0)
    hurried = expander(cluster, Table(), RULE.model_copy(update={"timeout": 0.05}))
    found = await hurried.expand(VECTOR, [], Record(), Deadline(600.0))
    assert found.degraded == Degraded("feedback", "DEADLINE_EXCEEDED")
