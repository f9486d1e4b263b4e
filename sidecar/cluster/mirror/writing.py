"""Writing copies: only where the copy is as it was read, and only while it is a copy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from sidecar.cluster.mirror.comparing import ABSENT
from sidecar.cluster.mirror.pair import names_behind
from sidecar.cluster.present import present
from sidecar.cluster.reconcile.writing import Fate, Ready, Settled, fate_of
from sidecar.engine import BulkAction, BulkItem, BulkOperation, Engine, StoredDocument
from sidecar.errors import EngineUnavailable

__all__ = ["CopyWriter"]


class CopyWriter:
    """Writes whole documents into the copy, and deletes there what was deleted; everything is conditional.

    Before each request it asks what the alias stands for, and whether the copy is there: an index that has become the
    application's own is not written to any more, and one that was deleted is not made again.
    """

    def __init__(self, engine: Engine, alias: str, source: str) -> None:
        self._engine = engine
        self._alias = alias
        self._source = source

    async def write(self, ready: Sequence[Ready]) -> AsyncIterator[list[Settled]]:
        """Write documents; one that somebody else wrote meanwhile is put off, to be compared again."""
        await self._require_copy(one.finding.document for one in ready)
        items = await self._engine.bulk([_action(one) for one in ready])
        yield [
            Settled(one, _fate(item), item.attempts > 1, item.error_type, item.reason)
            for one, item in zip(ready, items, strict=True)
        ]

    async def delete(self, documents: Sequence[StoredDocument]) -> int:
        """Delete documents from the copy; return how many were, and leave those that were written meanwhile."""
        await self._require_copy(documents)
        actions = [
            BulkAction(
                one.index,
                one.id,
                operation=BulkOperation.DELETE,
                routing=one.routing,
                if_seq_no=one.seq_no,
                if_primary_term=one.primary_term,
            )
            for one in documents
        ]
        items = await self._engine.bulk(actions)
        failed = next((item for item in items if not item.written and not item.conflict), None)
        if failed is not None:
            raise EngineUnavailable(
                f"Documents can't be deleted from the copy: {failed.error_type or failed.status}: {failed.reason}"
            )
        return sum(item.written for item in items)

    async def _require_copy(self, written: Iterable[StoredDocument]) -> None:
        names = await names_behind(self._engine, self._alias)
        if names != (self._source,):
            raise EngineUnavailable(f"{self._alias} stands for {', '.join(names) or 'no index'} by now.")
        copies = {document.index for document in written}
        gone = copies - await present(self._engine, copies)
        if gone:
            raise EngineUnavailable(f"{', '.join(sorted(gone))} is deleted by now: there is nothing to be copied into.")


def _action(one: Ready) -> BulkAction:
    document = one.finding.document
    fields = {**document.source, **one.fields}
    if document.seq_no == ABSENT:
        return BulkAction(document.index, document.id, fields, BulkOperation.CREATE, document.routing)
    return BulkAction(
        document.index,
        document.id,
        fields,
        BulkOperation.INDEX,
        document.routing,
        document.seq_no,
        document.primary_term,
    )


def _fate(item: BulkItem) -> Fate:
    return Fate.PUT_OFF if item.conflict else fate_of(item)
