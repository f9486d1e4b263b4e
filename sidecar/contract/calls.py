"""Requests: what one encode or rerank call asks for, and its protobuf form."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from sidecar.domain import Lane, Pruning, PruningType, Side, WindowPolicy, Windows
from sidecar.errors import InvalidInput, InvalidPruning, MalformedText
from sidecar.v1 import sidecar_pb2 as pb

__all__ = [
    "EncodeCall",
    "RerankCall",
    "pruning_from_proto",
    "pruning_to_proto",
    "read_encode_request",
    "read_rerank_request",
    "write_encode_request",
    "write_rerank_request",
]

DEFAULT_MAX_WINDOWS = 32
"""What `Windows.max_windows = 0` stands for."""

DEFAULT_WINDOWS = Windows()

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_Word = TypeVar("_Word", bound=StrEnum)


def _inverse(table: Mapping[_Key, _Value]) -> dict[_Value, _Key]:
    return {value: key for key, value in table.items()}


SIDES: Mapping[Side, pb.Side.ValueType] = {Side.QUERY: pb.SIDE_QUERY, Side.DOCUMENT: pb.SIDE_DOCUMENT}
ENCODE_LANES: Mapping[Lane, pb.Lane.ValueType] = {Lane.INTERACTIVE: pb.LANE_INTERACTIVE, Lane.BULK: pb.LANE_BULK}
RERANK_LANES: Mapping[Lane, pb.Lane.ValueType] = {Lane.RERANK: pb.LANE_INTERACTIVE, Lane.BULK: pb.LANE_BULK}
PRUNING_TYPES: Mapping[PruningType, pb.Pruning.Type.ValueType] = {
    PruningType.NONE: pb.Pruning.TYPE_NONE,
    PruningType.MAX_RATIO: pb.Pruning.TYPE_MAX_RATIO,
    PruningType.ABS_VALUE: pb.Pruning.TYPE_ABS_VALUE,
    PruningType.TOP_K: pb.Pruning.TYPE_TOP_K,
    PruningType.ALPHA_MASS: pb.Pruning.TYPE_ALPHA_MASS,
}
POLICIES: Mapping[WindowPolicy, pb.Windows.Policy.ValueType] = {
    WindowPolicy.TRUNCATE: pb.Windows.POLICY_TRUNCATE,
    WindowPolicy.SLIDE: pb.Windows.POLICY_SLIDE,
    WindowPolicy.REFUSE: pb.Windows.POLICY_REFUSE,
}

SIDES_READ = {**_inverse(SIDES), pb.SIDE_UNSPECIFIED: Side.DOCUMENT}
PRUNING_TYPES_READ = _inverse(PRUNING_TYPES)
POLICIES_READ = {**_inverse(POLICIES), pb.Windows.POLICY_UNSPECIFIED: WindowPolicy.TRUNCATE}


@dataclass(frozen=True, slots=True)
class EncodeCall:
    """The arguments of `InferenceService.encode`, in its words."""

    texts: tuple[str, ...]
    side: Side = Side.DOCUMENT
    model: str | None = None
    pruning: Pruning | None = None
    windows: Windows = DEFAULT_WINDOWS
    lane: Lane = Lane.INTERACTIVE
    return_terms: bool = False
    expected_fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class RerankCall:
    """The arguments of `InferenceService.rerank`, in its words."""

    query: str
    documents: tuple[str, ...]
    model: str | None = None
    windows: Windows = DEFAULT_WINDOWS
    lane: Lane = Lane.RERANK
    expected_fingerprint: str | None = None


def read_encode_request(message: pb.EncodeRequest, *, default_lane: Lane = Lane.INTERACTIVE) -> EncodeCall:
    """Read a request; `default_lane` is what LANE_UNSPECIFIED stands for: INTERACTIVE for calls, BULK for streams.

    Raises InvalidInput for enum numbers this version does not know, InvalidPruning for values out of range.
    """
    lanes = {**_inverse(ENCODE_LANES), pb.LANE_UNSPECIFIED: default_lane}
    return EncodeCall(
        texts=tuple(message.texts),
        side=_known(SIDES_READ, message.side, "side"),
        model=message.model or None,
        pruning=pruning_from_proto(message.pruning) if message.HasField("pruning") else None,
        windows=_read_windows(message.windows),
        lane=_known(lanes, message.lane, "lane"),
        return_terms=message.return_terms,
        expected_fingerprint=message.expected_fingerprint or None,
    )


def write_encode_request(call: EncodeCall) -> pb.EncodeRequest:
    """Write a request. Raises MalformedText naming the text that holds a lone surrogate."""
    message = pb.EncodeRequest(
        side=_number(SIDES, call.side, "side"),
        model=_unicode(call.model or "", "model"),
        pruning=pruning_to_proto(call.pruning) if call.pruning is not None else None,
        windows=_write_windows(call.windows),
        lane=_number(ENCODE_LANES, call.lane, "lane"),
        return_terms=call.return_terms,
        expected_fingerprint=_unicode(call.expected_fingerprint or "", "expected_fingerprint"),
    )
    message.texts.extend(_unicode(text, f"texts[{position}]") for position, text in enumerate(call.texts))
    return message


def read_rerank_request(message: pb.RerankRequest) -> RerankCall:
    """Read a request. Raises InvalidInput for enum numbers this version does not know."""
    lanes = {**_inverse(RERANK_LANES), pb.LANE_UNSPECIFIED: Lane.RERANK}
    return RerankCall(
        query=message.query,
        documents=tuple(message.documents),
        model=message.model or None,
        windows=_read_windows(message.windows),
        lane=_known(lanes, message.lane, "lane"),
        expected_fingerprint=message.expected_fingerprint or None,
    )


def write_rerank_request(call: RerankCall) -> pb.RerankRequest:
    """Write a request. Raises MalformedText naming the text that holds a lone surrogate."""
    message = pb.RerankRequest(
        query=_unicode(call.query, "query"),
        model=_unicode(call.model or "", "model"),
        windows=_write_windows(call.windows),
        lane=_number(RERANK_LANES, call.lane, "lane"),
        expected_fingerprint=_unicode(call.expected_fingerprint or "", "expected_fingerprint"),
    )
    message.documents.extend(_unicode(text, f"documents[{position}]") for position, text in enumerate(call.documents))
    return message


def pruning_from_proto(message: pb.Pruning) -> Pruning | None:
    """Read a pruning rule; None stands for the model's default (TYPE_UNSPECIFIED)."""
    if message.type == pb.Pruning.TYPE_UNSPECIFIED:
        if message.value != 0.0:
            raise InvalidPruning("A pruning value needs a type that it belongs to.", field="pruning.type")
        return None
    kind = _known(PRUNING_TYPES_READ, message.type, "pruning.type")
    return Pruning(kind, _shortest_decimal(message.value))


