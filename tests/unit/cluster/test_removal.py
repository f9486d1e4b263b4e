"""Taking fields out of documents in rounds, against answers of the shape that clusters give."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sidecar.cluster import removal
from sidecar.cluster.removal import FEWEST_DOCUMENTS, FRUITLESS_ROUNDS, ROUND_DOCUMENTS, remove_fields
from sidecar.errors import DocumentsNotWritten, EngineRejected, EngineUnavailable
from tests.unit.cluster.recorded import Recorded, recorded

PATH = "POST /shop/_update_by_query"


def answers(*left: int, updated: object = 3) -> dict[str, object]:
    return {
        "POST /shop/_refresh": {},
        "POST /shop/_count": [{"count": count} for count in left],
        PATH: updated if isinstance(updated, list) else {"updated": updated},
    }


def rounds(cluster: Recorded) -> list[tuple[str, object]]:
    return [(path, body) for _, path, body in cluster.asked if path.startswith("/shop/_update_by_query")]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(removal, "asyncio", SimpleNamespace(sleep=sleep))
    return waits


async def test_rounds_go_on_until_no_document_has_the_field() -> None:
    told: list[int] = []
    async with recorded(answers(7, 4, 1, 0, updated=[{"updated": 3}, {"updated": 3}, {"updated": 1}])) as (
        engine,
        cluster,
    ):
        done = await remove_fields(
            engine, "shop", ("splade", "splade_hash"), found_by="splade_hash", progress=told.append
        )
    assert done == 7
    assert told == [3, 6, 7]
    (path, body), *others = rounds(cluster)
    assert len(others) == 2
    assert path == "/shop/_update_by_query?conflicts=proceed&refresh=true"
    assert body == {
        "query": {"exists": {"field": "splade_hash"}},
        "script": {
            "lang": "painless",
            "source": "for (name in params.fields) { ctx._source.remove(name); }",
            "params": {"fields": ["splade", "splade_hash"]},
        },
        "max_docs": ROUND_DOCUMENTS,
    }


async def test_nothing_to_take_out_is_no_round() -> None:
    async with recorded(answers(0)) as (engine, cluster):
        assert await remove_fields(engine, "shop", ("splade",), found_by="splade") == 0
    assert rounds(cluster) == []


@pytest.mark.parametrize(
    ("rate", "documents", "slow"),
    [(None, ROUND_DOCUMENTS, ""), (10.0, 600, "&requests_per_second=10"), (0.001, 1, "&requests_per_second=0.001")],
)
async def test_a_rate_bounds_the_round_so_that_it_ends_in_time(rate: float | None, documents: int, slow: str) -> None:
    async with recorded(answers(1, 0, updated=1)) as (engine, cluster):
        await remove_fields(engine, "shop", ("splade",), found_by="splade", rate=rate)
    ((path, body),) = rounds(cluster)
    assert path == f"/shop/_update_by_query?conflicts=proceed&refresh=true{slow}"
    assert isinstance(body, dict)
    assert body["max_docs"] == documents


async def test_documents_that_are_written_all_the_time_end_it(at_once: list[float]) -> None:
    async with recorded(answers(5, updated=0)) as (engine, cluster):
        with pytest.raises(EngineUnavailable, match=r"written faster than they can be changed\. Run the same command"):
            await remove_fields(engine, "shop", ("splade",), found_by="splade")
    assert len(rounds(cluster)) == FRUITLESS_ROUNDS + 1
    assert at_once == [0.5] * FRUITLESS_ROUNDS


async def test_a_round_that_gets_on_forgives_those_before() -> None:
    nothing, one = {"updated": 0}, {"updated": 1}
    fruitless = [nothing] * FRUITLESS_ROUNDS
    counts = [1] * (2 * FRUITLESS_ROUNDS + 2)
    async with recorded(answers(*counts, 0, updated=[*fruitless, one, *fruitless, one])) as (engine, _):
        assert await remove_fields(engine, "shop", ("splade",), found_by="splade") == 2


async def test_an_answer_without_a_count_is_no_progress() -> None:
    async with recorded(answers(1, 1, 0, updated=[{}, {"updated": "many"}])) as (engine, _):
        assert await remove_fields(engine, "shop", ("splade",), found_by="splade") == 0


async def test_all_shards_work_at_once_where_that_is_wanted() -> None:
    async with recorded(answers(1, 0, updated=1)) as (engine, cluster):
        await remove_fields(engine, "shop", ("splade",), found_by="splade", side_by_side=True)
    ((path, _),) = rounds(cluster)
    assert path == "/shop/_update_by_query?conflicts=proceed&refresh=true&slices=auto"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_round_without_an_answer_is_followed_by_smaller_ones(status: int, at_once: list[float]) -> None:
    """The cluster goes on with it; who gave up here would have left an index half done, and said that it failed."""
    updated = [*[status] * 3, {"updated": 5}, status, {"updated": 2}]
    async with recorded(answers(9, 8, 7, 7, 2, 2, 0, updated=updated)) as (engine, cluster):
        assert await remove_fields(engine, "shop", ("splade",), found_by="splade") == 7
    sizes = [body["max_docs"] for _, body in rounds(cluster) if isinstance(body, dict)]
    assert sizes == [ROUND_DOCUMENTS // 2**halved for halved in (0, 1, 2, 3, 3, 4)]
    assert at_once == [0.5] * 4


@pytest.mark.parametrize(("rate", "least"), [(None, FEWEST_DOCUMENTS), (0.1, 6)])
async def test_round_after_round_without_an_answer_ends_it_and_says_why(rate: float | None, least: int) -> None:
    async with recorded(answers(9, updated=[503])) as (engine, cluster):
        with pytest.raises(EngineUnavailable, match=r"could not be changed in 21 rounds: .*Run the same command again"):
            await remove_fields(engine, "shop", ("splade",), found_by="splade", rate=rate)
    assert len(rounds(cluster)) == FRUITLESS_ROUNDS + 1
    (_, last) = rounds(cluster)[-1]
    assert isinstance(last, dict)
    assert last["max_docs"] == least


async def test_what_the_cluster_refuses_is_not_tried_again() -> None:
    async with recorded(answers(9, updated=[403])) as (engine, cluster):
        with pytest.raises(EngineRejected):
            await remove_fields(engine, "shop", ("splade",), found_by="splade")
    assert len(rounds(cluster)) == 1


async def test_it_is_stopped_between_two_rounds() -> None:
    told: list[int] = []
    async with recorded(answers(7, 4, 1, 0, updated=3)) as (engine, cluster):
        with pytest.raises(DocumentsNotWritten, match=r"Stopped: 6 documents of shop were changed"):
            await remove_fields(
                engine, "shop", ("splade",), found_by="splade", progress=told.append, stopped=lambda: len(told) == 2
            )
    assert len(rounds(cluster)) == 2
