"""Searching indices with passages: MaxP, the best passage, and what is behind in a long document."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexOptions, IndexRun, IndexSpec, Source, pick_encoder, set_up
from sidecar.cluster.doctor import examine, gather
from sidecar.cluster.passages import split
from sidecar.cluster.spec import PASSAGE_FIELD, VECTOR_FIELD
from sidecar.domain import WHOLE_TEXT, JsonObject, RerankResult, Side, SparseVector, WindowPolicy, Windows
from sidecar.engine import Engine, PassageRule, dialect_of
from sidecar.search import (
    BUILT_IN,
    AsyncSearcher,
    Lexical,
    LinearFusion,
    Matching,
    Normalization,
    Profile,
    Searcher,
    Sparse,
)
from sidecar.search.passages import Passages
from sidecar.search.retrieval import FirstStage
from sidecar.search.two_phase import TwoPhase
from sidecar.server.process import SidecarProcess
from tests.support.nodes import Node
from tests.support.shell import typed

pytestmark = pytest.mark.integration

RULE = PassageRule(words=40, stride=30, limit=64)
MODEL = "tiny-idf"
ANSWER = "the wolf eats cheese on the bridge in the snow"
QUERY = "what does the wolf eat on the bridge in the snow"
FILLER = ("river", "forest", "city", "market", "mountain", "road", "school", "park")


def long_document(number: int) -> JsonObject:
    """Six hundred words; the fifth document answers the query, far behind what an encoder reads of it."""
    sentences = [f"the {FILLER[(number + place) % 8]} is long and the weather is cold." for place in range(60)]
    if number == 5:
        sentences[52] = f"{ANSWER}."
    return {"title": f"report number {number}", "text": " ".join(sentences), "number": number}


DOCUMENTS = {f"d{number}": long_document(number) for number in range(12)}
"""The second has all words of the query, one here and one there: only together they look like the answer."""
DOCUMENTS["d1"] = {
    **DOCUMENTS["d1"],
    "text": " ".join(
        f"{word} and the {FILLER[place % 8]} is long and the weather is cold today." * 4
        for place, word in enumerate(("wolf", "eats", "cheese", "bridge", "snow"))
    ),
}


@pytest.fixture
async def client(search_sidecar: SidecarProcess) -> AsyncIterator[AsyncSidecarClient]:
    async with AsyncSidecarClient(search_sidecar.target, timeout=60.0) as connected:
        yield connected


async def fill(
    engine: Engine, client: AsyncSidecarClient, index: str, rule: PassageRule | None, windows: Windows = WHOLE_TEXT
) -> None:
    field = VECTOR_FIELD if rule is None else PASSAGE_FIELD
    encoder = pick_encoder(await client.models(), MODEL)
    await set_up(engine, IndexSpec(index, encoder, vector_field=field, passages=rule))
    lines = b"".join(orjson.dumps({"_id": name, **source}) + b"\n" for name, source in DOCUMENTS.items())
    with DeadLetters(None) as letters:
        source, options = Source(io.BytesIO(lines), "_id", None), IndexOptions(windows=windows)
        await IndexRun(engine, client, index, source, letters, options, model=MODEL).run()


@pytest.fixture
async def index(engine: Engine, client: AsyncSidecarClient, index_name: str) -> str:
    await fill(engine, client, index_name, RULE)
    return index_name


async def products(client: AsyncSidecarClient, name: str) -> list[tuple[float, str]]:
    """The exact inner product of each passage of a document with the query."""
    query = (await client.encode([QUERY], side=Side.QUERY, model=MODEL)).encodings[0].vector
    source = DOCUMENTS[name]
    passages = split(f"{source['title']} {source['text']}", RULE).passages
    pruning = pick_encoder(await client.models(), MODEL).document_pruning
    answer = await client.encode([one.text for one in passages], model=MODEL, pruning=pruning)
    return [(query.dot(encoding.vector), one.text) for one, encoding in zip(passages, answer.encodings, strict=True)]


PLAIN = Profile.parse({"name": "plain", "retrievers": [{"kind": "sparse"}]})


async def test_a_document_counts_by_its_best_passage(engine: Engine, client: AsyncSidecarClient, index: str) -> None:
    result = await AsyncSearcher(engine, client, PLAIN, index=index).search(QUERY, size=12, passages=True)
    assert len(result.hits) == 12
    assert not result.partial
    for hit in result.hits:
        best = max(score for score, _ in await products(client, hit.id))
        assert best * (1 - 2**-8) <= hit.sparse_score <= best * (1 + 1e-6)
        assert PASSAGE_FIELD not in hit.source
        assert hit.passage is not None
        assert hit.passage.score == pytest.approx(hit.sparse_score, rel=1e-5)
        text = f"{hit.source['title']} {hit.source['text']}"
        assert text[hit.passage.start : hit.passage.start + len(hit.passage.text)] == hit.passage.text
    assert result.timings.passages_ms > 0.0


async def test_what_stands_far_behind_is_found(
    engine: Engine, client: AsyncSidecarClient, index: str, index_name: str
) -> None:
    found = await AsyncSearcher(engine, client, PLAIN, index=index).search(QUERY, size=1, passages=True)
    assert found.hits[0].id == "d5"
    assert found.hits[0].passage is not None
    assert ANSWER in found.hits[0].passage.text
    whole = f"{index_name}-whole"
    try:
        for windows, first in ((WHOLE_TEXT, True), (Windows(WindowPolicy.TRUNCATE), False)):
            await fill(engine, client, whole, None, windows)
            one_vector = await AsyncSearcher(engine, client, PLAIN, index=whole).search(QUERY, size=1, passages=True)
            assert (one_vector.hits[0].id == "d5") is first, "the head of d5 says nothing of the wolf"
            assert one_vector.hits[0].passage is None
    finally:
        await engine.delete_index(whole)


@pytest.mark.parametrize(
    "name", ["sparse", "hybrid", "hybrid-rrf", "summed", "lexical", "fields", "sparse+rerank", "hybrid+rerank"]
)
async def test_every_profile_answers(engine: Engine, client: AsyncSidecarClient, index: str, name: str) -> None:
    summed = BUILT_IN["hybrid"].model_copy(update={"fusion": LinearFusion(normalization=Normalization.NONE)})
    fields = (Lexical(fields=("title^2", "text")), Sparse())
    more = {"summed": summed, "fields": summed.model_copy(update={"retrievers": fields})}
    profile = more.get(name) or BUILT_IN[name]
    searcher = AsyncSearcher(engine, client, profile, index=index)
    only = {"range": {"number": {"gte": 2}}}
    result = await searcher.search(QUERY, size=5, filter=only, passages=True)
    assert result.degraded is None
    assert len(result.hits) == (1 if name == "lexical" else 5), "words match where they stand, and nowhere else"
    assert all(hit.source["number"] >= 2 for hit in result.hits)
    if profile.rerank is None:
        assert result.hits[0].id == "d5"
    second = await searcher.search(QUERY, size=5, from_=5, filter=only)
    assert not {hit.id for hit in result.hits} & {hit.id for hit in second.hits}
    assert all(hit.passage is None for hit in second.hits)
    if name != "lexical":
        assert all(hit.passage is not None for hit in result.hits)


async def test_why_a_document_was_found_is_why_its_passage_was(
    engine: Engine, client: AsyncSidecarClient, index: str
) -> None:
    result = await AsyncSearcher(engine, client, PLAIN, index=index).search(QUERY, size=3, explain=True)
    for hit in result.hits:
        assert sum(share.value for share in hit.why) == pytest.approx(hit.sparse_score, rel=1e-4)
    assert {"wolf", "bridge", "snow"} <= {share.term for share in result.hits[0].why}


async def test_two_phases_are_one_over_passages(engine: Engine, client: AsyncSidecarClient, index: str) -> None:
    sparse = PLAIN.retrievers[0].model_copy(update={"two_phase": TwoPhase(ratio=0.9)})
    both = PLAIN.model_copy(update={"retrievers": (sparse,)})
    wanted = await AsyncSearcher(engine, client, PLAIN, index=index).search(QUERY, size=12)
    found = await AsyncSearcher(engine, client, both, index=index).search(QUERY, size=12)
    assert [(hit.id, hit.sparse_score) for hit in found.hits] == [(hit.id, hit.sparse_score) for hit in wanted.hits]


WHOLE = Windows()


class Listening(AsyncSidecarClient):
    """A client that keeps what was reranked."""

    read: Sequence[str] = ()

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        model: str | None = None,
        windows: Windows = WHOLE,
        timeout: float | None = None,
    ) -> RerankResult:
        self.read = documents
        return await super().rerank(query, documents, model=model, windows=windows, timeout=timeout)


async def test_the_reranker_reads_the_best_passage(engine: Engine, search_sidecar: SidecarProcess, index: str) -> None:
    async with Listening(search_sidecar.target, timeout=60.0) as client:
        searcher = AsyncSearcher(engine, client, BUILT_IN["sparse+rerank"], index=index)
        result = await searcher.search(QUERY, size=12)
        assert len(client.read) == 12
        assert all(hit.rerank_score is not None for hit in result.hits)
        assert any(ANSWER in text for text in client.read)
        assert all(len(text.split()) <= RULE.words for text in client.read)
        # Found by words alone: no passage is known to be the best one, and the document is read from its beginning.
        await AsyncSearcher(engine, client, BUILT_IN["lexical+rerank"], index=index).search(QUERY)
        assert all(text.startswith("report number") for text in client.read)


async def test_an_application_s_own_body(engine: Engine, client: AsyncSidecarClient, index: str) -> None:
    searcher = AsyncSearcher(engine, client, BUILT_IN["sparse"], index=index)
    for matching in Matching:
        body: JsonObject = {"query": {"match": {"text": QUERY}}, "size": 3}
        answer = await searcher.search_body(body, matching=matching)
        assert answer.unchanged is None
        hits = answer.response["hits"]["hits"]
        assert hits[0]["_id"] == "d5"
        assert PASSAGE_FIELD not in hits[0]["_source"]
        evidence = await gather(engine, index, query=(await searcher.augment(body, matching=matching)).body)
        assert {one.check for one in examine(evidence)} <= {"disk", "heap"}


async def test_the_doctor_knows_queries_that_never_match(
    engine: Engine, client: AsyncSidecarClient, index: str
) -> None:
    clause: JsonObject = {"rank_feature": {"field": f"{PASSAGE_FIELD}.vector.wolf", "linear": {}}}
    outside = await gather(engine, index, query={"query": clause})
    assert "passage_query" in {one.check for one in examine(outside)}
    assert not (await engine.search(index, {"query": clause})).hits
    averaged: JsonObject = {"nested": {"path": PASSAGE_FIELD, "query": clause}}
    assert "passage_query" in {one.check for one in examine(await gather(engine, index, query={"query": averaged}))}
    right: JsonObject = {"nested": {"path": PASSAGE_FIELD, "query": clause, "score_mode": "max"}}
    assert "passage_query" not in {one.check for one in examine(await gather(engine, index, query={"query": right}))}


async def test_a_query_of_more_terms_than_a_cluster_takes(engine: Engine, index: str) -> None:
    """The thousand heaviest terms, presence and the best passage, within 1,024 clauses."""
    many = SparseVector(
        tuple(range(1_500)),
        tuple(2.0 - number / 1_000 for number in range(1_500)),
        (*(f"t{number}" for number in range(1_499)), "wolf"),
    )
    meta = await engine.index_meta(index)
    clause = FirstStage(engine, index, PLAIN).sparse_clause(many, meta)
    assert not (await engine.search(index, {"query": clause})).hits, "wolf is the lightest term"
    (place,) = await engine.mappings(index)
    best = await Passages(engine, index).best([("d5", place, "")], many, meta, timeout=10.0)
    assert best == {}
    assert dialect_of(meta).name == meta.dialect


def test_the_twin_for_threads_and_the_command(
    opensearch: Node, search_sidecar: SidecarProcess, index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Searcher(opensearch.url, search_sidecar.target, PLAIN, index=index) as searcher:
        assert searcher.search(QUERY, size=1, passages=True).hits[0].passage is not None
    reached = ["--engine", opensearch.url, "--sidecar", search_sidecar.target, "--index", index]
    command = ("search", QUERY, *reached, "--profile", "sparse", "--size", "1", "--passages")
    told = orjson.loads(typed(*command, "--json").stdout)
    assert ANSWER in told["hits"][0]["passage"]["text"]
    assert "from character" in typed(*command).stdout
