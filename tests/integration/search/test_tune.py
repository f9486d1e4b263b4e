"""`sidecar tune`: what is computed is what searches answer, and what is written says how it was made."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import pick_encoder
from sidecar.cluster.frequencies import refresh_frequencies
from sidecar.domain import Document, Query
from sidecar.engine import Engine, PassageRule
from sidecar.errors import EvaluationError
from sidecar.evaluation import Collection, JudgedQueries, look_at
from sidecar.evaluation.target import patient
from sidecar.evaluation.temporary_index import indexed_collection
from sidecar.evaluation.tuning import Tuner, TuningPlan
from sidecar.evaluation.tuning.evidence import Gatherer
from sidecar.evaluation.tuning.grid import Grid, grid_of
from sidecar.evaluation.tuning.outcomes import tops_of
from sidecar.evaluation.tuning.replay import first_ranking
from sidecar.evaluation.tuning.settings import tuned
from sidecar.evaluation.tuning.tuner import _heads
from sidecar.search import BUILT_IN, AsyncSearcher, Profile, load_profile
from tests.integration.search.conftest import SUBJECTS, World, fill
from tests.integration.search.test_evaluate_index import _state
from tests.support.shell import typed

pytestmark = pytest.mark.integration

TEXTS = (
    "a wolf near the river",
    "the lion in the snow",
    "a zebra near the city in the sun",
    "the market is long",
    "cold wind",
    "a fish near the bridge and the bear",
)
QUERIES = tuple(Query(f"q{number}", text) for number, text in enumerate(TEXTS))
JUDGEMENTS = {
    "q0": {"wolf-river-rain": 1, "wolf-forest-rain": 1},
    "q1": {"lion-river-snow": 2, "bear-city-snow": 1},
    "q2": {"zebra-city-sun": 1},
    "q3": {"fish-market-wind": 1, "dog-market-sun": 1},
    "q4": {"cat-river-wind": 1},
    "q5": {"fish-bridge-rain": 1, "bear-bridge-sun": 2},
}
JUDGED = JudgedQueries("made", "dev", QUERIES, JUDGEMENTS)
SETTINGS = 5


@pytest.fixture(scope="module")
def counted(opensearch, search_sidecar) -> Iterator[World]:
    """The same documents in an index whose terms were counted."""
    name = f"search-{uuid.uuid4().hex[:8]}"

    async def make() -> None:
        await fill(opensearch.url, search_sidecar.target, name)
        async with await Engine.connect(opensearch.url) as engine, AsyncSidecarClient(search_sidecar.target) as client:
            await refresh_frequencies(engine, client, name, model=pick_encoder(await client.models(), None).name)

    async def delete() -> None:
        async with await Engine.connect(opensearch.url) as engine:
            await engine.delete_index(name, missing_ok=True)

    asyncio.run(make())
    yield World(opensearch.url, search_sidecar.target, name)
    asyncio.run(delete())


def _small(name: str, **more: object) -> Profile:
    """A built-in profile with little to read, and with other settings on top."""
    values = BUILT_IN[name].model_dump() | {"name": "small", "candidates": 30} | more
    if values["rerank"] is not None:
        values["rerank"] |= {"depth": 12}
    return Profile.parse(values)


def _with(name: str, **rerank: object) -> Profile:
    small = _small(name)
    assert small.rerank is not None
    return Profile.parse(small.model_dump() | {"rerank": small.rerank.model_dump() | rerank})


FED = {"kind": "sparse", "weight": 0.6, "collection_idf": 0.5, "feedback": {"documents": 3, "terms": 10, "weight": 0.3}}

SEVERAL = {
    "hybrid+rerank": _small("hybrid+rerank"),
    "hybrid-rrf": _small("hybrid-rrf"),
    "lexical+rerank": _small("lexical+rerank"),
    "summed": _small("hybrid+rerank", fusion={"normalization": "none"}),
    "cut off": _with("sparse+rerank", cut_off=0.4),
    "feedback": _small("hybrid+rerank", retrievers=[{"kind": "lexical", "weight": 0.4}, FED]),
    "two phases": _small("hybrid", retrievers=[{"kind": "lexical"}, {"kind": "sparse", "two_phase": {"ratio": 0.6}}]),
}


@pytest.mark.parametrize("profile", SEVERAL.values(), ids=SEVERAL)
async def test_what_is_computed_is_what_a_search_with_the_tuned_profile_answers(
    counted: World, engine: Engine, client: AsyncSidecarClient, profile: Profile
) -> None:
    await _agree(counted, engine, client, profile)


async def test_what_is_computed_is_what_a_search_that_stops_early_answers(
    counted: World, engine: Engine, judge: AsyncSidecarClient
) -> None:
    """The whole head is read here, and by the search as much of it as the page needs."""
    await _agree(counted, engine, judge, _with("hybrid+rerank", calibrated=True, stop_early=4))


async def _agree(counted: World, engine: Engine, client: AsyncSidecarClient, profile: Profile) -> None:
    """For the profile as it is, and for settings drawn at random: not one document may be in another place."""
    live = await look_at(engine, counted.index, JUDGED)
    assert live.frequencies is not None
    whole = grid_of(profile, frequencies=True)
    drawn = random.Random(5).sample(whole.settings[1:], min(SETTINGS, len(whole.settings) - 1))
    asked = [whole.start, *drawn]
    grid = Grid(tuple(dict.fromkeys(one.first for one in asked)), whole.reranks)
    gatherer = Gatherer(engine, client, live.target, patient(profile), 20)
    computed = {}
    for query in QUERIES:
        searches = await gatherer.searches(query, grid.idf_shares)
        firsts = {
            one: first_ranking(searches.lists[one.collection_idf], one, profile.candidates) for one in grid.firsts
        }
        read = await gatherer.read(query, searches, _heads(firsts, grid))
        for setting, top in zip(grid.settings, tops_of(grid, firsts, read, profile.rerank, None, 10), strict=True):
            computed[setting, query.id] = top
    for setting in asked:
        searcher = AsyncSearcher(engine, client, patient(tuned(profile, setting, "tuned")), index=counted.index)
        for query in QUERIES:
            found = await searcher.search(query.text, size=10)
            assert found.degraded is None
            assert computed[setting, query.id] == tuple(hit.id for hit in found.hits), setting.axes()


@pytest.mark.parametrize(("force", "max_depth"), [(False, None), (True, None), (True, 25)])
async def test_the_profile_that_is_written_answers_as_tuning_computed(
    counted: World, engine: Engine, client: AsyncSidecarClient, force: bool, max_depth: int | None
) -> None:
    live = await look_at(engine, counted.index, JUDGED)
    plan = TuningPlan(_small("hybrid+rerank"), "mine", folds=3, force=force, max_depth=max_depth)
    found = await Tuner(engine, client, plan).tune_index(live)
    searcher = AsyncSearcher(engine, client, patient(found.profile), index=counted.index)
    for query in QUERIES:
        result = await searcher.search(query.text, size=10)
        assert found.rankings[query.id] == tuple(hit.id for hit in result.hits)
    report = found.report
    assert (report.index, report.split, report.queries, report.seed) == (counted.index, "dev", 6, 0)
    assert [fold.queries for fold in report.folds] == [2, 2, 2]
    assert {model.kind for model in report.models} == {"sparse-encoder", "cross-encoder"}
    assert live.target.meta.fingerprint in {model.fingerprint for model in report.models}
    assert report.pairs >= 6 * (max_depth or 12)
    depths = [point.value for point in report.curves["rerank depth"]]
    assert depths == ([10, 12] if max_depth is None else [10, 12, 20, 25])
    assert report.held_out_mean - report.start_mean == pytest.approx(report.against_start.difference)
    wanted = report.changed and (force or report.beyond_chance)
    assert report.wrote == ("chosen" if wanted else "start")
    assert set(report.start) == set(report.curves) == set(report.chosen)
    assert any("6 judged queries are few" in note for note in report.notes)


async def test_without_frequencies_their_share_is_not_tuned_and_that_is_said(
    world: World, engine: Engine, client: AsyncSidecarClient
) -> None:
    live = await look_at(engine, world.index, JUDGED)
    assert live.frequencies is None
    report = (await Tuner(engine, client, TuningPlan(_small("hybrid"), "mine")).tune_index(live)).report
    assert set(report.start) == {"fusion", "sparse share"}
    assert any(f"`sidecar frequencies --index {world.index}`" in note for note in report.notes)
    with pytest.raises(EvaluationError, match="nothing to tune in the profile small"):
        await Tuner(engine, client, TuningPlan(_small("sparse"), "mine")).tune_index(live)


async def test_passages_are_read_as_a_search_reads_them(engine: Engine, client: AsyncSidecarClient) -> None:
    """Which passage is the best one depends on the query's weights."""
    filler = "the weather is cold and the road is long. " * 5
    texts = [f"the {one} is here. {filler}the {one} eats cheese on the bridge. {filler}" for one in SUBJECTS]
    documents = tuple(Document(f"d{n}", {"title": "", "text": text}) for n, text in enumerate(texts))
    queries = tuple(Query(f"q{n}", f"{one} cheese bridge") for n, one in enumerate(SUBJECTS[:5]))
    collection = Collection("long", "dev", queries, {f"q{n}": {f"d{n}": 1} for n in range(5)}, documents)
    profile = _small("hybrid+rerank")
    async with indexed_collection(engine, client, collection, passages=PassageRule(20, 10, 8)) as indexed:
        live = await look_at(engine, indexed.name, collection)
        found = await Tuner(engine, client, TuningPlan(profile, "mine", folds=2, force=True)).tune_index(live)
        searcher = AsyncSearcher(engine, client, patient(found.profile), index=indexed.name)
        for query in queries:
            result = await searcher.search(query.text, size=10)
            assert found.rankings[query.id] == tuple(hit.id for hit in result.hits)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A collection whose test split is unreadable: nobody may look at it."""
    folder = tmp_path / "animals"
    (folder / "qrels").mkdir(parents=True)
    words = ["cat", "dog", "horse", "bird", "fish", "mouse", "lion", "bear"]
    corpus = [{"_id": f"d{n}", "title": word, "text": f"a {word} in the rain"} for n, word in enumerate(words)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in corpus))
    queries = [{"_id": f"q{n}", "text": word} for n, word in enumerate(words)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(one) + "\n" for one in queries))
    (folder / "qrels" / "dev.tsv").write_text("".join(f"q{n}\td{n}\t1\n" for n in range(len(words))))
    (folder / "qrels" / "test.tsv").write_text("this is no file of judgements\n")
    return folder


def test_a_profile_that_can_not_be_bettered_is_written_as_it_is(world: World, collection: Path, tmp_path: Path) -> None:
    """Each query is one word, which one document holds: BM25 finds it first, and nothing finds it sooner."""
    out, report_file = tmp_path / "out" / "mine.yaml", tmp_path / "tuning.json"
    command = [
        "tune", "--collection", str(collection), "--profile", "lexical+rerank", "--measure", "MRR@10", "--folds", "4",
        "--out", str(out), "--engine", world.url, "--sidecar", world.target,
    ]  # fmt: skip
    start = tmp_path / "start.yaml"
    start.write_text("name: start\nretrievers: [{kind: lexical}]\nrerank: {depth: 10, weight: 0.1}\n")
    command[command.index("lexical+rerank")] = str(start)
    done = typed(*command, "--json", str(report_file))
    for shown in ("MRR@10 on animals, 8 queries", "rerank share", "around the chosen setting"):
        assert shown in done.stdout
    assert "8 judged queries are few" in done.stderr
    made = load_profile(out)
    assert made.name == "mine"
    assert made.model_copy(update={"name": "start"}) == load_profile(start)
    report = json.loads(report_file.read_text())
    assert (report["measured_on"], report["split"], report["wrote"]) == ("animals", "dev", "start")
    assert report["verdict"] in " ".join(done.stderr.split())
    text = out.read_text()
    assert text.startswith("# Made by `sidecar tune` from start, 20")
    assert all(model["fingerprint"] in text for model in report["models"])
    again = typed(*command, code=1)
    assert "exists already" in again.stderr
    both = typed(*command[:-6], "--out", str(tmp_path / "both"), "--json", str(tmp_path / "both"), code=1)
    assert "--out and --json name the same file" in both.stderr
    assert out.read_text() == text

    async def left() -> list[str]:
        async with await Engine.connect(world.url) as engine:
            return list(await engine.mappings("sidecar-evaluation-animals-*"))

    assert asyncio.run(left()) == []


def test_a_live_index_is_tuned_on_and_left_as_it_is(counted: World, tmp_path: Path) -> None:
    before = asyncio.run(_state(counted.url, counted.index))
    queries, qrels, out = tmp_path / "queries.jsonl", tmp_path / "judged.tsv", tmp_path / "tuned.yaml"
    queries.write_text("".join(json.dumps({"_id": one.id, "text": one.text}) + "\n" for one in QUERIES))
    grades = [(query, *one) for query, found in JUDGEMENTS.items() for one in found.items()]
    qrels.write_text(
        "".join(f"{query}\t{document}\t{grade}\n" for query, document, grade in [*grades, ("q4", "lost", 1)])
    )
    done = typed(
        "tune", "--index", counted.index, "--queries", str(queries), "--qrels", str(qrels), "--profile", "hybrid",
        "--measure", "R@100", "--out", str(out), "--engine", counted.url, "--sidecar", counted.target,
    )  # fmt: skip
    assert asyncio.run(_state(counted.url, counted.index)) == before
    assert "lacks 1 of the judged documents; for 1 of 6 queries" in done.stderr
    assert f"index {counted.index} (judged by judged)" in " ".join(out.read_text().replace("#", "").split())
    assert load_profile(out).lexical is not None
