"""Every error the sidecar raises on purpose (`tree`), and the one table that maps it to the wire (`table`).

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

from sidecar.errors.table import ERROR_DOMAIN, WIRE, StatusCode, WireError, wire_error
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
