"""The services of `sidecar.v1`. Errors are raised as they are: the guard around every method answers them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sidecar.contract.answers import write_model
from sidecar.contract.calls import read_encode_request, read_rerank_request
from sidecar.contract.failures import within
from sidecar.errors import SidecarError, UnknownModel
from sidecar.server.grpc.stream import EncodeStream
from sidecar.server.grpc.work import Context, Work
from sidecar.server.metrics import observe
from sidecar.server.tracing.calls import log_ids, traceparent_of
from sidecar.v1 import sidecar_pb2 as pb
from sidecar.v1 import sidecar_pb2_grpc as rpc

__all__ = ["ModelsService", "RerankerService", "SparseEncoderService"]


class SparseEncoderService(rpc.SparseEncoderServicer):
    """`sidecar.v1.SparseEncoder`."""

    def __init__(self, work: Work, draining: asyncio.Event) -> None:
        self._work = work
        self._draining = draining

    async def Encode(self, request: pb.EncodeRequest, context: Context) -> pb.EncodeResponse:  # noqa: N802
        with observe("/sidecar.v1.SparseEncoder/Encode") as call:
            return await self._work.encode(read_encode_request(request), self._work.deadline(context), call)

    async def EncodeStream(  # type: ignore[override]  # noqa: N802 - answers are written, not yielded
        self, request_iterator: AsyncIterator[pb.EncodeStreamRequest], context: Context
    ) -> None:
        trace = log_ids(traceparent_of(context.invocation_metadata()))
        stream = EncodeStream(self._work, self._draining, self._work.stream_deadline(context), trace)
        await stream.run(request_iterator, context.write)


class RerankerService(rpc.RerankerServicer):
    """`sidecar.v1.Reranker`."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def Rerank(self, request: pb.RerankRequest, context: Context) -> pb.RerankResponse:  # noqa: N802
        with observe("/sidecar.v1.Reranker/Rerank") as call:
            return await self._work.rerank(read_rerank_request(request), self._work.deadline(context), call)

    async def RerankBatch(  # noqa: N802
        self, request: pb.RerankBatchRequest, context: Context
    ) -> pb.RerankBatchResponse:
        with observe("/sidecar.v1.Reranker/RerankBatch") as call:
            asked = []
            for position, part in enumerate(request.requests):
                try:
                    asked.append(read_rerank_request(part))
                except SidecarError as error:
                    raise within(error, f"requests[{position}]") from None
            return pb.RerankBatchResponse(
                responses=await self._work.rerank_all(asked, self._work.deadline(context), call)
            )


class ModelsService(rpc.ModelsServicer):
    """`sidecar.v1.Models`."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def List(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:  # noqa: N802
        with observe("/sidecar.v1.Models/List"):
            return pb.ListModelsResponse(models=[write_model(model) for model in self._work.service.models()])

    async def Get(self, request: pb.GetModelRequest, context: Context) -> pb.Model:  # noqa: N802
        with observe("/sidecar.v1.Models/Get"):
            models = {model.name: model for model in self._work.service.models()}
            found = models.get(request.name)
            if found is None:
                raise UnknownModel(f"No such model. Served here: {', '.join(sorted(models))}.", field="name")
            return write_model(found)
