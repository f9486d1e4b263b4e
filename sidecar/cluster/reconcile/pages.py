"""How many documents a page of a scan holds."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.cluster.reconcile.summary import ReconcileOptions
from sidecar.domain import JsonValue
from sidecar.engine import StoredDocument

__all__ = ["PageSize"]

PAGE_BYTES = 4_194_304
"""Text in one page of a scan, about: pages of long documents hold fewer of them."""


class PageSize:
    """Fewer documents where they are long, or where the rate is low."""

    def __init__(self, options: ReconcileOptions) -> None:
        rate = options.limits.rate
        # A scan's state is kept for minutes: a page must not take longer than that to be worked off.
        self._most = options.page_documents if rate is None else max(1, min(options.page_documents, int(rate * 60)))
        self._mean_bytes = 0.0

    def __call__(self) -> int:
        return max(1, min(self._most, int(PAGE_BYTES / max(self._mean_bytes, 1.0))))

    def learn(self, page: Iterable[StoredDocument]) -> None:
        """Take a page's length into account."""
        documents = list(page)
        sizes = [_characters(value) for document in documents for value in document.source.values()]
        self._mean_bytes = (self._mean_bytes + sum(sizes) / max(len(documents), 1)) / 2


def _characters(value: JsonValue) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(map(_characters, value)) if isinstance(value, list) else 0
