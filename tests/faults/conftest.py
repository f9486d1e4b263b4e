"""How large fault tests are, and which course they take."""

from __future__ import annotations

import os

DOCUMENTS = int(os.environ.get("SIDECAR_FAULT_DOCUMENTS", "1200"))
"""How many documents the killed reconcile has before it; .ci/run sets 20000."""

SEED = int(os.environ.get("SIDECAR_FAULT_SEED", "6"))


def every_id(count: int) -> list[str]:
    return [f"d{number}" for number in range(count)]
