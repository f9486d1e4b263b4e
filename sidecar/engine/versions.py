"""Which cluster answers: distribution and version, from `GET /`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sidecar.domain import JsonObject
from sidecar.errors import UnsupportedEngine

__all__ = ["ClusterInfo", "Distribution"]

_FIRST_LUCENE_OF_OPENSEARCH = {8: (1, 0), 9: (2, 0), 10: (3, 0)}


class Distribution(StrEnum):
    """The two families that speak this API."""

    OPENSEARCH = "opensearch"
    ELASTICSEARCH = "elasticsearch"


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """What `GET /` told: distribution, version as printed, cluster name, version as numbers (major, minor)."""

    distribution: Distribution
    version: str
    name: str
    release: tuple[int, int]

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


def _numbers(version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)(?:\.(\d+))?", version)
    if found is None:
        raise UnsupportedEngine(f"The cluster names a version that can't be read: {version[:40]!r}.")
    return int(found[1]), int(found[2] or 0)
