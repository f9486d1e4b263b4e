"""The gRPC client library: asyncio and synchronous, without numpy and without a model runtime.

Usage:
    async with AsyncSidecarClient("127.0.0.1:50051") as sidecar:
        result = await sidecar.encode(["how do I parse arguments"], side=Side.QUERY)

    with SidecarClient("127.0.0.1:50051") as sidecar:
        ranking = sidecar.rerank("how do I parse arguments", ["argparse makes it easy", "an unrelated text"])
"""

from sidecar.client._async_client import AsyncSidecarClient
from sidecar.client._channel import SERVICE_CONFIG
from sidecar.client._stream import StreamOutcome
from sidecar.client._sync_client import SidecarClient

__all__ = ["SERVICE_CONFIG", "AsyncSidecarClient", "SidecarClient", "StreamOutcome"]
