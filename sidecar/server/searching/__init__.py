"""Searching over HTTP: the cluster, what of it callers may search, and the models of this process."""

from __future__ import annotations

from sidecar.server.searching.in_process import InProcessSidecar
from sidecar.server.searching.plan import SearchPlan
from sidecar.server.searching.service import BodyCall, SearchCall, SearchService
from sidecar.server.searching.shown import shown_source

__all__ = ["BodyCall", "InProcessSidecar", "SearchCall", "SearchPlan", "SearchService", "shown_source"]
