"""What a licence identifier says without being read by a lawyer."""

from __future__ import annotations

import re

__all__ = ["is_non_commercial", "is_stated", "spdx"]

SPDX = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
}
"""The hub's names of licences that have another spelling as SPDX identifiers."""


def spdx(license: str) -> str:
    """Return the SPDX spelling of one of the hub's names; other names stay as they are."""
    return SPDX.get(license.casefold(), license)


def is_non_commercial(license: str) -> bool:
    """Tell whether a licence identifier has the part `NC`, or says "non-commercial"."""
    return re.search(r"(^|[-_ ])nc([-_ ]|$)|non-?commercial", license.casefold()) is not None


def is_stated(license: str) -> bool:
    """Tell whether a licence is named at all."""
    return license.casefold() not in ("", "other", "unknown")
