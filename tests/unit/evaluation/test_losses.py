"""Which queries lost most."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sidecar.domain import Query
from sidecar.evaluation import JudgedQueries, Ranked, Run
from sidecar.evaluation.losses import losses
from sidecar.evaluation.table import loss_table

QUERIES = tuple(Query(name, f"text of {name}") for name in "abcd")
JUDGED = JudgedQueries("made", "test", QUERIES, {query.id: {"x": 1} for query in QUERIES})


def _run(**rankings: str) -> Run:
    return {query: [Ranked(name, float(-rank)) for rank, name in enumerate(names)] for query, names in rankings.items()}


LEXICAL = _run(a="x", b="x", c="yx", d="y")
SPARSE = _run(a="x", b="yx", c="y", d="x")


def test_the_worst_come_first_and_what_did_not_lose_does_not_come() -> None:
    (found,) = losses(JUDGED, {"lexical": LEXICAL, "sparse": SPARSE}, "lexical", 5)
    assert (found.collection, found.profile, found.count) == ("made", "sparse", 2)
    assert (found.worst[0].before, found.worst[0].after) == (pytest.approx(0.6309, abs=1e-4), 0.0)
    assert [one.query.id for one in found.worst] == ["c", "b"]
    assert found.worst[0].change < found.worst[1].change < 0.0


def test_no_more_are_shown_than_wanted_and_all_are_counted() -> None:
    (found,) = losses(JUDGED, {"sparse": SPARSE, "lexical": LEXICAL}, "lexical", 1)
    assert ([one.query.id for one in found.worst], found.count) == (["c"], 2)
    assert losses(JUDGED, {"lexical": LEXICAL}, "lexical", 1) == ()


@given(st.lists(st.permutations("xyz"), min_size=8, max_size=8), st.integers(0, 5))
def test_losses_one_way_are_gains_the_other(rankings: list[list[str]], shown: int) -> None:
    ids = [query.id for query in QUERIES]
    one, other = (
        {name: [Ranked(document, float(-rank)) for rank, document in enumerate(ranking)] for name, ranking in pairs}
        for pairs in (zip(ids, rankings[:4], strict=True), zip(ids, rankings[4:], strict=True))
    )
    (there,) = losses(JUDGED, {"one": one, "other": other}, "one", shown)
    (back,) = losses(JUDGED, {"one": one, "other": other}, "other", shown)
    assert there.count + back.count <= len(QUERIES)
    assert len(there.worst) == min(shown, there.count)
    assert not {loss.query.id for loss in there.worst} & {loss.query.id for loss in back.worst}


def test_the_table_has_whole_ids_and_no_markup() -> None:
    queries = (Query("[/]q" + "1" * 40, "what [bold]does\n\n wolves " + "x" * 500),)
    judged = JudgedQueries("[made]", "test", queries, {queries[0].id: {"x": 1}})
    runs = {"[lexical]": {queries[0].id: [Ranked("x", 1.0)]}, "sparse": {}}
    (found,) = losses(judged, runs, "[lexical]", 3)
    out = io.StringIO()
    Console(file=out, width=80).print(loss_table(found, "[lexical]"))
    shown = "".join(out.getvalue().split())
    for part in ("[made]:whatsparseanswersworsethan[lexical]", "1.0000", "-1.0000", "[bold]", "1of1that", "…"):
        assert part in shown
