"""Measuring relevance and cost on test collections. Needs the extra `eval`."""

from __future__ import annotations

from sidecar.evaluation.collection import Collection, read_collection, read_collections
from sidecar.evaluation.environment import Environment, environment
from sidecar.evaluation.experiment import Experiment
from sidecar.evaluation.judged import JudgedQueries, Judgements, read_judged_queries
from sidecar.evaluation.live_index import LiveIndex, look_at
from sidecar.evaluation.measures import MEASURES, Effectiveness, measure
from sidecar.evaluation.plan import Plan
from sidecar.evaluation.report import CollectionReport, EvaluationReport, ModelReport, ProfileReport, VectorReport
from sidecar.evaluation.run import Ranked, Run, read_run, write_run
from sidecar.evaluation.significance import Comparison, compare, corrected
from sidecar.evaluation.statistics import Latency, VectorCounts, flops, latency

__all__ = [
    "MEASURES",
    "Collection",
    "CollectionReport",
    "Comparison",
    "Effectiveness",
    "Environment",
    "EvaluationReport",
    "Experiment",
    "JudgedQueries",
    "Judgements",
    "Latency",
    "LiveIndex",
    "ModelReport",
    "Plan",
    "ProfileReport",
    "Ranked",
    "Run",
    "VectorCounts",
    "VectorReport",
    "compare",
    "corrected",
    "environment",
    "flops",
    "latency",
    "look_at",
    "measure",
    "read_collection",
    "read_collections",
    "read_judged_queries",
    "read_run",
    "write_run",
]
