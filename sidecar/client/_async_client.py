"""The client for asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from grpc import aio
from grpc_health.v1 import health_pb2

from sidecar.client._arguments import check_connection, one_text, several_texts
from sidecar.client._channel import open_channel
from sidecar.client._connection import Connection
from sidecar.client._stream import Batches, StreamOutcome, StreamPlan, stream_outcomes
from sidecar.contract.answers import read_encode_response, read_model, read_rerank_response
from sidecar.contract.calls import EncodeCall, RerankCall, write_encode_request, write_rerank_request
from sidecar.contract.failures import within
from sidecar.contract.transport import AUTHORIZATION, bearer
from sidecar.domain import EncodeResult, Lane, ModelInfo, Pruning, RerankResult, Side, Windows
from sidecar.errors import InvalidInput
from sidecar.tracing import propagated
from sidecar.v1 import sidecar_pb2 as pb
from sidecar.v1 import sidecar_pb2_grpc as rpc

__all__ = ["DEFAULT_TARGET", "AsyncSidecarClient"]

DEFAULT_TARGET = "127.0.0.1:50051"
DEFAULT_WINDOWS = Windows()


class AsyncSidecarClient:
    """Calls a sidecar over gRPC. One client serves any number of concurrent calls of one event loop.

    `target` is `host:port` or a gRPC name (`dns:///sidecar:50051` finds several and takes turns). `timeout` is how
    many seconds a call may take altogether, retries included, where the call itself does not say; None leaves it to
    the server. `token` is the sidecar's bearer token. `root_certificates` (PEM) or `tls` switch TLS on;
    `certificate_chain` and `private_key` (PEM) are for sidecars that ask their clients for a certificate.
    An overloaded sidecar is asked again `overload_retries` times, after as long as it says, within the timeout.

    Every method raises the errors of `sidecar.errors` as the sidecar raised them; SidecarUnavailable where nobody
    answers. InvalidInput: a target, token or certificate that can't be meant, a text that is no string, a client that
    is used in another event loop than its first call, or in a process that was forked since.

    Usage:
        async with AsyncSidecarClient() as sidecar:
            result = await sidecar.encode(["some text"], return_terms=True)
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        token: str | None = None,
        timeout: float | None = 10.0,
        root_certificates: bytes | None = None,
        tls: bool = False,
        server_name: str | None = None,
        certificate_chain: bytes | None = None,
        private_key: bytes | None = None,
        overload_retries: int = 4,
    ) -> None:
        check_connection(target, token, root_certificates, certificate_chain, private_key)
        connect = partial(
            open_channel,
            target,
            root_certificates=root_certificates,
            tls=tls,
            server_name=server_name,
            certificate_chain=certificate_chain,
            private_key=private_key,
        )
        self._connection = Connection(
            connect,
            target=target,
            metadata=((AUTHORIZATION, bearer(token)),) if token is not None else (),
            timeout=timeout,
            overload_retries=overload_retries,
        )

    @property
    def target(self) -> str:
        """Where the calls go."""
        return self._connection.target

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the channel; calls under way end with SidecarUnavailable."""
        await self._connection.close()

    async def encode(
        self,
        texts: Sequence[str],
        *,
        side: Side = Side.DOCUMENT,
        model: str | None = None,
        pruning: Pruning | None = None,
        windows: Windows = DEFAULT_WINDOWS,
        lane: Lane = Lane.INTERACTIVE,
        return_terms: bool = False,
        expected_fingerprint: str | None = None,
        timeout: float | None = None,
    ) -> EncodeResult:
        """Encode texts into sparse vectors, in their order; any number of them, the sidecar splits the batch.

        `pruning` None is the model's default for the side. With `expected_fingerprint`, FingerprintMismatch is
        raised unless the model has it. One unusable text fails the call, and `error.field` names it.
        """
        call = EncodeCall(
            several_texts(texts, "texts"), side, model, pruning, windows, lane, return_terms, expected_fingerprint
        )
        request = write_encode_request(call)
        stub: rpc.SparseEncoderAsyncStub = rpc.SparseEncoderStub(self._connection.channel())
        response = await self._connection.called(
            "SparseEncoder/Encode",
            lambda left, metadata: stub.Encode(request, timeout=left, metadata=metadata),
            timeout,
        )
        return read_encode_response(response)

    def encode_stream(
        self,
        batches: Batches,
        *,
        side: Side = Side.DOCUMENT,
        model: str | None = None,
        pruning: Pruning | None = None,
        windows: Windows = DEFAULT_WINDOWS,
        lane: Lane = Lane.BULK,
        return_terms: bool = False,
        expected_fingerprint: str | None = None,
        in_flight: int = 8,
        stall_timeout: float = 60.0,
        resumptions: int = 5,
    ) -> AsyncGenerator[StreamOutcome, None]:
        """Encode batches of texts as they come, and yield their outcomes as they come, in any order.

        At most `in_flight` batches are read ahead of their outcomes. A batch that fails has its error in its outcome;
        the others go on. When the sidecar goes away, unanswered batches are sent again, after up to `resumptions`
        attempts to reach it; DeadlineExceeded is raised when nothing is answered for `stall_timeout` seconds.
        Leave early with `contextlib.aclosing`.
        """

        def request(texts: Sequence[str]) -> pb.EncodeRequest:
            call = EncodeCall(
                several_texts(texts, "texts"), side, model, pruning, windows, lane, return_terms, expected_fingerprint
            )
            return write_encode_request(call)

        def open_call() -> aio.StreamStreamCall[pb.EncodeStreamRequest, pb.EncodeStreamResponse]:
            stub: rpc.SparseEncoderAsyncStub = rpc.SparseEncoderStub(self._connection.channel())
            return stub.EncodeStream(metadata=(*self._connection.metadata, *propagated()))

        plan = StreamPlan(in_flight, stall_timeout, resumptions, self._connection.target)
        return stream_outcomes(batches, request, open_call, plan)

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        model: str | None = None,
        windows: Windows = DEFAULT_WINDOWS,
        lane: Lane = Lane.RERANK,
        expected_fingerprint: str | None = None,
        timeout: float | None = None,
    ) -> RerankResult:
        """Score every document against the query; results come in descending order of score."""
        call = RerankCall(
            one_text(query, "query"), several_texts(documents, "documents"), model, windows, lane, expected_fingerprint
        )
        request = write_rerank_request(call)
        stub: rpc.RerankerAsyncStub = rpc.RerankerStub(self._connection.channel())
        response = await self._connection.called(
            "Reranker/Rerank", lambda left, metadata: stub.Rerank(request, timeout=left, metadata=metadata), timeout
        )
        return read_rerank_response(response)

    async def rerank_batch(
        self,
        queries: Sequence[tuple[str, Sequence[str]]],
        *,
        model: str | None = None,
        windows: Windows = DEFAULT_WINDOWS,
        lane: Lane = Lane.RERANK,
        expected_fingerprint: str | None = None,
        timeout: float | None = None,
    ) -> tuple[RerankResult, ...]:
        """Score several `(query, documents)` pairs in one call; results are in the order of the pairs.

        An error names its pair: `requests[3].documents[0]`.
        """
        request = pb.RerankBatchRequest()
        for position, (query, documents) in enumerate(queries):
            try:
                call = RerankCall(
                    one_text(query, "query"),
                    several_texts(documents, "documents"),
                    model,
                    windows,
                    lane,
                    expected_fingerprint,
                )
                request.requests.append(write_rerank_request(call))
            except InvalidInput as error:
                raise within(error, f"requests[{position}]") from None
        stub: rpc.RerankerAsyncStub = rpc.RerankerStub(self._connection.channel())
        response = await self._connection.called(
            "Reranker/RerankBatch",
            lambda left, metadata: stub.RerankBatch(request, timeout=left, metadata=metadata),
            timeout,
        )
        return tuple(read_rerank_response(part) for part in response.responses)

    async def models(self, *, timeout: float | None = None) -> tuple[ModelInfo, ...]:
        """Return the models the sidecar serves."""
        stub: rpc.ModelsAsyncStub = rpc.ModelsStub(self._connection.channel())
        request = pb.ListModelsRequest()
        response = await self._connection.called(
            "Models/List", lambda left, metadata: stub.List(request, timeout=left, metadata=metadata), timeout
        )
        return tuple(read_model(model) for model in response.models)

    async def model(self, name: str, *, timeout: float | None = None) -> ModelInfo:
        """Return the model of that name; raise UnknownModel."""
        stub: rpc.ModelsAsyncStub = rpc.ModelsStub(self._connection.channel())
        request = pb.GetModelRequest(name=name)
        response = await self._connection.called(
            "Models/Get", lambda left, metadata: stub.Get(request, timeout=left, metadata=metadata), timeout
        )
        return read_model(response)

    async def health(self, service: str = "", *, timeout: float | None = None) -> bool:
        """Return whether the sidecar (or one of its services, by full name) takes work.

        A model is asked about as `sidecar.v1.SparseEncoder/NAME` or `sidecar.v1.Reranker/NAME`. Raises
        SidecarUnavailable where nobody answers, UnknownModel for a name that does not exist there.
        """
        check: aio.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]
        check = self._connection.channel().unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        response = await self._connection.call(
            lambda left: check(health_pb2.HealthCheckRequest(service=service), timeout=left), timeout
        )
        return response.status == health_pb2.HealthCheckResponse.SERVING
