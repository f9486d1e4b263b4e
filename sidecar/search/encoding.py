"""The query's vector, from the model that encoded the index and from no other."""

from __future__ import annotations

import time
from typing import Protocol

from sidecar.domain import Encoding, ModelKind, Side, SparseVector
from sidecar.engine import CollectionFrequencies, Engine, IndexMeta
from sidecar.errors import FingerprintMismatch, InvalidInput, SidecarError, UnknownModel, WrongModelKind
from sidecar.search.collection_idf import adapted
from sidecar.search.degradation import NO_QUERY_TERMS, Deadline, Degraded, degraded_by, within
from sidecar.search.ports import Sidecar
from sidecar.search.profile import Sparse
from sidecar.search.tracing import traced_stage

__all__ = ["IndexRecord", "PinnedRecord", "QueryEncoder", "Record"]


class Record(Protocol):
    """An index's `_meta` and its document frequencies, as `IndexRecord` and `PinnedRecord` have them."""

    @property
    def frequencies(self) -> CollectionFrequencies | None: ...

    async def get(self) -> IndexMeta: ...

    async def read(self) -> IndexMeta: ...


class IndexRecord:
    """An index's `_meta` and its document frequencies.

    Both are read again when it is older than `seconds`, and when it turns out to be outdated. `fingerprint` names one
    of the two models of an index that is being migrated; None: the one that is searched.
    """

    def __init__(self, engine: Engine, index: str, *, fingerprint: str | None = None, seconds: float = 30.0) -> None:
        self._engine = engine
        self._index = index
        self._fingerprint = fingerprint
        self._seconds = seconds
        self._meta: IndexMeta | None = None
        self.frequencies: CollectionFrequencies | None = None
        self._read_at = 0.0

    async def get(self, timeout: float | None = None) -> IndexMeta:
        """Return the record; raises IndexNotFound, IndexNotPrepared, FingerprintMismatch (an alias of two models).

        `timeout`: seconds in which the cluster has to answer, if it has to be asked; None: the engine's.
        """
        if self._meta is None or time.monotonic() - self._read_at > self._seconds:
            return await self.read(timeout)
        return self._meta

    async def read(self, timeout: float | None = None) -> IndexMeta:
        """Read the record from the cluster."""
        found = await self._engine.index_record(self._index, self._fingerprint, timeout=timeout)
        self._meta, self.frequencies = found
        self._read_at = time.monotonic()
        return found[0]

    def pinned(self, deadline: Deadline | None = None) -> PinnedRecord:
        """Return the record for one search, which has until `deadline`."""
        return PinnedRecord(self, deadline)


class PinnedRecord:
    """The record that one search goes by, from its query's vector to the field that it is matched with.

    The shared record may be replaced between the two, where an index is migrated to another model: one model's query
    must never be scored in another model's field.
    """

    def __init__(self, shared: IndexRecord, deadline: Deadline | None = None) -> None:
        self._shared = shared
        self._deadline = deadline
        self._meta: IndexMeta | None = None
        self.frequencies: CollectionFrequencies | None = None

    async def get(self) -> IndexMeta:
        """Return the record that the search began with; raises as `IndexRecord.get`."""
        return self._meta or self._take(await self._shared.get(self._left()))

    async def read(self) -> IndexMeta:
        """Read the record from the cluster, and go by that one from now on."""
        return self._take(await self._shared.read(self._left()))

    def _left(self) -> float | None:
        return None if self._deadline is None else self._deadline.left()

    def _take(self, meta: IndexMeta) -> IndexMeta:
        # No other task runs between the reading and this: meta and frequencies belong together.
        self._meta, self.frequencies = meta, self._shared.frequencies
        return meta


class QueryEncoder:
    """Encodes queries for one index and one retriever."""

    def __init__(self, sidecar: Sidecar, retriever: Sparse, index: str) -> None:
        self._sidecar = sidecar
        self._retriever = retriever
        self._index = index

    @traced_stage("encode")
    async def encode(self, text: str, record: Record, timeout: float) -> SparseVector | Degraded:
        """Return the vector with its terms, or why there is none.

        Raises what the caller or the operator must mend: InvalidInput, FingerprintMismatch, WrongModelKind, and
        UnknownModel where the profile names a model that is not served. All else the sidecar may do (be gone, late,
        overloaded, broken) is a degradation.
        """
        meta = await record.get()
        try:
            try:
                encoding = await self._encoded(text, meta, timeout)
            except FingerprintMismatch:
                # The index may have been migrated since its record was read.
                fresh = await record.read()
                if fresh.fingerprint == meta.fingerprint:
                    raise
                encoding = await self._encoded(text, fresh, timeout)
        except (InvalidInput, FingerprintMismatch, UnknownModel, WrongModelKind):
            raise
        except SidecarError as error:
            return degraded_by("encode", error)
        if not len(encoding.vector):
            return Degraded("encode", NO_QUERY_TERMS)
        share = self._retriever.collection_idf
        if share and record.frequencies is not None:
            return adapted(encoding, record.frequencies, share)
        return encoding.vector

    async def _encoded(self, text: str, meta: IndexMeta, timeout: float) -> Encoding:
        pruning = self._retriever.pruning
        try:
            answer = await within(
                timeout,
                self._sidecar.encode(
                    [text],
                    side=Side.QUERY,
                    model=self._retriever.model or meta.bundle,
                    pruning=None if pruning is None else pruning.to_domain(),
                    return_terms=True,
                    expected_fingerprint=meta.fingerprint,
                    timeout=timeout,
                ),
            )
        except UnknownModel:
            if self._retriever.model is not None:
                raise await self._not_served(self._retriever.model, meta, timeout) from None
            raise FingerprintMismatch(
                f"Index {self._index} holds vectors of {meta.bundle}, which this sidecar does"
                " not serve: serve that model, or set up a new index for the one it serves."
            ) from None
        meta.require_fingerprint(answer.fingerprint, self._index)
        return answer.encodings[0]

    async def _not_served(self, model: str, meta: IndexMeta, timeout: float) -> UnknownModel:
        """Say that the profile is wrong, and what could stand there: the index may be as it should be."""
        try:
            served = await within(timeout, self._sidecar.models(timeout=timeout))
        except SidecarError:
            served = ()
        names = ", ".join(one.name for one in served if one.kind is ModelKind.SPARSE_ENCODER)
        return UnknownModel(
            f"The profile names the model {model} for its sparse retriever, which this sidecar does not serve"
            f"{names and f' (it serves {names})'}. Index {self._index} was encoded by {meta.bundle}: name that one, or"
            " leave `model` out.",
            field="retrievers.model",
        )
