"""`sidecar evaluate --index`: on an index that exists, which stays as it is."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sidecar.cli.connections import ClusterAddress
from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexRun, Source
from sidecar.domain import JsonObject, as_object
from sidecar.engine import BulkAction, Engine
from sidecar.errors import EvaluationError, FingerprintMismatch, IndexNotFound
from sidecar.evaluation import Experiment, JudgedQueries, Plan, look_at, read_judged_queries, read_run
from sidecar.search import BUILT_IN
from tests.integration.search.conftest import World, put
from tests.support.shell import typed

pytestmark = pytest.mark.integration

QUERIES = {
    "river": "a wolf near the river",
    "snow": "the lion in the snow",
    "zebra-city-sun": "a zebra near the city in the sun. the city is long and the sun is cold.",
    "market": "a fish near the market",
}


def _judge(folder: Path, grades: Sequence[tuple[str, str, int]]) -> list[str]:
    queries, qrels = folder / "queries.jsonl", folder / "judged.tsv"
    queries.write_text("".join(json.dumps({"_id": name, "text": text}) + "\n" for name, text in QUERIES.items()))
    lines = "".join(f"{query}\t{document}\t{grade}\n" for query, document, grade in grades)
    qrels.write_text("query-id\tcorpus-id\tscore\n" + lines)
    return ["--queries", str(queries), "--qrels", str(qrels)]


GRADES = [
    *(("river", f"wolf-river-{weather}", 2) for weather in ("rain", "snow", "sun", "wind")),
    ("snow", "lion-river-snow", 1),
    ("zebra-city-sun", "zebra-city-rain", 1),
    ("snow", "unknown", 1),
    ("snow", "unknown-too", 0),
]


@pytest.fixture
def judged(tmp_path: Path) -> list[str]:
    return _judge(tmp_path, GRADES)


async def _state(url: str, index: str) -> JsonObject:
    """All that a write, a merge, a setting or an index of somebody's own would change."""
    async with await Engine.connect(url) as engine:
        mapping = await engine.read("GET", f"/{index}/_mapping")
        names = await engine.read("GET", "/_all/_settings")
        stats = as_object(as_object((await engine.read("GET", f"/{index}/_stats"))["_all"])["primaries"])
    counted = {key: as_object(stats[key]) for key in ("docs", "indexing", "merges")}
    kept = ("count", "deleted", "index_total", "delete_total", "total")
    return {
        "mapping": mapping,
        "settings": names,
        **{key: {one: value[one] for one in kept if one in value} for key, value in counted.items()},
    }


def test_a_live_index_is_measured_and_left_as_it_is(world: World, judged: list[str], tmp_path: Path) -> None:
    before = asyncio.run(_state(world.url, world.index))
    report_file, runs = tmp_path / "report.json", tmp_path / "runs"
    done = typed(
        "evaluate", "--index", world.index, *judged, "--profiles", "lexical,sparse,hybrid,hybrid+rerank",
        "--json", str(report_file), "--runs", str(runs), "--latency-queries", "2",
        "--engine", world.url, "--sidecar", world.target,
    )  # fmt: skip
    assert asyncio.run(_state(world.url, world.index)) == before
    for shown in ("nDCG@10", "MRR@10", "R@100", "latency", "terms", "/doc", "as it is, not merged"):
        assert shown in done.stdout
    lacks = f"{world.index} lacks 2 of the judged documents; for 1 of 3 queries one of them is relevant"
    assert lacks in done.stderr
    assert f"1 of 241 documents of {world.index} have no vector" in done.stderr
    report = json.loads(report_file.read_text())
    (found,) = report["collections"]
    assert (found["index"], found["split"], found["documents"]) == (world.index, "judged", 241)
    assert found["documents_without_vector"] == 1
    assert (found["missing_documents"], found["queries_missing_relevant"], found["queries"]) == (2, 1, 3)
    assert found["index_bytes"] > 0
    assert found["vectors"]["documents_sampled"] == 240
    assert found["vectors"]["mean_document_terms"] > 0
    assert found["vectors"]["flops"] > 0
    assert "documents_per_second" not in found
    profiles = {one["profile"]: one for one in found["profiles"]}
    assert profiles["hybrid+rerank"]["against_baseline"]["p_corrected"] <= 1
    # Of four documents with wolf and river all are relevant, and no other one has both words.
    run = read_run(runs / world.index / "lexical.trec")
    assert {line.document for line in run["river"][:4]} == {f"wolf-river-{w}" for w in ("rain", "snow", "sun", "wind")}


