"""An empty index of two shards, one of which no node has: as after the loss of a node with the only copy.

The shard is one that was never there: a primary that was, the only node takes back whatever its limit of shards.
"""

from __future__ import annotations

from sidecar.domain import JsonObject
from sidecar.engine import Engine

ONE_A_NODE = "index.routing.allocation.total_shards_per_node"


async def create_lacking(engine: Engine, index: str, mappings: JsonObject) -> None:
    """Make the index; its second shard comes to the only node with `find_shard`."""
    settings = {"index.number_of_shards": 2, "index.number_of_replicas": 0, ONE_A_NODE: 1}
    body: JsonObject = {"settings": settings, "mappings": mappings}
    await engine.send("PUT", f"/{index}?wait_for_active_shards=0", body)
    answer = await engine.read("GET", f"/_cluster/health/{index}?wait_for_active_shards=1&timeout=20s")
    assert (answer["status"], answer["active_shards"]) == ("red", 1)


async def find_shard(engine: Engine, index: str) -> None:
    await engine.send("PUT", f"/{index}/_settings", {ONE_A_NODE: 2})
    answer = await engine.read("GET", f"/_cluster/health/{index}?wait_for_status=green&timeout=20s")
    assert (answer["status"], answer["active_shards"]) == ("green", 2)