def pruning_to_proto(pruning: Pruning) -> pb.Pruning:
    """Write a pruning rule."""
    return pb.Pruning(type=_number(PRUNING_TYPES, pruning.type, "pruning.type"), value=pruning.value)


def _read_windows(message: pb.Windows) -> Windows:
    return Windows(
        policy=_known(POLICIES_READ, message.policy, "windows.policy"),
        stride=message.stride,
        max_windows=message.max_windows or DEFAULT_MAX_WINDOWS,
    )


def _write_windows(windows: Windows) -> pb.Windows:
    policy = _number(POLICIES, windows.policy, "windows.policy")
    return pb.Windows(policy=policy, stride=windows.stride, max_windows=windows.max_windows)


def _known(table: Mapping[_Key, _Value], number: _Key, field: str) -> _Value:
    found = table.get(number)
    if found is None:
        raise InvalidInput(f"{field} has the number {number}, which this sidecar does not know.", field=field)
    return found


def _number(table: Mapping[_Word, _Value], word: _Word, field: str) -> _Value:
    found = table.get(word)
    if found is None:
        raise InvalidInput(f"This call knows no {field} {word}; it takes {', '.join(table)}.", field=field)
    return found


def _unicode(text: str, field: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MalformedText(f"{field} holds a lone surrogate: it is no valid Unicode text.", field=field) from None
    return text


def _shortest_decimal(value: float) -> float:
    """Return the shortest decimal that is the same float32, so that 0.1 means 0.1 through every transport."""
    packed = struct.pack("<f", value)
    for digits in range(6, 9):
        candidate = float(f"{value:.{digits}g}")
        if struct.pack("<f", candidate) == packed:
            return candidate
    return value
