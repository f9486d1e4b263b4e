"""Every profile on a real cluster."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.domain import Side
from sidecar.engine import BulkAction, Engine
from sidecar.errors import (
    EmptyText,
    FingerprintMismatch,
    IndexNotFound,
    InvalidInput,
    MalformedText,
    ProfileInvalid,
    TextTooLarge,
)
from sidecar.search import (
    BUILT_IN,
    NO_QUERY_TERMS,
    AsyncSearcher,
    Lexical,
    LinearFusion,
    Normalization,
    Rerank,
    Searcher,
)

pytestmark = pytest.mark.integration

QUERY = "a wolf near the river in the snow"
SUMMED = BUILT_IN["hybrid"].model_copy(update={"fusion": LinearFusion(normalization=Normalization.NONE)})


@pytest.mark.parametrize("profile", [*BUILT_IN, pytest.param(SUMMED, id="summed")])
async def test_every_profile_answers(world, engine, client, profile) -> None:
    searcher = AsyncSearcher(engine, client, profile, index=world.index)
    result = await searcher.search(QUERY)
    assert result.degraded is None
    assert not result.partial
    assert len(result.hits) == 10
    assert [hit.rank for hit in result.hits] == list(range(1, 11))
    assert len({hit.id for hit in result.hits}) == 10
    assert result.total is None
    assert all(set(hit.source) == {"title", "text", "kind", "number"} for hit in result.hits)
    assert result.timings.total_ms >= result.timings.retrieve_ms > 0
    assert (result.timings.encode_ms > 0) == (searcher.profile.sparse is not None), "0 where a stage did not run"
    assert (result.timings.rerank_ms > 0) == (searcher.profile.rerank is not None)
    assert result.timings.passages_ms == result.timings.explain_ms == result.timings.feedback_ms == 0.0
    if searcher.profile.rerank is None:
        assert result.hits[0].id == "wolf-river-snow"
        assert all(hit.rerank_score is None for hit in result.hits)
        scores = [hit.first_stage_score for hit in result.hits]
        assert scores == sorted(scores, reverse=True)
    else:
        assert all(hit.rerank_score is not None for hit in result.hits)


async def test_sparse_scores_are_the_inner_product(world, engine, client) -> None:
    """Nine significant bits per stored weight: up to 0.4 % low, never high."""
    result = await AsyncSearcher(engine, client, "sparse", index=world.index).search(QUERY, size=5)
    query = (await client.encode([QUERY], side=Side.QUERY)).encodings[0].vector
    for hit in result.hits:
        text = f"{hit.source['title']} {hit.source['text']}"
        document = (await client.encode([text])).encodings[0].vector
        exact = query.dot(document)
        assert exact * (1 - 2**-8) <= hit.sparse_score <= exact * (1 + 1e-6)


async def test_both_retrievers_show_in_a_hybrid_hit(world, engine, client) -> None:
    hybrid = await AsyncSearcher(engine, client, "hybrid", index=world.index).search(QUERY, size=240)
    lexical = await AsyncSearcher(engine, client, "lexical", index=world.index).search(QUERY, size=240)
    expected = {hit.id: hit.lexical_score for hit in lexical.hits}
    assert any(hit.lexical_score is not None and hit.sparse_score is not None for hit in hybrid.hits)
    for hit in hybrid.hits:
        if hit.lexical_score is not None:
            assert hit.lexical_score == pytest.approx(expected[hit.id])


async def test_the_cluster_adds_up_what_is_not_normalised(world, engine, client) -> None:
    summed = await AsyncSearcher(engine, client, SUMMED, index=world.index).search(QUERY, size=5)
    lexical = await AsyncSearcher(engine, client, "lexical", index=world.index).search(QUERY, size=240)
    sparse = await AsyncSearcher(engine, client, "sparse", index=world.index).search(QUERY, size=240)
    words = {hit.id: hit.lexical_score for hit in lexical.hits}
    vectors = {hit.id: hit.sparse_score for hit in sparse.hits}
    lexical_weight, sparse_weight = SUMMED.lexical.weight, SUMMED.sparse.weight
    for hit in summed.hits:
        expected = lexical_weight * words.get(hit.id, 0.0) + sparse_weight * vectors.get(hit.id, 0.0)
        assert hit.first_stage_score == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("profile", ["lexical", "sparse", "hybrid", "hybrid-rrf", "hybrid+rerank"])
async def test_filters_hold_for_every_retriever(world, engine, client, profile) -> None:
    searcher = AsyncSearcher(engine, client, profile, index=world.index)
    result = await searcher.search(QUERY, size=50, filter={"term": {"kind": "odd"}})
    assert {hit.source["kind"] for hit in result.hits} == {"odd"}
    both = [{"term": {"kind": "odd"}}, {"range": {"number": {"lt": 20}}}]
    result = await searcher.search(QUERY, size=50, filter=both)
    assert result.hits
    assert all(hit.source["kind"] == "odd" and hit.source["number"] < 20 for hit in result.hits)


@pytest.mark.parametrize("profile", ["lexical", "sparse", "hybrid", "hybrid-rrf", "lexical+rerank", "hybrid+rerank"])
async def test_pages_fit_together(world, engine, client, profile) -> None:
    """Small candidate and rerank depths, so that the pages cross both borders."""
    chosen = BUILT_IN[profile].model_copy(update={"candidates": 30})
    if chosen.rerank is not None:
        chosen = chosen.model_copy(update={"rerank": chosen.rerank.model_copy(update={"depth": 12})})
    searcher = AsyncSearcher(engine, client, chosen, index=world.index)
    whole = await searcher.search(QUERY, size=100)
    assert len(whole.hits) == 100
    paged = [hit for page in range(0, 100, 7) for hit in (await searcher.search(QUERY, size=7, from_=page)).hits][:100]
    assert [hit.id for hit in paged] == [hit.id for hit in whole.hits]
    assert [hit.rank for hit in paged] == list(range(1, 101))
    if chosen.rerank is not None:
        plain = chosen.model_copy(update={"rerank": None})
        first = await AsyncSearcher(engine, client, plain, index=world.index).search(QUERY, size=100)
        assert {hit.id for hit in whole.hits[:12]} == {hit.id for hit in first.hits[:12]}
        assert [hit.id for hit in whole.hits[12:]] == [hit.id for hit in first.hits[12:]]
        assert all((hit.rerank_score is not None) == (hit.rank <= 12) for hit in whole.hits)


async def test_the_rerankers_order_at_weight_one_and_the_first_stages_at_zero(world, engine, client) -> None:
    base = BUILT_IN["sparse+rerank"]

    async def ranked(weight: float) -> list[tuple[str, float]]:
        profile = base.model_copy(update={"rerank": Rerank(depth=20, weight=weight)})
        result = await AsyncSearcher(engine, client, profile, index=world.index).search(QUERY, size=20)
        return [(hit.id, hit.rerank_score) for hit in result.hits]

    by_reranker = await ranked(1.0)
    assert [score for _, score in by_reranker] == sorted((score for _, score in by_reranker), reverse=True)
    first = await AsyncSearcher(engine, client, "sparse", index=world.index).search(QUERY, size=20)
    assert [name for name, _ in await ranked(0.0)] == [hit.id for hit in first.hits]
    cut = sorted((score for _, score in by_reranker), reverse=True)[4]
    profile = base.model_copy(update={"rerank": Rerank(depth=20, weight=1.0, cut_off=cut)})
    result = await AsyncSearcher(engine, client, profile, index=world.index).search(QUERY, size=20)
    assert all(hit.rerank_score >= cut for hit in result.hits)
    assert 5 <= len(result.hits) < 20


async def test_why_adds_up_to_the_scores(world, engine, client) -> None:
    result = await AsyncSearcher(engine, client, "hybrid", index=world.index).search(QUERY, size=5, explain=True)
    for hit in result.hits:
        for retriever, score in (("lexical", hit.lexical_score), ("sparse", hit.sparse_score)):
            shares = [share for share in hit.why if share.retriever == retriever]
            assert sum(share.value for share in shares) == pytest.approx(score or 0.0, rel=1e-4)
            assert not any(share.term.startswith("_splade_") for share in shares)
    assert {"wolf", "river", "snow"} <= {share.term for share in result.hits[0].why}
    plain = await AsyncSearcher(engine, client, "hybrid", index=world.index).search(QUERY, size=5)
    assert [hit.id for hit in plain.hits] == [hit.id for hit in result.hits]
    assert all(hit.why == () for hit in plain.hits)


@pytest.mark.parametrize("text", ["!", "... ?! --", "\U0001f43a", "\u200b", "\x00"])
@pytest.mark.parametrize("profile", ["lexical", "hybrid+rerank"])
async def test_punctuation_and_odd_characters_are_no_errors(world, engine, client, profile, text) -> None:
    result = await AsyncSearcher(engine, client, profile, index=world.index).search(text)
    assert result.degraded in {None, NO_QUERY_TERMS}


async def test_a_query_without_terms_is_searched_lexically_and_said(world, engine, client) -> None:
    result = await AsyncSearcher(engine, client, "sparse", index=world.index).search("[SEP]")
    assert (result.degraded, result.degraded_stage) == (NO_QUERY_TERMS, "encode")
    assert result.hits == ()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", EmptyText),
        (" \n\t", EmptyText),
        ("lone \ud800 surrogate", MalformedText),
        ("a" * 10_000_000, TextTooLarge),
        (None, InvalidInput),
        (b"cat", InvalidInput),
    ],
)
@pytest.mark.parametrize("profile", ["lexical", "hybrid+rerank"])
async def test_unusable_queries(world, engine, client, profile, text, error) -> None:
    with pytest.raises(error):
        await AsyncSearcher(engine, client, profile, index=world.index).search(text)


@pytest.mark.parametrize("profile", ["lexical", "hybrid", pytest.param(SUMMED, id="summed")])
@pytest.mark.parametrize(
    "text",
    [
        " ".join(f"w{n}" for n in range(5_000)) + " wolf",
        "wolf " * 5_000,
        "x" + "\u6c34" * 9_000,
        "\U0001f43a" * 8_000,
        "\U00020000" * 8_000,
    ],
    ids=["many words", "one word", "no spaces", "emoji", "rare characters"],
)
async def test_a_query_as_long_as_a_document_is_searched(world, engine, client, profile, text) -> None:
    """The cluster refuses more than 1,024 clauses, and makes one of each word."""
    result = await AsyncSearcher(engine, client, profile, index=world.index).search(text)
    assert result.degraded in {None, NO_QUERY_TERMS}
    assert bool(result.hits) or "wolf " not in text


async def test_a_long_query_is_cut_between_words_and_not_within(world, engine: Engine) -> None:
    """An analyzer of pairs of characters finds nothing by characters that stand apart."""
    index = f"{world.index}-pairs"
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 1_500)))
    await engine.create_index(index, {"mappings": {"properties": {"text": {"type": "text", "analyzer": "cjk"}}}})
    try:
        await engine.bulk([BulkAction(index, "first", {"text": text[:10]})], refresh=True)
        answer = await engine.search(index, {"query": Lexical().query(text, "text")})
    finally:
        await engine.delete_index(index)
    assert [hit.id for hit in answer.hits] == ["first"]


@pytest.mark.parametrize(("size", "from_"), [(0, 0), (10, -1), (10, 9_995), ("3", 0), (3, "0"), (None, 0), (True, 0)])
async def test_unusable_pages(world, engine, client, size, from_) -> None:
    with pytest.raises(InvalidInput):
        await AsyncSearcher(engine, client, "lexical", index=world.index).search("cat", size=size, from_=from_)


async def test_what_is_missing_is_said(world, engine, client) -> None:
    with pytest.raises(IndexNotFound):
        await AsyncSearcher(engine, client, "lexical", index="no-such-index").search("cat")
    with pytest.raises(ProfileInvalid, match="needs a sidecar"):
        AsyncSearcher(engine, None, "sparse", index=world.index)
    assert (await AsyncSearcher(engine, None, "lexical", index=world.index).search("cat")).hits


async def test_an_index_of_another_model_is_refused(world, engine: Engine, client: AsyncSidecarClient) -> None:
    """Same name, other fingerprint; and a name that this sidecar does not serve."""
    index = world.index + "-foreign"
    mappings = next(iter((await engine.mappings(world.index)).values()))
    meta = mappings["_meta"]["splade_sidecar"]
    try:
        for change in ({"fingerprint": "f" * 64}, {"bundle": "another", "fingerprint": "f" * 64}):
            changed = {**mappings, "_meta": {"splade_sidecar": {**meta, **change}}}
            await engine.create_index(index, {"mappings": changed})
            with pytest.raises(FingerprintMismatch):
                await AsyncSearcher(engine, client, "hybrid", index=index).search("cat")
            assert (await AsyncSearcher(engine, client, "lexical", index=index).search("cat")).degraded is None
            await engine.delete_index(index)
    finally:
        await engine.delete_index(index, missing_ok=True)


async def test_a_migrated_index_is_noticed_without_a_new_searcher(world, engine, client) -> None:
    """The record is cached; when the sidecar refuses the old fingerprint, it is read again."""
    index = world.index + "-migrated"
    mappings = next(iter((await engine.mappings(world.index)).values()))
    meta = mappings["_meta"]["splade_sidecar"]
    outdated = {"splade_sidecar": {**meta, "fingerprint": "f" * 64}}
    await engine.create_index(index, {"mappings": {**mappings, "_meta": outdated}})
    try:
        searcher = AsyncSearcher(engine, client, "hybrid", index=index)
        with pytest.raises(FingerprintMismatch):
            await searcher.search("cat")
        await engine.put_mapping(index, {"_meta": {"splade_sidecar": meta}})
        assert (await searcher.search("cat")).degraded is None
    finally:
        await engine.delete_index(index)


async def test_documents_of_another_model_never_match_a_vector(world, engine, client) -> None:
    """Inside one index: vectors without this model's sentinel take no part in sparse scoring."""
    index = world.index + "-mixed"
    mappings = next(iter((await engine.mappings(world.index)).values()))
    await engine.create_index(index, {"mappings": mappings})
    try:
        await engine._transport.send(
            "PUT", f"/{index}/_doc/stale?refresh=true", {"title": "wolf", "splade": {"wolf": 9.0, "_splade_other": 1.0}}
        )
        assert (await AsyncSearcher(engine, client, "sparse", index=index).search("wolf")).hits == ()
        assert len((await AsyncSearcher(engine, client, "lexical", index=index).search("wolf")).hits) == 1
    finally:
        await engine.delete_index(index)


