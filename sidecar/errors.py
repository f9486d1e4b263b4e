"""Every error the sidecar raises on purpose, and the one table that maps it to the wire.

    SidecarError
    ├── InvalidInput                the caller's request can't be served as it is
    │   ├── EmptyText
    │   ├── MalformedText           lone surrogates, invalid UTF-8
    │   ├── TextTooLarge
    │   ├── TextTooLong             more tokens than the model reads, and truncation was refused
    │   ├── TooManyTexts
    │   └── InvalidPruning
    ├── UnknownModel
    ├── WrongModelKind
    ├── FingerprintMismatch         the encodings at hand come from another model
    ├── Unauthenticated
    ├── NotAllowed                  the operator did not allow that to callers
    ├── Overloaded                  queue full; carries the seconds to wait
    ├── DeadlineExceeded
    ├── Cancelled                   the caller left
    ├── NotReady                    warming up or draining
    ├── InferenceFailed
    ├── SidecarUnavailable          seen by the client library: nobody answers there
    ├── ModelMissing                no model of the kind that a search needs is served
    ├── SettingsInvalid
    ├── BundleError
    │   ├── BundleNotFound
    │   ├── ManifestInvalid
    │   └── BundleCorrupt           a file does not match its sha256
    ├── ExportError
    │   ├── UnsupportedCheckpoint
    │   ├── ExportMismatch          the exported graph differs from the checkpoint
    │   └── HubError
    ├── EngineError
    │   ├── EngineUnavailable       connection refused, 503, timeouts
    │   ├── EngineOverloaded        429
    │   ├── EngineRejected          4xx: the request is wrong for this cluster
    │   ├── UnsupportedEngine       a version or feature the dialect needs is missing
    │   ├── IndexNotFound
    │   ├── IndexNotPrepared        no `_meta.splade_sidecar` in the mapping
    │   └── DocumentsNotWritten     some documents of a bulk could not be written
    ├── LocalNodeError              the embedded OpenSearch did not start
    ├── ProfileInvalid
    └── EvaluationError

Messages say what to do next and never repeat a user's text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "ERROR_DOMAIN",
    "WIRE",
    "BundleCorrupt",
    "BundleError",
    "BundleNotFound",
    "Cancelled",
    "DeadlineExceeded",
    "DocumentsNotWritten",
    "EmptyText",
    "EngineError",
    "EngineOverloaded",
    "EngineRejected",
    "EngineUnavailable",
    "EvaluationError",
    "ExportError",
    "ExportMismatch",
    "FingerprintMismatch",
    "HubError",
    "IndexNotFound",
    "IndexNotPrepared",
    "InferenceFailed",
    "InvalidInput",
    "InvalidPruning",
    "LocalNodeError",
    "MalformedText",
    "ManifestInvalid",
    "ModelMissing",
    "NotAllowed",
    "NotReady",
    "Overloaded",
    "ProfileInvalid",
    "SettingsInvalid",
    "SidecarError",
    "SidecarUnavailable",
    "StatusCode",
    "TextTooLarge",
    "TextTooLong",
    "TooManyTexts",
    "Unauthenticated",
    "UnknownModel",
    "UnsupportedCheckpoint",
    "UnsupportedEngine",
    "WireError",
    "WrongModelKind",
    "wire_error",
]

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


class SidecarError(Exception):
    """Base of everything below.

    `field` names the part of the request that is to blame (`texts[3]`, `pruning.value`), or is None.
    `retry_after` is the number of seconds after which the same call may succeed, or None if it can't.
    """

    def __init__(self, message: str, *, field: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after = retry_after


class InvalidInput(SidecarError):
    """The caller's request can't be served as it is."""


class EmptyText(InvalidInput):
    """A text has no character but white space."""


class MalformedText(InvalidInput):
    """A text is no valid Unicode: lone surrogates, or bytes that are not UTF-8."""


class TextTooLarge(InvalidInput):
    """A text, or the whole request, has more bytes than the sidecar accepts."""


class TextTooLong(InvalidInput):
    """A text has more tokens than the model reads, and the window policy refuses to cut it."""


class TooManyTexts(InvalidInput):
    """One call carries more texts than the sidecar accepts."""


class InvalidPruning(InvalidInput):
    """A pruning value is out of its range, or not a number."""


class UnknownModel(SidecarError):
    """No model of that name is served."""


class WrongModelKind(SidecarError):
    """The model exists and does something else."""


class FingerprintMismatch(SidecarError):
    """The encodings at hand were made by another model: comparing them would give silently wrong scores."""


class Unauthenticated(SidecarError):
    """The bearer token is missing or wrong."""


class NotAllowed(SidecarError):
    """The operator did not allow this to callers: another index, or bodies of their own."""


class Overloaded(SidecarError):
    """The queue is full; `retry_after` says when to come again."""


class DeadlineExceeded(SidecarError):
    """The caller's deadline passed before the answer was there."""


class Cancelled(SidecarError):
    """The caller left before the answer was there."""


class NotReady(SidecarError):
    """The sidecar is warming up or draining."""


class InferenceFailed(SidecarError):
    """The runtime failed on a valid request."""


class SidecarUnavailable(SidecarError):
    """Seen by the client library: no sidecar answers at the address."""


class ModelMissing(SidecarError):
    """A search needs a kind of model of which this sidecar serves none."""


class SettingsInvalid(SidecarError):
    """A setting is unknown or has a value out of its range."""


class BundleError(SidecarError):
    """A model bundle can't be used."""


class BundleNotFound(BundleError):
    """No bundle at that path or of that name."""


class ManifestInvalid(BundleError):
    """`manifest.json` is missing, malformed, or has an unknown key."""


class BundleCorrupt(BundleError):
    """A file of the bundle does not match its sha256."""


class ExportError(SidecarError):
    """A checkpoint could not be turned into a bundle."""


class UnsupportedCheckpoint(ExportError):
    """The checkpoint's architecture or layout is not one the exporter knows."""


class ExportMismatch(ExportError):
    """The exported graph differs from the checkpoint by more than the tolerance."""


class HubError(ExportError):
    """The model hub did not deliver."""


class EngineError(SidecarError):
    """The search cluster did not do what was asked.

    `status` is what it answered by HTTP; None: it gave no answer.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, field=field, retry_after=retry_after)
        self.status = status


class EngineUnavailable(EngineError):
    """The cluster does not answer, or answers 503."""


class EngineOverloaded(EngineError):
    """The cluster answers 429."""


class EngineRejected(EngineError):
    """The cluster refused the request as wrong."""


class UnsupportedEngine(EngineError):
    """The cluster's version lacks something that is needed."""


class IndexNotFound(EngineError):
    """The index does not exist."""


class IndexNotPrepared(EngineError):
    """The index exists but was never set up for the sidecar."""


class DocumentsNotWritten(EngineError):
    """Some documents could not be written; the dead-letter file has them with their reasons."""


class LocalNodeError(SidecarError):
    """The embedded OpenSearch could not be installed or did not start."""


class ProfileInvalid(SidecarError):
    """A search profile is unknown or inconsistent."""


class EvaluationError(SidecarError):
    """A test collection or run is unusable."""


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
"""The one table. A test fails if a class of the tree above is missing here."""


def wire_error(error: SidecarError) -> WireError:
    """Look up the nearest class of `error` in `WIRE`, walking its method resolution order."""
    for cls in type(error).__mro__:
        found = WIRE.get(cls)
        if found is not None:
            return found
    raise AssertionError("SidecarError itself is in the table; this is a bug.")
