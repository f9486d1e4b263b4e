"""What a bulk request is made of, and what became of each part: `BulkAction` and `BulkItem`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sidecar.domain import JsonObject
from sidecar.engine.exact_json import to_json
from sidecar.engine.failures import BLOCK
from sidecar.errors import EngineRejected, IndexNotFound, InvalidInput

__all__ = ["GUARD_ID", "BulkAction", "BulkItem", "BulkOperation", "guards"]

MAX_ID_BYTES = 512
"""The clusters' limit for `_id`."""

GUARD_ID = "splade-sidecar-guard"
"""The id that a guard asks for; no document is ever written under it."""

MISSING_INDEX = "index_not_found_exception"
"""What the clusters call the error of a write whose index is not there."""

WRITE_BLOCK = "FORBIDDEN/8/"
"""How every cluster's reason names `index.blocks.write`, among the blocks that an index may have."""

_REFUSALS = frozenset({EngineRejected.__name__, IndexNotFound.__name__})
"""Errors of a whole request, as an item's type; a cluster's own types are words in small letters."""


class BulkOperation(StrEnum):
    """What is done to a document. UPDATE runs a script: a partial document would lose or merge vectors."""

    INDEX = "index"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class BulkAction:
    """One write. The id is the caller's, so that sending it again after a lost answer writes the same document.

    `if_seq_no` and `if_primary_term` make it conditional: a newer write is never overwritten. An update's `document`
    is `{"script": …}`; a document that is gone stays gone (404).
    """

    index: str
    id: str
    document: JsonObject | None = None
    operation: BulkOperation = BulkOperation.INDEX
    routing: str | None = None
    if_seq_no: int | None = None
    if_primary_term: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.id, str):
            raise InvalidInput(f"A document's id is a string, not {type(self.id).__name__}.", field="id")
        if not self.id or len(self.id.encode("utf-8", "surrogatepass")) > MAX_ID_BYTES:
            raise InvalidInput(f"A document's id must have 1 to {MAX_ID_BYTES} bytes.", field="id")
        if (self.document is None) != (self.operation is BulkOperation.DELETE):
            raise InvalidInput("A document is given, unless it is deleted.", field="document")
        if self.operation is BulkOperation.UPDATE and (self.document is None or set(self.document) != {"script"}):
            raise InvalidInput("An update is done by a script: partial documents merge vectors.", field="document")

    def lines(self) -> bytes:
        """Return the action's lines of a bulk body; raise MalformedText or InvalidInput for what JSON can't hold."""
        head: dict[str, str | int] = {"_index": self.index, "_id": self.id}
        if self.routing is not None:
            head["routing"] = self.routing
        if self.if_seq_no is not None and self.if_primary_term is not None:
            head |= {"if_seq_no": self.if_seq_no, "if_primary_term": self.if_primary_term}
        first = to_json({self.operation.value: head}) + b"\n"
        return first if self.document is None else first + to_json(self.document) + b"\n"


@dataclass(frozen=True, slots=True)
class BulkItem:
    """What became of one action: HTTP status (0: never answered), error type and reason, attempts made.

    `seq_no` is the version that a confirmed write made, by its shard's count.
    """

    action: BulkAction
    status: int
    error_type: str = ""
    reason: str = ""
    attempts: int = 1
    seq_no: int | None = None

    @property
    def written(self) -> bool:
        """Whether the cluster confirmed the write. Deleting what is not there counts as done."""
        # With an error, it is not the document that is not there: it is the index.
        gone = self.status == 404 and not self.error_type and self.action.operation is BulkOperation.DELETE
        return 200 <= self.status < 300 or gone

    @property
    def conflict(self) -> bool:
        """Whether the document had another version than the one that the write was conditional on."""
        return self.status == 409

    @property
    def missing(self) -> bool:
        """Whether the document that was to be updated is gone."""
        return self.status == 404 and self.error_type == "document_missing_exception"

    @property
    def index_missing(self) -> bool:
        """Whether the index that was to be written to is not there."""
        return self.status == 404 and self.error_type == MISSING_INDEX

    @property
    def blocked(self) -> bool:
        """Whether the index refuses writes: while an alias is switched to another one, or until somebody lets them."""
        # 429 where the cluster set the block itself, for a disk that is nearly full.
        return self.status in {403, 429} and self.error_type == BLOCK

    @property
    def held_up(self) -> bool:
        """Whether it is `index.blocks.write` that refuses: so it is for some seconds while an alias is switched."""
        return self.status == 403 and self.blocked and WRITE_BLOCK in self.reason

    @property
    def request_refused(self) -> bool:
        """Whether the cluster refused the whole request that the action was in: it is not this document."""
        return self.status == 400 and self.error_type in _REFUSALS

    @property
    def unreachable(self) -> bool:
        """Whether the cluster never answered for this action."""
        return self.status == 0


def guards(actions: Iterable[BulkAction]) -> bytes:
    """Return lines that write nothing, and keep the cluster from making the indices of `actions` that are not there.

    An index that one action of a request requires to be an alias is not made for any of them: so do OpenSearch and
    Elasticsearch, since 7.10, in `TransportBulkAction`. For an index the guard itself fails before it gets to a shard;
    behind an alias it is an update that finds no document. Deletions make no index, and need none.
    """
    names = dict.fromkeys(one.index for one in actions if one.operation is not BulkOperation.DELETE)
    return b"".join(
        to_json({"update": {"_index": name, "_id": GUARD_ID, "require_alias": True}}) + b'\n{"doc":{}}\n'
        for name in names
    )
