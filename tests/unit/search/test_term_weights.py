"""What a query would give a term, asked of a sidecar that looks terms up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from sidecar.domain import (
    EncodeResult,
    Encoding,
    ModelInfo,
    ModelKind,
    Pruning,
    Side,
    SparseVector,
    WindowPolicy,
    Windows,
)
from sidecar.engine import CollectionFrequencies, IndexMeta
from sidecar.errors import FingerprintMismatch, UnknownModel
from sidecar.search.profile import Sparse
from sidecar.search.term_weights import MAX_CHARACTERS, TermWeights

OLD = "0" * 64
TABLE = {"wolf": (7, 2.0), "river": (3, 1.0), "##s": (9, 0.5), "snow": (4, 1.0)}


def model(fingerprint: str = OLD, query_mode: str | None = "idf") -> ModelInfo:
    return ModelInfo(
        "starter", ModelKind.SPARSE_ENCODER, fingerprint, "Apache-2.0", 512, 100, "int8", True, query_mode=query_mode
    )


class Table:
    """Looks words up, as an inference-free encoder does: `wolves` has the pieces `wolf` and `##s`."""

    def __init__(self, *models: ModelInfo) -> None:
        self.listed, self.lists = models or (model(),), 0
        self.calls: list[tuple[Sequence[str], Side, str | None, Pruning | None, Windows | None, str | None]] = []

    async def models(self, *, timeout: float | None = None) -> tuple[ModelInfo, ...]:
        self.lists += 1
        return self.listed

    async def encode(
        self,
        texts: Sequence[str],
        *,
        side: Side,
        model: str | None = None,
        pruning: Pruning | None = None,
        windows: Windows | None = None,
        return_terms: bool = False,
        expected_fingerprint: str | None = None,
        timeout: float | None = None,
    ) -> EncodeResult:
        self.calls.append((texts, side, model, pruning, windows, expected_fingerprint))
        assert return_terms
        return EncodeResult(tuple(_looked_up(text) for text in texts), "starter", OLD)


def _looked_up(text: str) -> Encoding:
    pieces: list[str] = []
    for word in text.split():
        # What is typed as `##s` are two signs and a letter.
        pieces += ("wolf", "##s") if word == "wolves" else () if word.startswith("##") else (word,)
    counts = {piece: pieces.count(piece) for piece in pieces if piece in TABLE}
    factors = [math.sqrt(count) for count in counts.values()]
    repeated = any(count > 1 for count in counts.values())
    return Encoding(
        SparseVector(
            tuple(TABLE[piece][0] for piece in counts),
            tuple(TABLE[piece][1] * factor for piece, factor in zip(counts, factors, strict=True)),
            tuple(counts),
        ),
        repetition=tuple(factors) if repeated else (),
    )


class Record:
    """A record that stays as it is."""

    def __init__(self, frequencies: CollectionFrequencies | None = None, fingerprint: str = OLD) -> None:
        self.frequencies = frequencies
        self.meta = IndexMeta(fingerprint=fingerprint, bundle="starter")

    async def get(self) -> IndexMeta:
        return self.meta

    async def read(self) -> IndexMeta:
        raise AssertionError("Nobody reads the record again here.")


async def test_terms_and_pieces_are_looked_up_in_one_call() -> None:
    table = Table()
    found = await TermWeights(table, Sparse()).of(["snow", "##s", "unheard"], ["two wolves", ""], Record(), 1.0)
    assert found == SparseVector((7, 4, 9), (2.0, 1.0, 0.5), ("wolf", "snow", "##s"))
    ((texts, side, name, pruning, windows, fingerprint),) = table.calls
    assert list(texts) == ["two wolves", "snow ##s unheard"]
    assert (side, name, pruning, fingerprint) == (Side.QUERY, "starter", Pruning(), OLD)
    assert windows is not None
    assert windows.policy is WindowPolicy.SLIDE


async def test_a_piece_that_no_text_has_has_no_weight() -> None:
    found = await TermWeights(Table(), Sparse()).of(["##s", "wolf"], ["a wolf"], Record(), 1.0)
    assert found is not None
    assert found.terms == ("wolf",)


async def test_repetition_says_nothing_of_a_term() -> None:
    once = await TermWeights(Table(), Sparse()).of(["wolf"], ["river"], Record(), 1.0)
    often = await TermWeights(Table(), Sparse()).of(["wolf"], ["wolf wolf wolf river river"], Record(), 1.0)
    assert once is not None
    assert often is not None
    assert often.by_term() == pytest.approx(once.by_term())


async def test_weights_are_adapted_as_the_query_s_are() -> None:
    table = CollectionFrequencies.of({7: 9, 3: 2}, fingerprint=OLD, documents=10, sampled=10, refreshed="now")
    alone = await TermWeights(Table(), Sparse(collection_idf=1.0)).of(["wolf", "river"], [], Record(table), 1.0)
    assert alone is not None
    assert alone.terms == ("river", "wolf")
    assert alone.by_term() == pytest.approx({"wolf": table.idf(7), "river": table.idf(3)})
    plain = await TermWeights(Table(), Sparse(collection_idf=1.0)).of(["wolf", "river"], [], Record(), 1.0)
    assert plain is not None
    assert plain.by_term() == {"wolf": 2.0, "river": 1.0}, "nothing was counted"


async def test_a_model_that_reads_its_queries_has_no_weights_of_terms() -> None:
    neural = Table(model(query_mode="neural"))
    asker = TermWeights(neural, Sparse())
    assert await asker.of(["wolf"], ["a wolf"], Record(), 1.0) is None
    assert await asker.of(["wolf"], ["a wolf"], Record(), 1.0) is None
    assert (neural.calls, neural.lists) == ([], 1)


async def test_a_model_that_is_not_listed_is_asked_for_again() -> None:
    table = Table(model("1" * 64))
    asker = TermWeights(table, Sparse())
    with pytest.raises(UnknownModel):
        await asker.of(["wolf"], [], Record(), 1.0)
    table.listed = (model(),)
    assert await asker.of(["wolf"], [], Record(), 1.0) is not None


async def test_long_texts_are_cut_and_no_term_is() -> None:
    table = Table()
    many = [f"term{number}" for number in range(5_000)]
    await TermWeights(table, Sparse(model="mine")).of([*many, "snow"], ["wolf " * 10_000, "a\ud800b"], Record(), 1.0)
    ((texts, _, name, *_),) = table.calls
    assert len(texts[0]) == MAX_CHARACTERS
    assert texts[1] == "a?b"
    assert texts[2].endswith("term4999 snow")
    assert name == "mine"


async def test_nothing_readable_asks_nothing() -> None:
    table = Table()
    assert await TermWeights(table, Sparse()).of([], ["", " \n"], Record(), 1.0) == SparseVector()
    assert table.calls == []


async def test_what_the_sidecar_refuses_is_raised() -> None:
    class Refusing(Table):
        async def encode(self, texts: Sequence[str], **options: object) -> EncodeResult:
            raise FingerprintMismatch("another model")

    with pytest.raises(FingerprintMismatch):
        await TermWeights(Refusing(), Sparse()).of(["wolf"], [], Record(), 1.0)
