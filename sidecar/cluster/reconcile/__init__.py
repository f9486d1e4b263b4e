"""Reconciling an index with its model: every document gets the vector of its text as it is now."""

from __future__ import annotations

from sidecar.cluster.reconcile.frame import Progress, Run
from sidecar.cluster.reconcile.pace import Limits, Pace
from sidecar.cluster.reconcile.run import ReconcileRun
from sidecar.cluster.reconcile.summary import ReconcileOptions, ReconcileSummary

__all__ = ["Limits", "Pace", "Progress", "ReconcileOptions", "ReconcileRun", "ReconcileSummary", "Run"]
