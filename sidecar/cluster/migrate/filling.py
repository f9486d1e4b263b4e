"""Filling the candidate's field: what `sidecar reconcile` does, for the model that is not searched yet."""

from __future__ import annotations

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.dead_letters import DeadLetters
from sidecar.cluster.frequencies import refresh_where_useful
from sidecar.cluster.migrate.state import require_open
from sidecar.cluster.reconcile.frame import Progress
from sidecar.cluster.reconcile.run import ReconcileRun
from sidecar.cluster.reconcile.summary import ReconcileOptions
from sidecar.engine import CollectionFrequencies, Engine, MigrationState

__all__ = ["count_frequencies", "filling"]


async def filling(
    engine: Engine,
    sidecar: AsyncSidecarClient,
    index: str,
    dead_letters: DeadLetters,
    options: ReconcileOptions | None = None,
    *,
    progress: Progress | None = None,
) -> ReconcileRun:
    """Return the run that gives every document the candidate's vector; killed, it is made and run again.

    Follow it by `count_frequencies`. Raises InvalidInput where no migration is open, or the candidate is searched.
    """
    found, record = await require_open(engine, index, MigrationState.FILLING)
    return ReconcileRun(
        engine,
        sidecar,
        found.index,
        dead_letters,
        options or ReconcileOptions(),
        fingerprint=record.candidate.fingerprint,
        progress=progress,
    )


async def count_frequencies(engine: Engine, sidecar: AsyncSidecarClient, index: str) -> CollectionFrequencies | None:
    """Count document frequencies for the candidate, where its queries use them; a swap brings them into use."""
    found, record = await require_open(engine, index, MigrationState.FILLING)
    return await refresh_where_useful(engine, sidecar, found.index, fingerprint=record.candidate.fingerprint)
