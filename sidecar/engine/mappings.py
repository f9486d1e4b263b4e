"""What the mappings behind an index's name say, and what is remembered of them from one search to the next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sidecar.domain import JsonObject, JsonValue
from sidecar.engine.frequencies import CollectionFrequencies
from sidecar.engine.meta import IndexMeta
from sidecar.engine.migration import hidden_fields, record_of
from sidecar.engine.text_fields import field_types, text_fields
from sidecar.engine.transport import Transport, path_of
from sidecar.errors import FingerprintMismatch, IndexNotFound

__all__ = ["Mappings", "excluding", "showing"]

MOST_NAMES = 1_024
"""Names that something is remembered of; beyond it, the one that was read longest ago is forgotten. A process that
searches may meet a new index every day, and never hears of those that are gone."""


@dataclass(frozen=True, slots=True)
class _Behind:
    """The indices behind a name as they were when a record of it was read: who, the fields of text, all fields."""

    holders: frozenset[str] = frozenset()
    text: frozenset[str] = frozenset()
    types: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(slots=True)
class _Name:
    """What is known of a name: its hidden fields, if they need not be read again, and the rest by fingerprint."""

    hidden: tuple[str, ...] | None = None
    behind: dict[str, _Behind] = field(default_factory=dict)


class Mappings:
    """Reads mappings; remembers which fields no answer may carry, which hold text, and whom a name stood for."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._names: OrderedDict[str, _Name] = OrderedDict()

    async def read(self, index: str, timeout: float | None = None) -> dict[str, JsonObject]:
        """Return the mapping of each concrete index behind a name; raises IndexNotFound. `timeout` in seconds."""
        answer = await self._transport.read("GET", path_of(index, "_mapping"), timeout=timeout)
        found: dict[str, JsonObject] = {}
        for name, entry in answer.items():
            mapping = entry.get("mappings") if isinstance(entry, Mapping) else None
            found[name] = mapping if isinstance(mapping, Mapping) else {}
        return found

    async def record(
        self, index: str, fingerprint: str | None, timeout: float | None = None
    ) -> tuple[IndexMeta, CollectionFrequencies | None]:
        """Return the record that all indices behind a name share, with the frequencies of the largest sample.

        Raises as `Engine.index_record`.
        """
        mappings = await self.read(index, timeout)
        # Searches ask for the record every now and then: so they also learn of fields that came since.
        known = self._remembered(index)
        known.hidden = _hidden_in(mappings)
        records = [record_of(name, mapping, fingerprint) for name, mapping in sorted(mappings.items())]
        if not records:
            raise IndexNotFound(f"The index does not exist: {index}.")
        first = records[0][0]
        for other, _ in records[1:]:
            _demand_alike(index, first, other)
        known.behind[first.fingerprint] = _Behind(
            frozenset(mappings), text_fields(mappings, first), field_types(mappings)
        )
        counted = [table for _, table in records if table is not None]
        return first, max(counted, key=lambda table: table.sampled, default=None)

    def holders(self, index: str, meta: IndexMeta) -> frozenset[str]:
        """Return the indices that a name stood for when its record `meta` was read last; none where it never was."""
        return self._behind(index, meta).holders

    def text_fields(self, index: str, meta: IndexMeta) -> frozenset[str]:
        """Return the encoded fields that are searched by words, as of when the record `meta` was read last."""
        return self._behind(index, meta).text

    def field_types(self, index: str, meta: IndexMeta) -> Mapping[str, frozenset[str]]:
        """Return the types that each field has in the indices, as of when the record `meta` was read last."""
        return self._behind(index, meta).types

    def forget(self, index: str) -> None:
        """Read the index's mapping again before its hidden fields are asked for next."""
        if index in self._names:
            self._names[index].hidden = None

    async def hidden(self, index: str, timeout: float | None = None) -> tuple[str, ...]:
        """Return the fields that no answer may carry; none of an index that was never set up."""
        known = self._names.get(index)
        if known is not None and known.hidden is not None:
            return known.hidden
        fields = _hidden_in(await self.read(index, timeout))
        self._remembered(index).hidden = fields
        return fields

    async def without_vectors(self, index: str, body: JsonObject, timeout: float | None = None) -> JsonObject:
        """Return a search's body whose hits leave out the hidden fields, whatever its `_source` says."""
        fields = await self.hidden(index, timeout)
        return showing(body, fields) if fields else body

    def _behind(self, index: str, meta: IndexMeta) -> _Behind:
        known = self._names.get(index)
        return _NOBODY if known is None else known.behind.get(meta.fingerprint, _NOBODY)

    def _remembered(self, index: str) -> _Name:
        known = self._names.setdefault(index, _Name())
        self._names.move_to_end(index)
        if len(self._names) > MOST_NAMES:
            self._names.popitem(last=False)
        return known


_NOBODY = _Behind()


def showing(part: JsonObject, hidden: Sequence[str]) -> JsonObject:
    """Return a search's body, or a part of it that gives documents out, with `hidden` left out of its `_source`.

    One that asks for stored fields is answered without a `_source`, and may not name one beside `_none_`.
    """
    if "stored_fields" in part and "_source" not in (*part, *_names(part["stored_fields"])):
        return part
    return {**part, "_source": excluding(part.get("_source"), hidden)}


def excluding(asked: JsonValue, fields: Sequence[str]) -> JsonValue:
    """Return the `_source` of a body with `fields` taken out."""
    match asked:
        case False:
            return False
        case Mapping():
            included = _names(asked.get("includes", asked.get("include")))
            excluded = _names(asked.get("excludes", asked.get("exclude")))
        case _:
            included, excluded = _names(asked), []
    # Clusters refuse a name that is both included and excluded.
    kept = [name for name in included if name not in fields]
    if included and not kept:
        return False
    only: JsonObject = {"includes": kept} if kept else {}
    return {**only, "excludes": list(dict.fromkeys([*excluded, *fields]))}


def _demand_alike(index: str, first: IndexMeta, other: IndexMeta) -> None:
    if other.fingerprint != first.fingerprint:
        raise FingerprintMismatch(
            f"{index} stands for indices that were encoded by different models: search them one by one."
        )
    # Before the fields: vectors of passages lie in a field of another name.
    if (other.passages is None) != (first.passages is None):
        raise FingerprintMismatch(
            f"{index} stands for indices of which only some have passages: search them one by one."
        )
    if other.vector_field != first.vector_field:
        raise FingerprintMismatch(
            f"{index} stands for indices that keep their vectors in different fields ({first.vector_field} and"
            f" {other.vector_field}): search them one by one."
        )


def _hidden_in(mappings: Mapping[str, JsonObject]) -> tuple[str, ...]:
    return tuple(sorted({field for name, mapping in mappings.items() for field in hidden_fields(name, mapping)}))


def _names(value: JsonValue) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [name for name in value if isinstance(name, str)] if isinstance(value, list | tuple) else []
