"""A connection to the search cluster, made anew on every machine."""

from __future__ import annotations

from sidecar.engine import Engine
from sidecar.scale.plan import Cluster

__all__ = ["connect"]


async def connect(cluster: Cluster) -> Engine:
    """Connect as `Engine.connect` does."""
    return await Engine.connect(
        cluster.url,
        user=cluster.user,
        password=cluster.password,
        api_key=cluster.api_key,
        ca_certificates=cluster.ca_certificates,
        verify_certificates=cluster.verify_certificates,
        aws_region=cluster.aws_region,
        aws_service=cluster.aws_service,
    )
