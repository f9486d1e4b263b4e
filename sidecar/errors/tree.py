"""The classes of the tree that the package's docstring draws."""

from __future__ import annotations

__all__ = [
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
    "TextTooLarge",
    "TextTooLong",
    "TooManyTexts",
    "Unauthenticated",
    "UnknownModel",
    "UnsupportedCheckpoint",
    "UnsupportedEngine",
    "WrongModelKind",
]


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
