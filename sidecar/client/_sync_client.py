"""The client for threads: every method runs its async twin in an event loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from sidecar.client._async_client import DEFAULT_TARGET, DEFAULT_WINDOWS, AsyncSidecarClient
from sidecar.client._portal import Portal
from sidecar.client._stream import StreamOutcome
from sidecar.domain import EncodeResult, Lane, ModelInfo, Pruning, RerankResult, Side, Windows
from sidecar.errors import InvalidInput

__all__ = ["SidecarClient", "check_for_loop"]


class SidecarClient:
    """`AsyncSidecarClient` for code without an event loop; safe to share between threads.

    Arguments, results and errors are those of the async twin.

    Usage:
        with SidecarClient() as sidecar:
            result = sidecar.encode(["some text"], return_terms=True)
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
        self._client = AsyncSidecarClient(
            target,
            token=token,
            timeout=timeout,
            root_certificates=root_certificates,
            tls=tls,
            server_name=server_name,
            certificate_chain=certificate_chain,
            private_key=private_key,
            overload_retries=overload_retries,
        )
        self._portal = Portal(f"This client of {target}")
        self._portal.at_close(self._client.close)

    @property
    def target(self) -> str:
        """Where the calls go."""
        return self._client.target

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the channel; calls under way in other threads end with SidecarUnavailable."""
        self._portal.close()

    def encode(
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
        """Encode texts into sparse vectors, in their order."""
        return self._portal.call(
            partial(
                self._client.encode,
                texts,
                side=side,
                model=model,
                pruning=pruning,
                windows=windows,
                lane=lane,
                return_terms=return_terms,
                expected_fingerprint=expected_fingerprint,
                timeout=timeout,
            )
        )

    def encode_stream(
        self,
        batches: Iterable[Sequence[str]],
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
    ) -> Iterator[StreamOutcome]:
        """Encode batches of texts as they come, and yield their outcomes as they come, in any order.

        `batches` is read in the caller's thread, at most `in_flight` batches ahead of their outcomes.
        """
        handed: asyncio.Queue[tuple[Sequence[str]] | None] = asyncio.Queue()
        outcomes = self._client.encode_stream(
            _drain(handed),
            side=side,
            model=model,
            pruning=pruning,
            windows=windows,
            lane=lane,
            return_terms=return_terms,
            expected_fingerprint=expected_fingerprint,
            in_flight=in_flight,
            stall_timeout=stall_timeout,
            resumptions=resumptions,
        )

        # What Ctrl-C cancels ends in the loop while this thread goes on: closing it in the middle would be an error.
        turn = asyncio.Lock()

        async def following() -> StreamOutcome | None:
            async with turn:
                return await anext(outcomes, None)

        async def closing() -> None:
            async with turn:
                await outcomes.aclose()

        # Wrapped: nothing that is given may look like the end.
        source = ((batch,) for batch in batches)
        ahead, exhausted = 0, False
        try:
            while True:
                while ahead < in_flight and not exhausted:
                    batch = next(source, None)
                    self._portal.call(handed.put_nowait, batch)
                    ahead, exhausted = ahead + 1, batch is None
                outcome = self._portal.call(following)
                if outcome is None:
                    return
                ahead -= 1
                yield outcome
        finally:
            # Where the client was closed first, its calls are cancelled already.
            if self._portal.usable:
                self._portal.call(closing)

    def rerank(
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
        return self._portal.call(
            partial(
                self._client.rerank,
                query,
                documents,
                model=model,
                windows=windows,
                lane=lane,
                expected_fingerprint=expected_fingerprint,
                timeout=timeout,
            )
        )

    def rerank_batch(
        self,
        queries: Sequence[tuple[str, Sequence[str]]],
        *,
        model: str | None = None,
        windows: Windows = DEFAULT_WINDOWS,
        lane: Lane = Lane.RERANK,
        expected_fingerprint: str | None = None,
        timeout: float | None = None,
    ) -> tuple[RerankResult, ...]:
        """Score several `(query, documents)` pairs in one call; results are in the order of the pairs."""
        return self._portal.call(
            partial(
                self._client.rerank_batch,
                queries,
                model=model,
                windows=windows,
                lane=lane,
                expected_fingerprint=expected_fingerprint,
                timeout=timeout,
            )
        )

    def models(self, *, timeout: float | None = None) -> tuple[ModelInfo, ...]:
        """Return the models the sidecar serves."""
        return self._portal.call(partial(self._client.models, timeout=timeout))

    def model(self, name: str, *, timeout: float | None = None) -> ModelInfo:
        """Return the model of that name; raise UnknownModel."""
        return self._portal.call(partial(self._client.model, name, timeout=timeout))

    def health(self, service: str = "", *, timeout: float | None = None) -> bool:
        """Return whether the sidecar (or one of its services, by full name) takes work."""
        return self._portal.call(partial(self._client.health, service, timeout=timeout))


def check_for_loop(sidecar: object, what: str) -> None:
    """Raise InvalidInput for a client for threads where `what` is to call it in a loop of its own."""
    if isinstance(sidecar, SidecarClient):
        raise InvalidInput(
            f"{what} runs its client in its own loop: give an AsyncSidecarClient that was not used yet, or the"
            " sidecar's address.",
            field="sidecar",
        )


async def _drain(handed: asyncio.Queue[tuple[Sequence[str]] | None]) -> AsyncIterator[Sequence[str]]:
    while (batch := await handed.get()) is not None:
        yield batch[0]
