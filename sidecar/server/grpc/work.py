"""One call's way to the inference service: deadline, metrics, answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TypeAlias

from google.protobuf.message import Message
from grpc import aio

from sidecar.contract.answers import write_encode_response, write_rerank_response
from sidecar.contract.calls import EncodeCall, RerankCall
from sidecar.contract.failures import within
from sidecar.domain import EncodeResult, ModelKind, RerankResult
from sidecar.errors import SidecarError, TooManyTexts
from sidecar.inference import InferenceService
from sidecar.server.metrics import Call
from sidecar.settings import Settings
from sidecar.v1 import sidecar_pb2 as pb

__all__ = ["Context", "Work"]

Context: TypeAlias = "aio.ServicerContext[Message, Message]"

LARGE_ANSWER = 64
"""Encodings from which on an answer is packed in a thread, so that short calls need not wait for it."""


class Work:
    """Runs calls on the service as its settings say, and records what came out."""

    def __init__(self, service: InferenceService, settings: Settings) -> None:
        self.service = service
        self.settings = settings

    def deadline(self, context: Context) -> float:
        """Return when the caller stops waiting, in `time.monotonic()` seconds; the setting's time if it never does."""
        remaining: float | None = context.time_remaining()
        return time.monotonic() + (self.settings.request_timeout if remaining is None else remaining)

    def stream_deadline(self, context: Context) -> float | None:
        """Return when the caller gives up the stream; a stream without a deadline lives as long as its caller."""
        remaining: float | None = context.time_remaining()
        return None if remaining is None else time.monotonic() + remaining

    async def encode(self, asked: EncodeCall, deadline: float | None, call: Call) -> pb.EncodeResponse:
        """Encode, record, pack."""
        call.lane, call.deadline = str(asked.lane), deadline
        call.addressed(asked.model, ModelKind.SPARSE_ENCODER, self.service.models())
        result: EncodeResult = await self.service.encode(
            asked.texts,
            side=asked.side,
            model=asked.model,
            pruning=asked.pruning,
            windows=asked.windows,
            lane=asked.lane,
            return_terms=asked.return_terms,
            expected_fingerprint=asked.expected_fingerprint,
            deadline=deadline,
        )
        call.encoded(result, asked.side)
        if len(result.encodings) < LARGE_ANSWER:
            return write_encode_response(result)
        return await asyncio.to_thread(write_encode_response, result)

    async def rerank(self, asked: RerankCall, deadline: float | None, call: Call) -> pb.RerankResponse:
        """Rerank, record, pack."""
        call.lane, call.deadline = str(asked.lane), deadline
        call.addressed(asked.model, ModelKind.CROSS_ENCODER, self.service.models())
        result: RerankResult = await self.service.rerank(
            asked.query,
            asked.documents,
            model=asked.model,
            windows=asked.windows,
            lane=asked.lane,
            expected_fingerprint=asked.expected_fingerprint,
            deadline=deadline,
        )
        call.reranked(result)
        return write_rerank_response(result)

    async def rerank_all(self, asked: Sequence[RerankCall], deadline: float, call: Call) -> list[pb.RerankResponse]:
        """Rerank several queries side by side; the first failure ends them all, and names its request."""
        documents = sum(len(each.documents) for each in asked)
        if documents > self.settings.max_texts:
            raise TooManyTexts(
                f"The batch holds {documents} documents, at most {self.settings.max_texts} are taken: split it.",
                field="requests",
            )

        async def one(position: int, each: RerankCall) -> pb.RerankResponse:
            try:
                return await self.rerank(each, deadline, call)
            except SidecarError as error:
                call.addressed(each.model, ModelKind.CROSS_ENCODER, self.service.models())
                raise within(error, f"requests[{position}]") from None

        tasks = [asyncio.create_task(one(position, each)) for position, each in enumerate(asked)]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
