"""The one table: the gRPC code, HTTP status and reason of every class of the tree."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from sidecar.errors.tree import (
    BundleCorrupt,
    BundleError,
    BundleNotFound,
    Cancelled,
    DeadlineExceeded,
    DocumentsNotWritten,
    EmptyText,
    EngineError,
    EngineOverloaded,
    EngineRejected,
    EngineUnavailable,
    EvaluationError,
    ExportError,
    ExportMismatch,
    FingerprintMismatch,
    HubError,
    IndexNotFound,
    IndexNotPrepared,
    InferenceFailed,
    InvalidInput,
    InvalidPruning,
    LocalNodeError,
    MalformedText,
    ManifestInvalid,
    ModelMissing,
    NotAllowed,
    NotReady,
    Overloaded,
    ProfileInvalid,
    SettingsInvalid,
    SidecarError,
    SidecarUnavailable,
    TextTooLarge,
    TextTooLong,
    TooManyTexts,
    Unauthenticated,
    UnknownModel,
    UnsupportedCheckpoint,
    UnsupportedEngine,
    WrongModelKind,
)

__all__ = ["ERROR_DOMAIN", "WIRE", "StatusCode", "WireError", "wire_error"]

ERROR_DOMAIN = "sidecar.v1"
"""`domain` of every google.rpc.ErrorInfo."""


class StatusCode(IntEnum):
    """google.rpc.Code, without importing a transport."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class WireError:
    """What one error looks like on the wire: gRPC code, HTTP status, ErrorInfo.reason."""

    code: StatusCode
    http_status: int
    reason: str


WIRE: dict[type[SidecarError], WireError] = {
    SidecarError: WireError(StatusCode.INTERNAL, 500, "INTERNAL"),
    InvalidInput: WireError(StatusCode.INVALID_ARGUMENT, 422, "INVALID_INPUT"),
    EmptyText: WireError(StatusCode.INVALID_ARGUMENT, 422, "EMPTY_TEXT"),
    MalformedText: WireError(StatusCode.INVALID_ARGUMENT, 422, "MALFORMED_TEXT"),
    TextTooLarge: WireError(StatusCode.INVALID_ARGUMENT, 413, "TEXT_TOO_LARGE"),
    TextTooLong: WireError(StatusCode.INVALID_ARGUMENT, 422, "TEXT_TOO_LONG"),
    TooManyTexts: WireError(StatusCode.INVALID_ARGUMENT, 413, "TOO_MANY_TEXTS"),
    InvalidPruning: WireError(StatusCode.INVALID_ARGUMENT, 422, "INVALID_PRUNING"),
    UnknownModel: WireError(StatusCode.NOT_FOUND, 404, "UNKNOWN_MODEL"),
    WrongModelKind: WireError(StatusCode.FAILED_PRECONDITION, 400, "WRONG_MODEL_KIND"),
    FingerprintMismatch: WireError(StatusCode.FAILED_PRECONDITION, 409, "FINGERPRINT_MISMATCH"),
    Unauthenticated: WireError(StatusCode.UNAUTHENTICATED, 401, "UNAUTHENTICATED"),
    NotAllowed: WireError(StatusCode.PERMISSION_DENIED, 403, "NOT_ALLOWED"),
    Overloaded: WireError(StatusCode.RESOURCE_EXHAUSTED, 429, "OVERLOADED"),
    DeadlineExceeded: WireError(StatusCode.DEADLINE_EXCEEDED, 504, "DEADLINE_EXCEEDED"),
    Cancelled: WireError(StatusCode.CANCELLED, 499, "CANCELLED"),
    NotReady: WireError(StatusCode.UNAVAILABLE, 503, "NOT_READY"),
    InferenceFailed: WireError(StatusCode.INTERNAL, 500, "INFERENCE_FAILED"),
    SidecarUnavailable: WireError(StatusCode.UNAVAILABLE, 503, "SIDECAR_UNAVAILABLE"),
    ModelMissing: WireError(StatusCode.FAILED_PRECONDITION, 503, "MODEL_MISSING"),
    SettingsInvalid: WireError(StatusCode.INVALID_ARGUMENT, 422, "SETTINGS_INVALID"),
    BundleError: WireError(StatusCode.FAILED_PRECONDITION, 500, "BUNDLE_UNUSABLE"),
    BundleNotFound: WireError(StatusCode.NOT_FOUND, 404, "BUNDLE_NOT_FOUND"),
    ManifestInvalid: WireError(StatusCode.FAILED_PRECONDITION, 500, "MANIFEST_INVALID"),
    BundleCorrupt: WireError(StatusCode.FAILED_PRECONDITION, 500, "BUNDLE_CORRUPT"),
    ExportError: WireError(StatusCode.FAILED_PRECONDITION, 500, "EXPORT_FAILED"),
    UnsupportedCheckpoint: WireError(StatusCode.FAILED_PRECONDITION, 500, "UNSUPPORTED_CHECKPOINT"),
    ExportMismatch: WireError(StatusCode.FAILED_PRECONDITION, 500, "EXPORT_MISMATCH"),
    HubError: WireError(StatusCode.UNAVAILABLE, 502, "HUB_FAILED"),
    EngineError: WireError(StatusCode.UNAVAILABLE, 502, "ENGINE_FAILED"),
    EngineUnavailable: WireError(StatusCode.UNAVAILABLE, 503, "ENGINE_UNAVAILABLE"),
    EngineOverloaded: WireError(StatusCode.RESOURCE_EXHAUSTED, 429, "ENGINE_OVERLOADED"),
    EngineRejected: WireError(StatusCode.FAILED_PRECONDITION, 502, "ENGINE_REJECTED"),
    UnsupportedEngine: WireError(StatusCode.FAILED_PRECONDITION, 502, "UNSUPPORTED_ENGINE"),
    IndexNotFound: WireError(StatusCode.NOT_FOUND, 404, "INDEX_NOT_FOUND"),
    IndexNotPrepared: WireError(StatusCode.FAILED_PRECONDITION, 409, "INDEX_NOT_PREPARED"),
    DocumentsNotWritten: WireError(StatusCode.UNKNOWN, 502, "DOCUMENTS_NOT_WRITTEN"),
    LocalNodeError: WireError(StatusCode.UNAVAILABLE, 503, "LOCAL_NODE_FAILED"),
    ProfileInvalid: WireError(StatusCode.INVALID_ARGUMENT, 422, "PROFILE_INVALID"),
    EvaluationError: WireError(StatusCode.FAILED_PRECONDITION, 500, "EVALUATION_FAILED"),
}
"""The one table. A test fails if a class of the tree is missing here."""


def wire_error(error: SidecarError) -> WireError:
    """Look up the nearest class of `error` in `WIRE`, walking its method resolution order."""
    for cls in type(error).__mro__:
        found = WIRE.get(cls)
        if found is not None:
            return found
    raise AssertionError("SidecarError itself is in the table; this is a bug.")
