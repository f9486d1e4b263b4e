"""A search's preference: in every request that the search makes, whatever its profile, and in no other's."""

from __future__ import annotations

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.engine import Engine
from sidecar.errors import EngineRejected, InvalidInput
from sidecar.search import BUILT_IN, AsyncSearcher, Profile, Searcher
from sidecar.search.two_phase import TwoPhase
from tests.support.feedback import QUERY, with_feedback
from tests.support.shell import typed

pytestmark = pytest.mark.integration

SESSION = "session of kim/1"


class Asked:
    """The preferences of the searches that a connection sends, one for each; None: a search without one."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.preferences: list[str | None] = []
        transport = engine._transport
        read = transport.read

        async def watched(method, path, body=None, *, parameters=None, timeout=None):
            if path.endswith("/_search"):
                self.preferences.append((parameters or {}).get("preference"))
            elif path.endswith("/_msearch"):
                self.preferences += [orjson.loads(line).get("preference") for line in body.splitlines()[::2]]
            return await read(method, path, body, parameters=parameters, timeout=timeout)

        monkeypatch.setattr(transport, "read", watched)


@pytest.fixture
async def asked(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(engine, monkeypatch)


def two_phases() -> Profile:
    profile = BUILT_IN["sparse"]
    retrievers = tuple(one.model_copy(update={"two_phase": TwoPhase()}) for one in profile.retrievers)
    return profile.model_copy(update={"retrievers": retrievers})


@pytest.mark.parametrize(
    ("profile", "searches"),
    [
        (BUILT_IN["lexical"], 2),
        (BUILT_IN["sparse"], 2),
        (BUILT_IN["hybrid"], 5),
        (BUILT_IN["hybrid-rrf+rerank"], 5),
        (two_phases(), 2),
        (with_feedback("sparse"), 3),
        (with_feedback("hybrid"), 6),
    ],
    ids=lambda value: value.name if isinstance(value, Profile) else str(value),
)
async def test_every_request_of_a_search_has_it(
    world, engine: Engine, client: AsyncSidecarClient, asked: Asked, profile: Profile, searches: int
) -> None:
    searcher = AsyncSearcher(engine, client, profile, index=world.index)
    preferring = await searcher.search(QUERY, size=5, explain=True, preference=SESSION)
    assert asked.preferences == [SESSION] * searches
    asked.preferences.clear()
    plain = await searcher.search(QUERY, size=5, explain=True)
    assert asked.preferences == [None] * searches
    assert [hit.id for hit in preferring.hits] == [hit.id for hit in plain.hits]


async def test_passages_are_looked_for_by_it(world, engine: Engine, client: AsyncSidecarClient, asked: Asked) -> None:
    searcher = AsyncSearcher(engine, client, "hybrid", index=world.index)
    await searcher.search(QUERY, passages=True, preference=SESSION)
    assert set(asked.preferences) == {SESSION}


@pytest.mark.parametrize("profile", [BUILT_IN["hybrid+rerank"], with_feedback("hybrid")], ids=lambda one: one.name)
async def test_a_body_of_ones_own_too(
    world, engine: Engine, client: AsyncSidecarClient, asked: Asked, profile: Profile
) -> None:
    searcher = AsyncSearcher(engine, client, profile, index=world.index)
    body = {"query": {"match": {"text": QUERY}}, "size": 3}
    result = await searcher.search_body(body, preference=SESSION)
    assert result.unchanged is None
    assert len(asked.preferences) >= 2
    assert set(asked.preferences) == {SESSION}
    asked.preferences.clear()
    augmented = await searcher.augment(body, preference=SESSION)
    assert augmented.unchanged is None
    assert set(asked.preferences) <= {SESSION}
    assert "preference" not in str(augmented.body)


async def test_a_search_for_nothing_of_its_own(world, engine: Engine, client: AsyncSidecarClient, asked: Asked) -> None:
    searcher = AsyncSearcher(engine, client, "lexical", index=world.index)
    for nothing in ("", "  "):
        with pytest.raises(InvalidInput) as caught:
            await searcher.search(QUERY, preference=nothing)
        assert caught.value.field == "preference"
    assert asked.preferences == []
    with pytest.raises(EngineRejected, match="Preference"):
        await searcher.search(QUERY, preference="_nobody")


def test_without_an_event_loop(world) -> None:
    with Searcher(world.url, None, "lexical", index=world.index) as searcher:
        assert searcher.search(QUERY, preference=SESSION).hits
        body = {"query": {"match": {"text": QUERY}}}
        assert searcher.search_body(body, preference=SESSION).response["hits"]
        assert searcher.augment(body, preference=SESSION).unchanged is not None
        with pytest.raises(EngineRejected, match="Preference"):
            searcher.search(QUERY, preference="_nobody")


def test_a_command_has_it(world) -> None:
    where = ("--index", world.index, "--profile", "lexical", "--engine", world.url)
    assert "wolf-river" in typed("search", QUERY, *where, "--preference", SESSION).stdout
    assert "Preference" in typed("search", QUERY, *where, "--preference", "_nobody", code=1).stderr