def test_the_document_that_is_the_query_does_not_count(world: World, judged: list[str]) -> None:
    """Its id is the query's, and its text the query's text; the query `river` is no document."""
    live = asyncio.run(_looked(world, _read(world, judged)))
    assert live.target.own_documents == {"zebra-city-sun": "zebra-city-sun"}
    assert live.missing == {"unknown", "unknown-too"}


def test_the_document_that_is_the_query_counts_where_it_is_judged_relevant(world: World, tmp_path: Path) -> None:
    judged = _judge(tmp_path, [*GRADES, ("zebra-city-sun", "zebra-city-sun", 1)])
    assert asyncio.run(_looked(world, _read(world, judged))).target.own_documents == {}


def test_queries_that_lost_most_are_shown_and_those_without_an_answer_counted(world: World, tmp_path: Path) -> None:
    """Titles do not say where: all fish are alike there, and those of the market are not among the first ten."""
    grades = [("market", f"fish-market-{weather}", 1) for weather in ("rain", "snow", "sun", "wind")]
    judged = _judge(tmp_path, [*grades, *GRADES[:4], ("snow", "lion-river-snow", 0)])
    profile = tmp_path / "titles.yaml"
    profile.write_text("name: titles\nretrievers: [{kind: lexical, fields: [title]}]\n")
    done = typed(
        "evaluate", "--index", world.index, *judged, "--profiles", f"lexical,{profile}", "--worst", "2",
        "--latency-queries", "1", "--json", str(tmp_path / "r.json"), "--engine", world.url, "--sidecar", world.target,
    )  # fmt: skip
    assert "for 1 of 3 queries no document is judged relevant; they count as 0" in done.stderr
    assert json.loads((tmp_path / "r.json").read_text())["collections"][0]["queries_without_relevant"] == 1
    assert done.stdout.startswith(f"{world.index}, 3 queries: nothing is better than lexical, nDCG@10 0.6667.")
    shown = " ".join(done.stdout.split())
    assert f"{world.index}: what titles answers worse than lexical, nDCG@10" in shown
    assert "1.0000 0.0000 -1.0000 market a fish near the market" in shown
    assert "1 of 1 that lost something" in shown


async def _looked(world: World, judged: JudgedQueries):
    async with await ClusterAddress(world.url).connect() as engine:
        return await look_at(engine, world.index, judged)


def _read(world: World, judged: list[str]) -> JudgedQueries:
    return read_judged_queries(Path(judged[1]), Path(judged[3]), world.index)


def test_ids_of_something_else_are_told_before_anything_is_measured(world: World, tmp_path: Path) -> None:
    judged = _read(world, _judge(tmp_path, [("river", "4711", 1)]))
    with pytest.raises(EvaluationError, match="none of the 1 judged documents: the ids"):
        asyncio.run(_looked(world, judged))


def test_many_judged_documents_are_all_looked_for(world: World, tmp_path: Path) -> None:
    """More than fit one request, most of them unknown."""
    grades = [("river", f"unknown-{number}", 1) for number in range(1_000)] + GRADES[:4]
    live = asyncio.run(_looked(world, _read(world, _judge(tmp_path, grades))))
    assert live.missing == {f"unknown-{number}" for number in range(1_000)}
    assert live.queries_missing_relevant == 1


def test_an_index_that_does_not_exist(world: World, judged: list[str]) -> None:
    done = typed(
        "evaluate", "--index", "no-such-index", *judged, "--engine", world.url, "--sidecar", world.target, code=1
    )
    assert "no-such-index" in done.stderr
    with pytest.raises(IndexNotFound):
        asyncio.run(_looked(World(world.url, world.target, "no-such-index"), _read(world, judged)))


