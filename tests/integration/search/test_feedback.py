"""Feedback on a real node: what is asked, what comes of it, and what happens where there is nothing to feed back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.domain import JsonObject, Side
from sidecar.engine import Engine
from sidecar.search import AsyncSearcher, Matching, Rocchio, Searcher
from sidecar.search.feedback import FeedbackDocument
from sidecar.search.two_phase import TwoPhase
from tests.integration.search.conftest import documents, fill
from tests.integration.search.test_passages import PASSAGE_FIELD, RULE
from tests.integration.search.test_passages import fill as fill_passages
from tests.support.feedback import QUERY, RULE_OF_FEEDBACK, Watched, weights_in, with_feedback
from tests.support.shell import typed

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("name", ["sparse", "hybrid", "hybrid-rrf", "summed", "sparse+rerank", "hybrid+rerank"])
async def test_every_profile_answers(world, engine, client, name) -> None:
    searcher = AsyncSearcher(engine, client, with_feedback(name), index=world.index)
    result = await searcher.search(QUERY, explain=True, filter={"term": {"kind": "odd"}})
    assert (result.degraded, result.partial) == (None, False)
    assert len(result.hits) == 10
    assert all(set(hit.source) == {"title", "text", "kind", "number"} for hit in result.hits), "no vector is shown"
    assert {hit.source["kind"] for hit in result.hits} == {"odd"}
    assert result.timings.total_ms > result.timings.feedback_ms > 0.0
    assert (result.timings.rerank_ms > 0.0) == name.endswith("+rerank")
    shown = {share.term for hit in result.hits for share in hit.why if share.retriever == "sparse"}
    assert {"wolf", "river"} <= shown
    plain = await AsyncSearcher(engine, client, name if name != "summed" else "hybrid", index=world.index).search(
        QUERY, explain=True, filter={"term": {"kind": "odd"}}
    )
    assert plain.timings.feedback_ms == 0.0
    assert shown - {share.term for hit in plain.hits for share in hit.why}, "terms that the query never had"


async def test_the_second_pass_asks_for_rocchios_query(world, watched, client) -> None:
    """Computed once more from what the node and the sidecar hold, one by one."""
    found = await AsyncSearcher(watched, client, "sparse", index=world.index).search(QUERY, size=4)
    searcher = AsyncSearcher(watched, client, with_feedback("sparse"), index=world.index)
    await searcher.search(QUERY)
    (first,) = watched.firsts
    assert first["size"] == 4
    query = weights_in(first)
    expected: list[FeedbackDocument] = []
    record = searcher._record
    for hit in found.hits:
        stored = (await watched.get(world.index, hit.id))["splade"]
        features: dict[str, float] = {}
        for term, weight in stored.items():
            alone = (await client.encode([term], side=Side.QUERY, return_terms=True)).encodings[0].vector
            if term in alone.terms:
                place = alone.terms.index(term)
                idf = alone.weights[place]
                if record.frequencies is not None:
                    idf = idf**0.3 * record.frequencies.idf(alone.term_ids[place]) ** 0.7
                features[term] = weight * idf
        expected.append(FeedbackDocument(hit.sparse_score, features))
    wanted = RULE_OF_FEEDBACK.expanded(query, expected, 1_000)
    asked = weights_in(watched.bodies[-1])
    assert set(query) <= set(asked)
    assert len(asked) <= len(query) + RULE_OF_FEEDBACK.terms
    assert asked == pytest.approx(wanted, rel=1e-4)
    assert sum(asked.values()) == pytest.approx(sum(query.values()), rel=1e-6)


async def test_why_adds_up_to_the_scores(world, engine, client) -> None:
    searcher = AsyncSearcher(engine, client, with_feedback("hybrid"), index=world.index)
    for hit in (await searcher.search(QUERY, size=5, explain=True)).hits:
        shares = [share.value for share in hit.why if share.retriever == "sparse"]
        assert sum(shares) == pytest.approx(hit.sparse_score, rel=1e-4)


async def test_only_what_the_filter_lets_through_is_fed_back(world, watched, client) -> None:
    searcher = AsyncSearcher(watched, client, with_feedback("sparse"), index=world.index)
    await searcher.search("wolf", filter={"match": {"text": "bridge"}})
    assert watched.firsts[-1]["query"]["bool"]["filter"] == [{"match": {"text": "bridge"}}]
    assert "bridge" in weights_in(watched.bodies[-1])
    assert not {"market", "forest", "river"} & set(weights_in(watched.bodies[-1]))


@pytest.mark.parametrize("name", ["sparse", "hybrid", "hybrid-rrf", "hybrid+rerank"])
async def test_pages_fit_together(world, engine, client, name) -> None:
    profile = with_feedback(name).model_copy(update={"candidates": 30})
    if profile.rerank is not None:
        profile = profile.model_copy(update={"rerank": profile.rerank.model_copy(update={"depth": 12})})
    searcher = AsyncSearcher(engine, client, profile, index=world.index)
    whole = [hit.id for hit in (await searcher.search(QUERY, size=49)).hits]
    paged = [hit.id for start in range(0, 49, 7) for hit in (await searcher.search(QUERY, size=7, from_=start)).hits]
    assert paged == whole
    assert len(set(whole)) == 49


async def test_without_weight_there_is_no_first_pass(world, watched, client) -> None:
    silent = with_feedback("sparse", Rocchio(weight=0.0))
    result = await AsyncSearcher(watched, client, silent, index=world.index).search(QUERY)
    assert watched.firsts == []
    assert result.timings.feedback_ms == 0.0
    assert result.hits == (await AsyncSearcher(watched, client, "sparse", index=world.index).search(QUERY)).hits


async def test_two_phases_split_the_expanded_query(world, watched, client) -> None:
    profile = with_feedback("sparse", two_phase=TwoPhase(ratio=0.9, window=1_000))
    result = await AsyncSearcher(watched, client, profile, index=world.index).search(QUERY)
    exact = await AsyncSearcher(watched, client, with_feedback("sparse"), index=world.index).search(QUERY)
    assert "rescore" in watched.bodies[0]
    assert [hit.sparse_score for hit in result.hits] == pytest.approx(
        [hit.sparse_score for hit in exact.hits], rel=1e-5
    )


async def test_a_query_that_finds_nothing_feeds_nothing_back(world, engine, client) -> None:
    searcher = AsyncSearcher(engine, client, with_feedback("sparse"), index=world.index)
    result = await searcher.search("parliament", filter={"term": {"kind": "neither"}})
    assert (result.hits, result.degraded) == ((), None)


async def test_a_model_without_a_table_feeds_its_documents_weights_back(world, client, index_name) -> None:
    await fill(world.url, world.target, index_name, "tiny-sparse")
    async with await Watched.connect(world.url) as engine:
        engine.firsts, engine.bodies, engine.wait = [], [], 0.0
        profile = with_feedback("sparse", collection_idf=0.0)
        result = await AsyncSearcher(engine, client, profile, index=index_name).search(QUERY)
        assert result.degraded is None
        query = weights_in(engine.firsts[0])
        hits = (await engine.search(index_name, {"query": engine.firsts[0]["query"], "size": 4})).hits
        stored = [
            FeedbackDocument(
                hit.score,
                {
                    term: weight
                    for term, weight in (await engine.get(index_name, hit.id))["splade"].items()
                    if not term.startswith("_splade_")
                },
            )
            for hit in hits
        ]
        wanted = RULE_OF_FEEDBACK.expanded(query, stored, 1_000)
        # `.` and `%` are written escaped, in both.
        assert weights_in(engine.bodies[0]) == pytest.approx(wanted, rel=1e-4)


async def test_passages_feed_the_best_one_back(engine, world, index_name) -> None:
    async with AsyncSidecarClient(world.target, timeout=60.0) as client:
        await fill_passages(engine, client, index_name, RULE)
        profile = with_feedback("sparse")
        searcher = AsyncSearcher(engine, client, profile, index=index_name)
        result = await searcher.search("what does the wolf eat on the bridge", size=5, explain=True, passages=True)
    assert result.degraded is None
    assert result.hits[0].id == "d5"
    assert result.hits[0].passage is not None
    assert "cheese" in {share.term for share in result.hits[0].why}, "the best passage says what"
    for hit in result.hits:
        assert sum(share.value for share in hit.why) == pytest.approx(hit.sparse_score, rel=1e-4)
        assert PASSAGE_FIELD not in hit.source


@pytest.mark.parametrize("matching", list(Matching))
async def test_an_application_s_own_body(world, watched, client, matching) -> None:
    searcher = AsyncSearcher(watched, client, with_feedback("hybrid+rerank"), index=world.index)
    body: JsonObject = {
        "query": {
            "bool": {
                "must": [{"match": {"text": "wolf"}}],
                "filter": [{"match": {"text": "bridge"}}],
                "must_not": [{"match": {"text": "rain"}}],
            }
        },
        "post_filter": {"term": {"kind": "odd"}},
        "size": 5,
    }
    augmented = await searcher.augment(body, matching=matching)
    assert (augmented.unchanged, augmented.degraded) == (None, None)
    filters = watched.firsts[-1]["query"]["bool"]["filter"]
    assert filters[-1] == body["post_filter"]
    assert (filters[0] == body["query"]) == (matching is Matching.OWN)
    asked = weights_in(augmented.body)
    assert {"wolf", "bridge"} <= set(asked)
    assert not {"river", "market", "rain"} & set(asked)
    answer = await searcher.search_body(body, matching=matching)
    assert answer.timings.feedback_ms > 0.0
    hits = answer.response["hits"]["hits"]
    assert hits
    assert all("splade" not in hit["_source"] and "_rerank_score" in hit for hit in hits)
    assert all("rain" not in hit["_source"]["text"] for hit in hits)


def test_the_sync_twin_answers_the_same(world) -> None:
    async def asked():
        async with await Engine.connect(world.url) as engine, AsyncSidecarClient(world.target) as client:
            searcher = AsyncSearcher(engine, client, with_feedback("hybrid"), index=world.index)
            return await searcher.search(QUERY, size=7, from_=3, explain=True)

    result = asyncio.run(asked())
    with Searcher(world.url, world.target, with_feedback("hybrid"), index=world.index) as searcher:
        assert searcher.search(QUERY, size=7, from_=3, explain=True).hits == result.hits


@pytest.fixture
def profile_file(tmp_path: Path) -> Path:
    path = tmp_path / "fed.yaml"
    path.write_text(
        "name: fed\nretrievers:\n  - kind: sparse\n    feedback: {method: rocchio, documents: 3, timeout: 20}\n"
        "timeout: 60\nencode_timeout: 20\n"
    )
    return path


def test_the_command(world, profile_file: Path) -> None:
    arguments = ["search", QUERY, "--index", world.index, "--profile", str(profile_file), "--json", "--explain"]
    reached = ["--engine", world.url, "--sidecar", world.target]
    answer = json.loads(typed(*arguments, *reached).stdout)
    assert answer["degraded"] is None
    assert answer["timings"]["feedback_ms"] > 0.0
    assert len(answer["hits"]) == 10
    arguments.remove("--json")
    assert " · feedback " in typed(*arguments, *reached).stdout


def test_it_is_evaluated_like_any_profile(world, profile_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "animals"
    (folder / "qrels").mkdir(parents=True)
    chosen = documents()[:20]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in chosen))
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "cat river rain"}) + "\n")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tcat-river-rain\t1\n")
    report = tmp_path / "report.json"
    where = ["--engine", world.url, "--sidecar", world.target]
    wanted = ["--collection", str(folder), "--profiles", f"sparse,{profile_file}", "--json", str(report)]
    typed("evaluate", *wanted, *where)
    plain, fed = json.loads(report.read_text())["collections"][0]["profiles"]
    assert fed["stages_ms"]["feedback"] > 0.0
    assert "feedback" not in plain["stages_ms"]
    assert fed["settings"]["retrievers"][0]["feedback"]["documents"] == 3
    assert fed["means"]["MRR@10"] == 1.0
