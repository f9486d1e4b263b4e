"""Which cluster answers: distribution and version, from `GET /`, and the plugins of its nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from sidecar.domain import JsonObject, JsonValue
from sidecar.errors import UnsupportedEngine

__all__ = ["ML_COMMONS", "NEURAL_SEARCH", "ClusterInfo", "Distribution", "parse_plugins"]

NEURAL_SEARCH = "opensearch-neural-search"
ML_COMMONS = "opensearch-ml"
"""Names of plugins, as the nodes list them."""

_FIRST_LUCENE_OF_OPENSEARCH = {8: (1, 0), 9: (2, 0), 10: (3, 0)}


class Distribution(StrEnum):
    """The two families that speak this API."""

    OPENSEARCH = "opensearch"
    ELASTICSEARCH = "elasticsearch"


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """What `GET /` told: distribution, version as printed, cluster name, version as numbers (major, minor).

    `plugins` are those that every node has, with their versions; None where nobody asked, or the answer was refused.
    """

    distribution: Distribution
    version: str
    name: str
    release: tuple[int, int]
    plugins: Mapping[str, str] | None = None

    @property
    def title(self) -> str:
        """The distribution's name, for messages."""
        return "OpenSearch" if self.distribution is Distribution.OPENSEARCH else "Elasticsearch"

    @property
    def knows_require_alias(self) -> bool:
        """Whether a write may require that its target is an alias (`require_alias`)."""
        return self.distribution is Distribution.OPENSEARCH or self.release >= (7, 10)

    def with_plugins(self, plugins: Mapping[str, str] | None) -> ClusterInfo:
        """Return the same cluster, its plugins known."""
        return replace(self, plugins=plugins)

    def lacks(self, plugin: str) -> str | None:
        """Say that the plugin is missing, or that its presence is unknown; None: it is there."""
        if self.plugins is None:
            return f"Which plugins the cluster has is not known, so {plugin} is not counted on."
        return None if plugin in self.plugins else f"The plugin {plugin} is not on every node of the cluster."

    @classmethod
    def parse(cls, answer: JsonObject) -> ClusterInfo:
        """Read the answer to `GET /`; raise UnsupportedEngine where it is no search cluster's."""
        version = answer.get("version")
        number = version.get("number") if isinstance(version, Mapping) else None
        if not isinstance(version, Mapping) or not isinstance(number, str):
            raise UnsupportedEngine("What answers there is neither OpenSearch nor Elasticsearch.")
        tagline = str(answer.get("tagline", ""))
        is_opensearch = version.get("distribution") == "opensearch" or "OpenSearch" in tagline
        release = _numbers(number)
        if is_opensearch and release[0] >= 7:
            # `compatibility.override_main_response_version` makes OpenSearch claim 7.10.2; Lucene's version stays true.
            lucene = _numbers(str(version.get("lucene_version", "8.0")))[0]
            release = _FIRST_LUCENE_OF_OPENSEARCH.get(lucene, (1, 0))
        return cls(
            distribution=Distribution.OPENSEARCH if is_opensearch else Distribution.ELASTICSEARCH,
            version=number,
            name=str(answer.get("cluster_name", "")),
            release=release,
        )


def parse_plugins(answer: JsonObject) -> dict[str, str]:
    """Read the answer to `GET /_nodes/plugins`: the plugins and modules that all nodes have, with their versions."""
    nodes = answer.get("nodes")
    listed = [_plugins_of(node) for node in nodes.values()] if isinstance(nodes, Mapping) else []
    if not listed:
        return {}
    return {name: version for name, version in listed[0].items() if all(name in other for other in listed[1:])}


def _plugins_of(node: JsonValue) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind in ("modules", "plugins"):
        listed = node.get(kind) if isinstance(node, Mapping) else None
        for entry in listed if isinstance(listed, list) else ():
            if isinstance(entry, Mapping):
                found[str(entry.get("name", ""))] = str(entry.get("version", ""))
    return found


def _numbers(version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)(?:\.(\d+))?", version)
    if found is None:
        raise UnsupportedEngine(f"The cluster names a version that can't be read: {version[:40]!r}.")
    return int(found[1]), int(found[2] or 0)
