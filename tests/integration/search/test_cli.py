"""`sidecar search` and `sidecar evaluate` as they are typed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidecar.cli.main import command_line
from sidecar.client import AsyncSidecarClient
from sidecar.cluster.passages import split
from sidecar.engine import BulkAction, Engine, PassageRule
from sidecar.errors import EvaluationError, InvalidInput, ProfileInvalid, SidecarUnavailable, UnknownModel
from sidecar.evaluation import read_collection, read_run
from sidecar.evaluation.temporary_index import indexed_collection

pytestmark = pytest.mark.integration

WORDS = ["cat", "dog", "horse", "bird", "fish", "mouse", "lion", "bear", "wolf", "zebra"]


def _run(*arguments: str):
    return CliRunner(env={"COLUMNS": "200"}).invoke(command_line(), list(arguments), catch_exceptions=False)


def _where(world) -> list[str]:
    return ["--engine", world.url, "--sidecar", world.target]


def test_search_shows_hits_scores_and_terms(world) -> None:
    result = _run("search", "a wolf near the river", "--index", world.index, "--explain", "--size", "3", *_where(world))
    assert result.exit_code == 0
    assert "wolf-river-" in result.stdout
    for column in ("lexical", "sparse", "first stage", "rerank"):
        assert column in result.stdout
    assert "documents match" not in result.stdout, "they are counted only where the profile asks for it"
    assert "degraded" not in result.stdout


def test_search_as_json_with_a_filter(world) -> None:
    result = _run(
        "search", "wolf", "--index", world.index, "--profile", "sparse", "--json", "--size", "4", "--from", "2",
        "--filter", '{"term": {"kind": "odd"}}', *_where(world),
    )  # fmt: skip
    answer = json.loads(result.stdout)
    assert [hit["rank"] for hit in answer["hits"]] == [3, 4, 5, 6]
    assert {hit["source"]["kind"] for hit in answer["hits"]} == {"odd"}
    assert answer["degraded"] is None
    assert answer["timings"]["total_ms"] > 0


def test_search_without_a_sidecar_says_so(world) -> None:
    result = _run("search", "wolf", "--index", world.index, "--engine", world.url, "--sidecar", "127.0.0.1:1")
    assert result.exit_code == 0
    assert "degraded" in result.stdout
    assert "wolf-" in result.stdout


def test_search_refuses_what_it_cannot_read(world) -> None:
    with pytest.raises(ProfileInvalid):
        _run("search", "wolf", "--index", world.index, "--profile", "dense", *_where(world))
    for clause in ("{", "[1]"):
        with pytest.raises(InvalidInput):
            _run("search", "wolf", "--index", world.index, "--filter", clause, *_where(world))


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Twelve documents (one of them empty), ten queries; one query is a document of the same id and text."""
    folder = tmp_path / "animals"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{n}", "title": word, "text": f"a {word} in the rain"} for n, word in enumerate(WORDS)]
    corpus += [{"_id": "empty", "title": "", "text": ""}, {"_id": "q3", "title": "", "text": "bird"}]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in corpus))
    queries = [{"_id": f"q{n}", "text": word} for n, word in enumerate(WORDS)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(one) + "\n" for one in queries))
    qrels = "".join(f"q{n}\td{n}\t2\n" for n in range(len(WORDS)))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    return folder


def test_evaluate_measures_and_leaves_nothing_behind(world, collection: Path, tmp_path: Path) -> None:
    report_file, runs = tmp_path / "out" / "report.json", tmp_path / "runs"
    result = _run(
        "evaluate", "--collection", str(collection), "--profiles", "lexical,sparse,hybrid,hybrid+rerank",
        "--json", str(report_file), "--runs", str(runs), "--per-query", "--latency-queries", "3", *_where(world),
    )  # fmt: skip
    assert result.exit_code == 0
    for shown in ("nDCG@10", "MRR@10", "R@100", "latency", "terms", "/doc", "animals"):
        assert shown in result.stdout
    report = json.loads(report_file.read_text())
    (found,) = report["collections"]
    assert (found["documents"], found["empty_documents"], found["queries"]) == (12, 1, 10)
    assert found["removed_own_documents"] == 1
    assert found["index_bytes"] > 0
    assert found["vectors"]["documents_sampled"] == 11
    assert found["vectors"]["mean_document_terms"] > 0
    assert found["vectors"]["flops"] > 0
    profiles = {one["profile"]: one for one in found["profiles"]}
    assert list(profiles) == ["lexical", "sparse", "hybrid", "hybrid+rerank"]
    # Every query is one word, which one document holds: found first, or the arithmetic is wrong.
    assert profiles["lexical"]["means"] == {"nDCG@10": 1.0, "MRR@10": 1.0, "R@100": 1.0}
    assert report["means"]["lexical"]["nDCG@10"] == 1.0
    assert len(profiles["sparse"]["per_query"]) == 10
    assert report["baseline"] == "lexical"
    assert "against_baseline" not in profiles["lexical"]
    compared = profiles["hybrid+rerank"]["against_baseline"]
    assert 0 < compared["p_value"] <= compared["p_corrected"] <= 1
    assert compared["wins"] + compared["ties"] + compared["losses"] == 10
    assert "nDCG@10 against lexical" in result.stdout
    assert "warning" not in result.stderr
    assert "note: animals: with 10 judged queries a difference" in result.stderr
    assert "note: animals: for 1 of 10 queries the document of the same id is the query itself" in result.stderr
    assert result.stdout.startswith("animals, 10 queries: ")
    assert "answers worse than" not in result.stdout
    assert profiles["hybrid+rerank"]["stages_ms"]["rerank"] > 0
    assert report["environment"]["cores"] >= 1
    assert {model["kind"] for model in report["models"]} == {"sparse-encoder", "cross-encoder"}
    run = read_run(runs / "animals" / "lexical.trec")
    assert run["q0"][0].document == "d0"
    assert all("q3" not in [line.document for line in run[query]] for query in ("q3",))

    async def left() -> list[str]:
        async with await Engine.connect(world.url) as engine:
            return list(await engine.mappings("sidecar-evaluation-animals-*"))

    assert asyncio.run(left()) == []


