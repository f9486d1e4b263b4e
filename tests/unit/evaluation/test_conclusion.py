"""What an evaluation comes down to."""

from __future__ import annotations

import pytest

from sidecar.evaluation import CollectionReport, Comparison, EvaluationReport, ProfileReport, VectorReport, environment
from sidecar.evaluation.conclusion import conclusions
from sidecar.evaluation.statistics import latency


def _profile(name: str, value: float, compared: tuple[float, float] | None) -> ProfileReport:
    """`compared`: the difference from the baseline, and the corrected p."""
    return ProfileReport(
        profile=name,
        settings={},
        means={"nDCG@10": value, "MRR@10": 1.0 - value, "R@100": 0.5},
        latency_ms=latency([]),
        latency_queries=0,
        stages_ms={},
        against_baseline=None if compared is None else Comparison(compared[0], 0.0, compared[1], 20, 3, 7),
    )


def _report(*profiles: ProfileReport, queries: int = 30, collections: int = 1) -> EvaluationReport:
    vectors = VectorReport(documents_sampled=0, mean_document_terms=None, mean_query_terms=1.0, flops=None)
    return EvaluationReport(
        created="2026-01-01T00:00:00+00:00",
        environment=environment(),
        engine="opensearch 3.8.0",
        baseline="lexical",
        models=(),
        collections=tuple(
            CollectionReport(
                collection=f"c{number}",
                split="test",
                documents=3,
                queries=queries,
                removed_own_documents=0,
                index_bytes=None,
                vectors=vectors,
                profiles=profiles,
            )
            for number in range(collections)
        ),
    )


LEXICAL = _profile("lexical", 0.69, None)


def test_the_best_profile_its_gain_and_that_it_is_no_chance() -> None:
    report = _report(LEXICAL, _profile("sparse", 0.75, (0.06, 0.01)), _profile("hybrid", 0.7512, (0.0612, 0.00001)))
    assert conclusions(report) == (
        "c0, 30 queries: hybrid is best, nDCG@10 0.7512; lexical has 0.6900. The gain of 0.0612 is beyond chance"
        " (p < 0.0001; queries won 20, tied 3, lost 7).",
    )


def test_a_gain_that_may_be_chance_is_called_so() -> None:
    (told,) = conclusions(_report(LEXICAL, _profile("sparse", 0.7, (0.01, 0.4321)), queries=1))
    assert told.startswith("c0, 1 query: sparse is best")
    assert "The gain of 0.0100 may be chance (p = 0.4321;" in told


@pytest.mark.parametrize("value", [0.69, 0.6])
def test_nothing_better_than_the_baseline(value: float) -> None:
    (told,) = conclusions(_report(LEXICAL, _profile("sparse", value, (value - 0.69, 0.2))))
    assert told == "c0, 30 queries: nothing is better than lexical, nDCG@10 0.6900."


def test_what_is_worse_is_named_where_it_is_no_chance() -> None:
    profiles = [_profile("sparse", 0.5, (-0.19, 0.001)), _profile("hybrid", 0.68, (-0.01, 0.9))]
    (told,) = conclusions(_report(LEXICAL, *profiles))
    assert told.endswith("nDCG@10 0.6900. Worse than lexical, beyond chance: sparse.")


def test_one_profile_alone_and_one_sentence_for_each_collection() -> None:
    told = conclusions(_report(LEXICAL, collections=2))
    assert told == tuple(
        f"c{n}, 30 queries: lexical has nDCG@10 0.6900, and nothing is compared with it." for n in (0, 1)
    )
