"""Nothing that writes takes a name that may stand for several indices; it is refused before anything is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import AsyncSparseWriter, DeadLetters, IndexRun, IndexSpec, SparseWriter, plan_setup, plan_teardown
from sidecar.cluster.frequencies import refresh_frequencies
from sidecar.cluster.migrate import Candidate, abort, drop, filling, rollback, start, swap
from sidecar.cluster.retry import retry
from sidecar.cluster.second_index import (
    CopyRun,
    abort_second_index,
    clear_up,
    drop_first_index,
    roll_indices_back,
    start_second_index,
    swap_indices,
)
from sidecar.cluster.upkeep import ReconcileEvery
from sidecar.engine import Engine
from sidecar.errors import InvalidInput
from sidecar.scale.plan import Cluster, ToIndex
from tests.support.indexing import source
from tests.unit.cluster.recorded import recorded
from tests.unit.cluster.test_setup_specs import model

NAMES = ["*", "shop-*", "_all", "shop,books", "-shop", "", ".."]

Call = Callable[[Engine, AsyncSidecarClient, DeadLetters, str], Awaitable[object]]


async def _made(make: Callable[[], object]) -> object:
    return make()


CALLS: dict[str, Call] = {
    "setup": lambda engine, _sidecar, _letters, name: _made(lambda: IndexSpec(name, model())),
    "teardown": lambda engine, _sidecar, _letters, name: plan_teardown(engine, name, delete_documents=True),
    "index": lambda engine, sidecar, letters, name: _made(lambda: IndexRun(engine, sidecar, name, source([]), letters)),
    "writer": lambda engine, sidecar, _letters, name: _made(lambda: AsyncSparseWriter(engine, sidecar, name)),
    "reconcile": lambda engine, sidecar, letters, name: _made(lambda: ReconcileEvery(engine, sidecar, name, letters)),
    "copy": lambda engine, sidecar, letters, name: _made(lambda: CopyRun(engine, sidecar, name, letters)),
    "frequencies": lambda engine, sidecar, _letters, name: refresh_frequencies(engine, sidecar, name),
    "migrate start": lambda engine, _sidecar, _letters, name: start(engine, name, Candidate(model(), None, None, None)),
    "migrate fill": lambda engine, sidecar, letters, name: filling(engine, sidecar, name, letters),
    "migrate swap": lambda engine, _sidecar, _letters, name: swap(engine, name, force=True),
    "migrate rollback": lambda engine, _sidecar, _letters, name: rollback(engine, name),
    "migrate drop": lambda engine, _sidecar, _letters, name: drop(engine, name),
    "migrate abort": lambda engine, _sidecar, _letters, name: abort(engine, name),
    "second index of": lambda engine, _sidecar, _letters, name: start_second_index(engine, name, "new", model()),
    "second index into": lambda engine, _sidecar, _letters, name: start_second_index(engine, "shop", name, model()),
    "second index swap": lambda engine, sidecar, letters, name: swap_indices(engine, sidecar, name, letters),
    "second index rollback": lambda engine, sidecar, letters, name: roll_indices_back(engine, sidecar, name, letters),
    "second index drop": lambda engine, _sidecar, _letters, name: drop_first_index(engine, name),
    "second index abort": lambda engine, _sidecar, _letters, name: abort_second_index(engine, name),
    "second index clear up": lambda engine, _sidecar, _letters, name: clear_up(engine, name),
    "corpus": lambda _engine, _sidecar, _letters, name: _made(lambda: ToIndex(Cluster("http://127.0.0.1:9"), name)),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_it_is_refused_before_the_cluster_is_asked_anything(call: Call, name: str, tmp_path: Path) -> None:
    async with recorded({}) as (engine, cluster), AsyncSidecarClient("127.0.0.1:9") as sidecar:
        before = list(cluster.asked)
        with DeadLetters(tmp_path / "letters.jsonl") as letters, pytest.raises(InvalidInput, match="can't be written"):
            await call(engine, sidecar, letters, name)
        assert cluster.asked == before
    assert not list(tmp_path.iterdir())


def test_so_does_the_writer_for_threads() -> None:
    with pytest.raises(InvalidInput, match="pattern"):
        SparseWriter("http://127.0.0.1:9", "127.0.0.1:9", "shop-*")


async def test_dead_letters_that_name_several_indices_stay_where_they_are(tmp_path: Path) -> None:
    file = tmp_path / "letters.jsonl"
    letters = [{"id": "1", "index": index, "document": {"text": "a"}} for index in ("shop", "shop-*")]
    file.write_text("".join(json.dumps(one) + "\n" for one in letters))
    before = file.read_bytes()
    async with recorded({}) as (engine, cluster), AsyncSidecarClient("127.0.0.1:9") as sidecar:
        asked = list(cluster.asked)
        with pytest.raises(InvalidInput, match="pattern"):
            await retry(engine, sidecar, file)
        assert cluster.asked == asked
    assert await asyncio.to_thread(file.read_bytes) == before


async def test_an_index_that_is_made_has_no_capital_letters(tmp_path: Path) -> None:
    async with recorded({}) as (engine, cluster):
        with pytest.raises(InvalidInput, match=r"Take shop\."):
            await plan_setup(engine, IndexSpec("Shop", model()))
        assert {method for method, _, _ in cluster.asked} == {"GET"}
