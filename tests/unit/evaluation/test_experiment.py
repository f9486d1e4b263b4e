"""What is measured, and what must not be."""

from __future__ import annotations

import pytest

from sidecar.domain import Query
from sidecar.engine import IndexMeta, PassageRule
from sidecar.errors import EvaluationError
from sidecar.evaluation.experiment import (
    PATIENCE_SECONDS,
    Experiment,
    Plan,
    _patient,
    _ranking,
    _stages,
    _stored_vectors,
)
from sidecar.evaluation.run import Ranked
from sidecar.search import BUILT_IN, NO_QUERY_TERMS, Profile, Rocchio, SearchHit, SearchResult, StageTimings


def _result(*names: str, **more) -> SearchResult:
    hits = tuple(SearchHit(name, rank, {}) for rank, name in enumerate(names, start=1))
    return SearchResult(hits, len(hits), "hybrid", **more)


class Answering:
    """Answers every search with the same result."""

    def __init__(self, result: SearchResult) -> None:
        self.result = result

    async def search(self, text: str, size: int) -> SearchResult:
        return self.result


@pytest.fixture
def experiment() -> Experiment:
    return Experiment(None, None, Plan(profiles=()))  # type: ignore[arg-type]  # nothing below asks either


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (_result("a", degraded="SIDECAR_UNAVAILABLE", degraded_stage="encode"), "SIDECAR_UNAVAILABLE"),
        (_result("a", degraded="OVERLOADED", degraded_stage="rerank"), "stage rerank"),
        (_result("a", partial=True), "shards"),
    ],
)
async def test_a_fallback_is_never_measured(experiment, result, says) -> None:
    with pytest.raises(EvaluationError, match=says) as caught:
        await experiment._searched(Answering(result), Query("q7", "the user's text"), 10)
    assert "q7" in str(caught.value)
    assert "user's text" not in str(caught.value)


async def test_a_query_without_terms_is_an_answer(experiment) -> None:
    result = _result("a", degraded=NO_QUERY_TERMS, degraded_stage="encode")
    assert await experiment._searched(Answering(result), Query("q", "!"), 10) is result


def test_a_run_counts_down_from_its_depth() -> None:
    assert _ranking(_result("a", "b", "c"), None, 2) == [Ranked("a", 2.0), Ranked("b", 1.0)]


def test_the_querys_own_document_makes_room_for_the_next() -> None:
    assert [line.document for line in _ranking(_result("a", "own", "c"), "own", 2)] == ["a", "c"]


@pytest.mark.parametrize("profile", BUILT_IN.values(), ids=BUILT_IN)
def test_patience_changes_nothing_but_time(profile) -> None:
    patient = _patient(profile)
    assert patient.timeout == patient.encode_timeout == PATIENCE_SECONDS
    times = {"timeout", "encode_timeout"}
    assert patient.model_dump(exclude={*times, "rerank"}) == profile.model_dump(exclude={*times, "rerank"})
    if profile.rerank is not None:
        assert patient.rerank is not None
        assert patient.rerank.timeout == PATIENCE_SECONDS
        assert patient.rerank.model_dump(exclude={"timeout"}) == profile.rerank.model_dump(exclude={"timeout"})


META = IndexMeta(fingerprint="a" * 64, bundle="m")


@pytest.mark.parametrize(
    ("stored", "passages", "found"),
    [
        ({"wolf": 1.0}, None, [{"wolf": 1.0}]),
        ([{"vector": {"wolf": 1.0}}], None, []),
        ([{"vector": {"wolf": 1.0}}, {"vector": {"road": 2.0}}], PassageRule(), [{"wolf": 1.0}, {"road": 2.0}]),
        ([{"vector": {"wolf": 1.0}}, {"text": "a road"}], PassageRule(), []),
        ({"wolf": 1.0}, PassageRule(), []),
        (None, PassageRule(), []),
    ],
)
def test_what_is_stored_counts_only_as_the_record_says(stored, passages, found) -> None:
    """Half of a document's vectors would be a figure of nothing."""
    meta = META.model_copy(update={"passages": passages})
    assert _stored_vectors({meta.vector_field: stored}, meta) == found


def test_stages_are_means() -> None:
    timed = [_result(timings=StageTimings(encode_ms=1.0, rerank_ms=30.0)), _result(timings=StageTimings(encode_ms=3.0))]
    assert _stages(timed) == {"encode": 2.0, "retrieve": 0.0, "rerank": 15.0}
    assert _stages([]) == {}


def test_feedback_is_a_stage_where_it_ran() -> None:
    timed = [_result(timings=StageTimings(feedback_ms=2.0)), _result(timings=StageTimings(feedback_ms=4.0))]
    assert _stages(timed)["feedback"] == 3.0


def test_feedback_has_patience_too() -> None:
    feedback = {"documents": 3, "timeout": 0.5}
    profile = Profile.parse({"name": "fed", "retrievers": [{"kind": "sparse", "feedback": feedback}]})
    patient = _patient(profile)
    assert patient.sparse is not None
    assert patient.sparse.feedback == Rocchio(documents=3, timeout=PATIENCE_SECONDS)
