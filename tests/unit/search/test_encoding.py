"""The handshake: which model a query may be encoded by, and what each failure becomes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sidecar.domain import (
    EncodeResult,
    Encoding,
    ModelInfo,
    ModelKind,
    Pruning,
    PruningType,
    RerankResult,
    Side,
    SparseVector,
    Windows,
)
from sidecar.engine import CollectionFrequencies, IndexMeta
from sidecar.errors import (
    WIRE,
    FingerprintMismatch,
    InvalidInput,
    SidecarError,
    SidecarUnavailable,
    UnknownModel,
    WrongModelKind,
)
from sidecar.search.degradation import NO_QUERY_TERMS, Degraded
from sidecar.search.encoding import IndexRecord, QueryEncoder
from sidecar.search.profile import QueryPruning, Sparse

WINDOWS = Windows()
OLD, NEW = "0" * 64, "1" * 64
VECTOR = SparseVector((7, 3), (2.0, 1.0), ("wolf", "river"))
RAISED = (InvalidInput, FingerprintMismatch, WrongModelKind)


def served(name: str, kind: ModelKind = ModelKind.SPARSE_ENCODER) -> ModelInfo:
    return ModelInfo(name, kind, OLD, "Apache-2.0", 512, 100, "int8")


class Mapping:
    """Stands where the cluster's mapping is: says what the index was encoded by, and counts who asks."""

    def __init__(self, *fingerprints: str) -> None:
        self.fingerprints = list(fingerprints)
        self.asked = 0
        self.frequencies: CollectionFrequencies | None = None

    async def index_record(
        self, index: str, fingerprint: str | None = None, *, timeout: float | None = None
    ) -> tuple[IndexMeta, CollectionFrequencies | None]:
        self.asked += 1
        found = self.fingerprints.pop(0) if len(self.fingerprints) > 1 else self.fingerprints[0]
        return IndexMeta(fingerprint=found, bundle="starter"), self.frequencies


class Encoder:
    """Serves one model: refuses other fingerprints as a sidecar does, and answers with one vector."""

    def __init__(
        self,
        fingerprint: str = OLD,
        vector: SparseVector = VECTOR,
        error: SidecarError | None = None,
        honest: bool = True,
    ) -> None:
        self.fingerprint, self.vector, self.error, self.honest = fingerprint, vector, error, honest
        self.served: tuple[ModelInfo, ...] = ()
        self.lists = True
        self.calls: list[tuple[Side, str | None, Pruning | None, bool, str | None]] = []

    async def encode(
        self,
        texts: Sequence[str],
        *,
        side: Side,
        model: str | None = None,
        pruning: Pruning | None = None,
        return_terms: bool = False,
        expected_fingerprint: str | None = None,
        timeout: float | None = None,
    ) -> EncodeResult:
        self.calls.append((side, model, pruning, return_terms, expected_fingerprint))
        if self.error is not None:
            raise self.error
        if self.honest and expected_fingerprint != self.fingerprint:
            raise FingerprintMismatch("another model")
        return EncodeResult(tuple(Encoding(self.vector) for _ in texts), "starter", self.fingerprint)

    async def models(self, *, timeout: float | None = None) -> tuple[ModelInfo, ...]:
        if not self.lists:
            raise SidecarUnavailable("gone")
        return self.served

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        model: str | None = None,
        windows: Windows = WINDOWS,
        timeout: float | None = None,
    ) -> RerankResult:
        raise AssertionError("Nobody reranks here.")


async def _encoded(encoder: Encoder, mapping: Mapping, retriever: Sparse | None = None):
    return await QueryEncoder(encoder, retriever or Sparse(), "articles").encode(
        "wolf", IndexRecord(mapping, "articles"), 1.0
    )


async def test_the_indexs_own_model_is_asked_for_with_its_fingerprint() -> None:
    encoder, mapping = Encoder(), Mapping(OLD)
    pruned = Sparse(pruning=QueryPruning(type=PruningType.TOP_K, value=8))
    assert await _encoded(encoder, mapping, pruned) == VECTOR
    assert encoder.calls == [(Side.QUERY, "starter", Pruning(PruningType.TOP_K, 8), True, OLD)]


async def test_another_model_is_refused() -> None:
    with pytest.raises(FingerprintMismatch):
        await _encoded(Encoder(NEW), Mapping(OLD))


async def test_a_sidecar_that_ignores_the_fingerprint_is_refused_all_the_same() -> None:
    with pytest.raises(FingerprintMismatch):
        await _encoded(Encoder(NEW, honest=False), Mapping(OLD))


async def test_a_model_that_is_not_served_is_a_mismatch_that_names_it() -> None:
    with pytest.raises(FingerprintMismatch, match="starter"):
        await _encoded(Encoder(error=UnknownModel("no such model")), Mapping(OLD))