def test_evaluate_compares_with_a_baseline_and_warns_of_what_is_not_there(
    world, collection: Path, tmp_path: Path
) -> None:
    with (collection / "qrels" / "test.tsv").open("a") as qrels:
        qrels.write("q2\tlost\t1\nq2\tgone\t0\nq4\tlost\t0\n")
    report_file = tmp_path / "report.json"
    command = ["evaluate", "--collection", str(collection), "--latency-queries", "1", "--json", str(report_file)]
    result = _run(*command, "--profiles", "sparse,hybrid", *_where(world))
    assert result.exit_code == 0
    assert "animals: corpus.jsonl lacks 2 of the judged documents; for 1 of 10 queries" in result.stderr
    assert "nDCG@10 against sparse" in result.stdout
    report = json.loads(report_file.read_text())
    (found,) = report["collections"]
    assert report["baseline"] == "sparse"
    assert (found["missing_documents"], found["queries_missing_relevant"]) == (2, 1)
    assert ["against_baseline" in one for one in found["profiles"]] == [False, True]
    with pytest.raises(EvaluationError, match="lexical is none of the profiles: sparse, hybrid"):
        _run(*command, "--profiles", "sparse,hybrid", "--baseline", "lexical", *_where(world))


def test_search_by_a_profile_whose_model_nobody_serves(world, tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("name: mine\nretrievers: [{kind: sparse, model: nosuch}]\n")
    with pytest.raises(UnknownModel, match=r"model nosuch .* \(it serves [^)]+\).*leave `model` out"):
        _run("search", "wolf", "--index", world.index, "--profile", str(profile), *_where(world))


def test_evaluate_measures_passages(world, tmp_path: Path) -> None:
    """Of two documents with the same words, the one that has them in one place is found first."""
    folder = tmp_path / "reports"
    (folder / "qrels").mkdir(parents=True)
    sentence = "the weather is cold and the road is long. "
    apart = f"the wolf is here. {sentence * 8}the bridge is there. {sentence * 8}cheese is good."
    together = f"{sentence * 8}the wolf eats cheese on the bridge. {sentence * 8}"
    corpus = [
        {"_id": "apart", "title": "", "text": apart},
        {"_id": "together", "title": "", "text": together},
        {"_id": "short", "title": "", "text": "a mountain"},
        {"_id": "empty", "title": "", "text": ""},
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in corpus))
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "wolf cheese bridge"}) + "\n")
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq\ttogether\t1\n")
    report_file = tmp_path / "report.json"
    result = _run(
        "evaluate", "--collection", str(folder), "--split", "dev", "--profiles", "sparse,hybrid",
        "--passages", "--passage-words", "20", "--passage-limit", "30", "--json", str(report_file), *_where(world),
    )  # fmt: skip
    assert result.exit_code == 0
    assert "vectors" in result.stdout
    (found,) = json.loads(report_file.read_text())["collections"]
    assert found["passages"] == {"words": 20, "stride": 10, "limit": 30}
    assert (found["empty_documents"], found["vectors"]["documents_sampled"]) == (1, 3)
    passages = [len(split(one["text"], PassageRule(20, 10, 30)).passages) for one in corpus[:3]]
    assert found["vectors"]["mean_document_vectors"] == pytest.approx(sum(passages) / 3)
    assert found["vectors"]["mean_document_terms"] > found["vectors"]["mean_document_vectors"]
    assert found["documents_truncated"] == 0
    assert found["profiles"][0]["means"]["nDCG@10"] == 1.0


async def test_the_size_is_that_of_this_moment(world, collection: Path) -> None:
    """A size that the cluster remembers from before the merge is not the size of what is measured."""
    async with (
        await Engine.connect(world.url) as engine,
        AsyncSidecarClient(world.target) as client,
        indexed_collection(engine, client, read_collection(collection)) as indexed,
    ):
        assert indexed.size_bytes == await engine.index_size(indexed.name)
        more = [BulkAction(indexed.name, f"more{n}", {"text": f"word{n} " * 50}) for n in range(200)]
        assert all(item.written for item in await engine.bulk(more, refresh=True))
        assert await engine.index_size(indexed.name) > indexed.size_bytes


def test_evaluate_refuses_options_of_passages_alone(world, collection: Path) -> None:
    with pytest.raises(InvalidInput, match="--passages"):
        _run("evaluate", "--collection", str(collection), "--passage-words", "20", *_where(world))


def test_evaluate_does_not_measure_a_fallback(world, collection: Path) -> None:
    """Without a sidecar there would be figures of BM25 under the name of `sparse`."""
    with pytest.raises(SidecarUnavailable):
        _run("evaluate", "--collection", str(collection), "--engine", world.url, "--sidecar", "127.0.0.1:1")


def test_evaluate_names_what_is_missing(world, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no collection"):
        _run("evaluate", "--collection", str(tmp_path / "none"), *_where(world))
