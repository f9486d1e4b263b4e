"""How busy a cluster says it is: the signals by which background writing gives way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.domain import JsonObject, JsonValue

__all__ = ["LOAD_PATH", "ClusterLoad"]

LOAD_PATH = "/_nodes/stats/jvm,thread_pool"
LOAD_FILTER = "nodes.*.jvm.mem.heap_used_percent,nodes.*.thread_pool.write.queue,nodes.*.thread_pool.write.rejected"


@dataclass(frozen=True, slots=True)
class ClusterLoad:
    """The worst of all nodes: writes that wait, writes that were turned away since they started, heap in percent."""

    write_queue: int = 0
    write_rejected: int = 0
    heap_percent: int = 0

    @classmethod
    def parse(cls, answer: JsonObject) -> ClusterLoad:
        """Read an answer of `_nodes/stats`."""
        nodes = answer.get("nodes")
        each = list(nodes.values()) if isinstance(nodes, Mapping) else []
        return cls(
            write_queue=max((_number(node, "thread_pool", "write", "queue") for node in each), default=0),
            write_rejected=sum(_number(node, "thread_pool", "write", "rejected") for node in each),
            heap_percent=max((_number(node, "jvm", "mem", "heap_used_percent") for node in each), default=0),
        )


def _number(value: JsonValue, *path: str) -> int:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) else 0
