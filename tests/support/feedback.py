"""Profiles with feedback, and an engine that remembers what it was asked."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.domain import JsonObject
from sidecar.engine import Engine
from sidecar.search import BUILT_IN, Profile, Rocchio
from sidecar.search.fusion import LinearFusion
from sidecar.search.normalization import Normalization

pytestmark = pytest.mark.integration


QUERY = "a wolf near the river"


RULE_OF_FEEDBACK = Rocchio(documents=4, terms=12, weight=0.3, sharpness=2.0, timeout=20.0)


def with_feedback(name: str, feedback: Rocchio = RULE_OF_FEEDBACK, **changes: object) -> Profile:
    """A built-in profile (or `summed`) with feedback; `changes` to its sparse retriever."""
    if name == "summed":
        profile = BUILT_IN["hybrid"].model_copy(update={"fusion": LinearFusion(normalization=Normalization.NONE)})
    else:
        profile = BUILT_IN[name]
    changed = {"feedback": feedback, **changes}
    retrievers = tuple(one.model_copy(update=changed) if one.kind == "sparse" else one for one in profile.retrievers)
    return profile.model_copy(update={"retrievers": retrievers, "timeout": 60.0, "encode_timeout": 20.0})


class Watched(Engine):
    """The engine, what it was asked, and how long first passes wait."""

    firsts: list[JsonObject]
    bodies: list[JsonObject]
    wait: float

    async def read(self, method, path, parameters=None, body=None, *, timeout=None):
        if path.endswith("/_search"):
            self.firsts.append(body)
            await asyncio.sleep(self.wait)
        return await super().read(method, path, parameters, body, timeout=timeout)

    async def search(self, index, body, timeout=None):
        self.bodies.append(body)
        return await super().search(index, body, timeout)


def weights_in(body: JsonObject) -> dict[str, float]:
    """The terms and weights of the sparse clauses of a body, the sentinel left out."""
    found: dict[str, float] = {}

    def walk(node: object) -> None:
        if isinstance(node, dict):
            clause = node.get("rank_feature")
            if isinstance(clause, dict):
                found[clause["field"].removeprefix("splade.")] = clause.get("boost", 1.0)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(body)
    return {name: weight for name, weight in found.items() if not name.startswith("_splade_")}
