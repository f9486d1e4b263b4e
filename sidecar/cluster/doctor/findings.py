"""What `sidecar doctor` says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Severity", "worst"]


class Severity(StrEnum):
    """How bad it is: wrong or missing results now; wrong or missing results to come; good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of one check: what was seen, why that matters, what to do about it."""

    check: str
    severity: Severity
    what: str
    why: str
    action: str


def worst(findings: tuple[Finding, ...]) -> Severity | None:
    """Return the worst severity; None for no findings."""
    order = list(Severity)
    return min((finding.severity for finding in findings), key=order.index, default=None)