async def test_unusable_bodies(world, engine, client) -> None:
    searcher = AsyncSearcher(engine, client, "hybrid+rerank", index=world.index)
    for body, text in ((None, None), ([], None), ({"query": {"match": {"text": "cat"}}}, 3)):
        with pytest.raises(InvalidInput):
            await searcher.search_body(body, text)
        with pytest.raises(InvalidInput):
            await searcher.augment(body, text)


@pytest.mark.parametrize("target", ["", "  "])
def test_an_empty_address_is_refused_at_once(world, target) -> None:
    with pytest.raises(InvalidInput, match="address is empty"):
        Searcher(world.url, target, "hybrid", index=world.index)


def test_the_sync_twin_answers_the_same(world) -> None:
    async def asked():
        async with await Engine.connect(world.url) as engine, AsyncSidecarClient(world.target) as client:
            searcher = AsyncSearcher(engine, client, "hybrid+rerank", index=world.index)
            return (
                await searcher.search(QUERY, size=7, from_=3, filter={"term": {"kind": "odd"}}, explain=True),
                await searcher.augment({"query": {"match": {"text": "wolf"}}}),
                await searcher.search_body({"query": {"match": {"text": "wolf"}}}),
            )

    result, augmented, answered = asyncio.run(asked())
    with Searcher(world.url, world.target, "hybrid+rerank", index=world.index) as searcher:
        twin = searcher.search(QUERY, size=7, from_=3, filter={"term": {"kind": "odd"}}, explain=True)
        assert twin.hits == result.hits
        assert twin.total == result.total
        assert searcher.augment({"query": {"match": {"text": "wolf"}}}) == augmented
        same = searcher.search_body({"query": {"match": {"text": "wolf"}}})
        assert same.response["hits"] == answered.response["hits"]
        with pytest.raises(EmptyText):
            searcher.search(" ")
    with Searcher(Engine.connect(world.url), None, "lexical", index=world.index) as searcher:
        assert searcher.search("wolf").hits
