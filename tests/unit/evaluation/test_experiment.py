"""What is measured, and what must not be."""

from __future__ import annotations

import pytest

from sidecar.domain import Query
from sidecar.engine import IndexMeta, PassageRule, require_new_name
from sidecar.errors import EvaluationError
from sidecar.evaluation.collection import Collection
from sidecar.evaluation.experiment import Experiment
from sidecar.evaluation.measures import Effectiveness
from sidecar.evaluation.plan import Plan
from sidecar.evaluation.profile_runs import _stages, compared
from sidecar.evaluation.report import ProfileReport
from sidecar.evaluation.run import Ranked
from sidecar.evaluation.statistics import latency
from sidecar.evaluation.target import PATIENCE_SECONDS, patient, ranking, searched
from sidecar.evaluation.temporary_index import _plain, require_searched_fields
from sidecar.evaluation.vectors import _stored_vectors
from sidecar.search import BUILT_IN, NO_QUERY_TERMS, Lexical, Profile, Rocchio, SearchHit, SearchResult, StageTimings


def _result(*names: str, **more) -> SearchResult:
    hits = tuple(SearchHit(name, rank, {}) for rank, name in enumerate(names, start=1))
    return SearchResult(hits, len(hits), "hybrid", **more)


class Answering:
    """Answers every search with the same result."""

    def __init__(self, result: SearchResult) -> None:
        self.result = result

    async def search(self, text: str, size: int) -> SearchResult:
        return self.result


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (_result("a", degraded="SIDECAR_UNAVAILABLE", degraded_stage="encode"), "SIDECAR_UNAVAILABLE"),
        (_result("a", degraded="OVERLOADED", degraded_stage="rerank"), "stage rerank"),
        (_result("a", partial=True), "shards"),
    ],
)
async def test_a_fallback_is_never_measured(result, says) -> None:
    with pytest.raises(EvaluationError, match=says) as caught:
        await searched(Answering(result), Query("q7", "the user's text"), 10)
    assert "q7" in str(caught.value)
    assert "user's text" not in str(caught.value)


async def test_a_query_without_terms_is_an_answer() -> None:
    result = _result("a", degraded=NO_QUERY_TERMS, degraded_stage="encode")
    assert await searched(Answering(result), Query("q", "!"), 10) is result


def test_a_run_counts_down_from_its_depth() -> None:
    assert ranking(_result("a", "b", "c"), None, 2) == [Ranked("a", 2.0), Ranked("b", 1.0)]


def test_of_documents_that_share_an_id_the_best_place_counts() -> None:
    assert [line.document for line in ranking(_result("a", "b", "a", "c"), None, 3)] == ["a", "b", "c"]


def test_the_querys_own_document_makes_room_for_the_next() -> None:
    assert [line.document for line in ranking(_result("a", "own", "c"), "own", 2)] == ["a", "c"]


@pytest.mark.parametrize("profile", BUILT_IN.values(), ids=BUILT_IN)
def test_patience_changes_nothing_but_time(profile) -> None:
    patience = patient(profile)
    assert patience.timeout == patience.encode_timeout == PATIENCE_SECONDS
    times = {"timeout", "encode_timeout"}
    assert patience.model_dump(exclude={*times, "rerank"}) == profile.model_dump(exclude={*times, "rerank"})
    if profile.rerank is not None:
        assert patience.rerank is not None
        assert patience.rerank.timeout == PATIENCE_SECONDS
        assert patience.rerank.model_dump(exclude={"timeout"}) == profile.rerank.model_dump(exclude={"timeout"})


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
    patience = patient(profile)
    assert patience.sparse is not None
    assert patience.sparse.feedback == Rocchio(documents=3, timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("profiles", "baseline", "expected"),
    [
        (("sparse", "lexical", "hybrid"), None, "lexical"),
        (("sparse", "hybrid"), None, "sparse"),
        (("sparse", "lexical", "hybrid"), "hybrid", "hybrid"),
        (("hybrid",), None, "hybrid"),
    ],
)
def test_the_baseline_is_what_was_asked_for_or_lexical_or_the_first(profiles, baseline, expected) -> None:
    assert Plan(tuple(BUILT_IN[name] for name in profiles), baseline=baseline).compared_with == expected


@pytest.mark.parametrize(
    ("profiles", "baseline", "said"),
    [
        ((), None, "no profile"),
        (("sparse", "hybrid", "sparse"), None, "Two profiles are called sparse"),
        (("sparse", "hybrid"), "lexical", "lexical is none of the profiles: sparse, hybrid"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_indexed(profiles, baseline, said) -> None:
    with pytest.raises(EvaluationError, match=said):
        Plan(tuple(BUILT_IN[name] for name in profiles), baseline=baseline)


async def test_a_field_that_no_collection_has_is_refused_before_anything_is_indexed() -> None:
    """And not after an hour of encoding, by the first search."""
    plan = Plan((Profile(name="x", retrievers=(Lexical(fields=("title^3", "tags")),)),))
    collection = Collection("animals", "test", (), {}, ())
    with pytest.raises(EvaluationError, match=r"searches for words in tags: .* have title, text, content\.$"):
        await Experiment(None, None, plan).evaluate(collection)  # type: ignore[arg-type]  # neither is asked
    fields = Lexical(fields=("title^3", "text", "content"))
    require_searched_fields([BUILT_IN["hybrid"], Profile(name="x", retrievers=(fields,))])


def _measured(profile: str, *values: float) -> tuple[Effectiveness, ProfileReport]:
    per_query = {f"q{n}": {"nDCG@10": value} for n, value in enumerate(values)}
    report = ProfileReport(
        profile=profile, settings={}, means={}, latency_ms=latency([]), latency_queries=0, stages_ms={}
    )
    return Effectiveness({}, per_query), report


def test_every_other_profile_is_compared_with_the_baseline() -> None:
    queries = [Query(f"q{n}", "") for n in range(3)]
    found = {
        "sparse": _measured("sparse", 0.5, 0.5, 0.5),
        "mine": _measured("mine", 0.5, 0.75, 0.5),
        "hybrid": _measured("hybrid", 0.5, 0.0, 1.0),
    }
    first, second, third = compared(found, queries, "mine")
    assert second.against_baseline is None
    assert first.against_baseline is not None
    assert third.against_baseline is not None
    assert first.against_baseline.difference == pytest.approx(-0.25 / 3)
    assert (first.against_baseline.wins, first.against_baseline.ties, first.against_baseline.losses) == (0, 2, 1)
    assert third.against_baseline.difference == pytest.approx(-0.25 / 3)
    assert (third.against_baseline.wins, third.against_baseline.ties, third.against_baseline.losses) == (1, 1, 1)
    (alone,) = compared({"mine": found["mine"]}, queries, "mine")
    assert alone.against_baseline is None


@pytest.mark.parametrize("name", ["nfcorpus", "Ä" * 255, "a b/C", "𝕏" * 100])
def test_a_collection_s_index_has_a_name_that_a_cluster_takes(name: str) -> None:
    require_new_name(f"sidecar-evaluation-{_plain(name)}-0123abcd")