@pytest.mark.parametrize("answers", [True, False])
async def test_a_model_of_the_profile_that_is_not_served_is_the_profiles_mistake(answers: bool) -> None:
    """Nobody is told to set up a new index because of a slip of the pen."""
    encoder = Encoder(error=UnknownModel("no such model"))
    encoder.served = (served("starter"), served("another"), served("reranker", ModelKind.CROSS_ENCODER))
    encoder.lists = answers
    with pytest.raises(UnknownModel) as caught:
        await _encoded(encoder, Mapping(OLD), Sparse(model="nosuch"))
    known = " (it serves starter, another)" if answers else ""
    assert caught.value.message == (
        f"The profile names the model nosuch for its sparse retriever, which this sidecar does not serve{known}."
        " Index articles was encoded by starter: name that one, or leave `model` out."
    )
    assert caught.value.field == "retrievers.model"


async def test_the_record_is_read_once_and_again_when_the_model_changed() -> None:
    mapping, encoder = Mapping(OLD), Encoder()
    record = IndexRecord(mapping, "articles")
    asker = QueryEncoder(encoder, Sparse(), "articles")
    for _ in range(3):
        await asker.encode("wolf", record, 1.0)
    assert mapping.asked == 1
    migrated = Mapping(OLD, NEW)
    assert await _encoded(Encoder(NEW), migrated) == VECTOR
    assert migrated.asked == 2


async def test_an_old_record_is_read_again() -> None:
    mapping = Mapping(OLD)
    record = IndexRecord(mapping, "articles", seconds=0.0)
    await record.get()
    await record.get()
    assert mapping.asked == 2


async def test_a_search_goes_by_one_record_from_beginning_to_end() -> None:
    """The index is migrated between the encoding and the query: the vector of the old model is for its own field."""
    mapping = Mapping(OLD, NEW)
    shared = IndexRecord(mapping, "articles", seconds=0.0)
    pinned = shared.pinned()
    assert (await pinned.get()).fingerprint == OLD
    assert await QueryEncoder(Encoder(OLD), Sparse(), "articles").encode("wolf", pinned, 1.0) == VECTOR
    assert (await shared.get()).fingerprint == NEW, "another search reads the record meanwhile"
    assert (await pinned.get()).fingerprint == OLD
    assert (await shared.pinned().get()).fingerprint == NEW


async def test_a_search_whose_model_is_gone_takes_the_new_record_and_stays_with_it() -> None:
    mapping = Mapping(OLD, NEW)
    table = CollectionFrequencies.of({7: 9}, fingerprint=NEW, documents=10, sampled=10, refreshed="now")
    pinned = IndexRecord(mapping, "articles").pinned()
    assert (await pinned.get()).fingerprint == OLD
    mapping.frequencies = table
    assert await QueryEncoder(Encoder(NEW), Sparse(), "articles").encode("wolf", pinned, 1.0) == VECTOR
    assert (await pinned.get()).fingerprint == NEW
    assert pinned.frequencies == table


async def test_an_empty_vector_is_a_declared_degradation() -> None:
    assert await _encoded(Encoder(vector=SparseVector()), Mapping(OLD)) == Degraded("encode", NO_QUERY_TERMS)


@pytest.mark.parametrize("kind", sorted(WIRE, key=lambda kind: kind.__name__))
async def test_every_error_is_raised_or_declared(kind: type[SidecarError]) -> None:
    call = _encoded(Encoder(error=kind("broken")), Mapping(OLD))
    if kind is UnknownModel:
        with pytest.raises(FingerprintMismatch):
            await call
    elif issubclass(kind, RAISED):
        with pytest.raises(kind):
            await call
    else:
        assert await call == Degraded("encode", WIRE[kind].reason)


async def test_query_weights_are_adapted_where_the_profile_asks_and_the_index_was_counted():
    mapping = Mapping(OLD)
    record = IndexRecord(mapping, "articles")
    adapting = QueryEncoder(Encoder(), Sparse(collection_idf=1.0), "articles")
    plain = await adapting.encode("wolf", record, 1.0)
    assert plain == VECTOR, "nothing was counted yet"
    mapping.frequencies = CollectionFrequencies.of(
        {7: 9}, fingerprint=OLD, documents=10, sampled=10, refreshed="2026-01-01T00:00:00+00:00"
    )
    await record.read()
    found = await adapting.encode("wolf", record, 1.0)
    assert isinstance(found, SparseVector)
    assert found.terms == ("river", "wolf")
    assert await QueryEncoder(Encoder(), Sparse(), "articles").encode("wolf", record, 1.0) == VECTOR