@pytest.fixture
def alias(world: World) -> Iterator[World]:
    """An alias of two indices, in both of which lies a document of the same id."""
    names = [f"search-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    corpora = [
        [{"_id": "both", "title": "the wolf", "text": "a wolf near the river"}],
        [
            {"_id": "both", "title": "a wolf", "text": "the wolf near a river. the river is long."},
            {"_id": "other", "title": "the river", "text": "a river in the snow"},
        ],
    ]
    name = f"alias-{uuid.uuid4().hex[:8]}"

    async def make() -> None:
        for index, corpus in zip(names, corpora, strict=True):
            await put(world.url, world.target, index, corpus)
        async with await Engine.connect(world.url) as engine:
            actions = [{"add": {"index": index, "alias": name}} for index in names]
            await engine.send("POST", "/_aliases", {"actions": actions})

    async def delete() -> None:
        async with await Engine.connect(world.url) as engine:
            for index in names:
                await engine.delete_index(index, missing_ok=True)

    asyncio.run(make())
    yield World(world.url, world.target, name)
    asyncio.run(delete())


def test_documents_of_one_id_count_once(alias: World, tmp_path: Path) -> None:
    """Judgements know ids alone: the second document of an id takes no place in the run."""
    judged = _judge(tmp_path, [("river", "both", 1), ("river", "other", 1)])
    typed(
        "evaluate", "--index", alias.index, *judged, "--profiles", "lexical", "--runs", str(tmp_path / "runs"),
        "--json", str(tmp_path / "r.json"), "--engine", alias.url, "--sidecar", alias.target,
    )  # fmt: skip
    run = read_run(tmp_path / "runs" / alias.index / "lexical.trec")
    assert [line.document for line in run["river"]] == ["both", "other"]
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["means"]["lexical"] == {"nDCG@10": 1.0, "MRR@10": 1.0, "R@100": 1.0}
    assert report["collections"][0]["documents"] == 3


async def test_vectors_that_are_not_in_source_are_not_counted(
    world: World, engine: Engine, client: AsyncSidecarClient, index_name: str, tmp_path: Path
) -> None:
    (mapping,) = (await engine.mappings(world.index)).values()
    await engine.create_index(index_name, {"mappings": {**mapping, "_source": {"excludes": ["splade"]}}})
    lines = json.dumps({"_id": "a", "title": "wolf", "text": "a wolf near the river"}).encode()
    with DeadLetters(None) as letters:
        await IndexRun(engine, client, index_name, Source(io.BytesIO(lines), "_id", len(lines)), letters).run()
    judged = _read(World(world.url, world.target, index_name), _judge(tmp_path, [("river", "a", 1)]))
    experiment = Experiment(engine, client, Plan((BUILT_IN["sparse"],)))
    live = await experiment.look_at(index_name, judged)
    assert (live.documents, live.without_vector) == (1, 0)
    found = await experiment.evaluate_index(live)
    assert found.vectors.documents_sampled == 0
    assert found.vectors.mean_document_terms is None
    assert found.vectors.mean_query_terms > 0
    assert found.profiles[0].means["nDCG@10"] == 1.0


async def test_an_index_of_a_model_that_is_not_served_is_refused(
    world: World, engine: Engine, client: AsyncSidecarClient, index_name: str, judged: list[str]
) -> None:
    """Its record names another model than any that the sidecar has."""
    (mapping,) = (await engine.mappings(world.index)).values()
    meta = as_object(mapping["_meta"])
    record = {**as_object(meta["splade_sidecar"]), "fingerprint": "0" * 64}
    await engine.create_index(index_name, {"mappings": {**mapping, "_meta": {**meta, "splade_sidecar": record}}})
    await engine.bulk([BulkAction(index_name, "wolf-river-rain", {"title": "wolf"})], refresh=True)
    experiment = Experiment(engine, client, Plan((BUILT_IN["sparse"],)))
    live = await experiment.look_at(index_name, _read(World(world.url, world.target, index_name), judged))
    with pytest.raises(FingerprintMismatch):
        await experiment.evaluate_index(live)
