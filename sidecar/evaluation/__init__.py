"""Measuring relevance and cost on test collections. Needs the extra `eval`."""

from __future__ import annotations

from sidecar.evaluation.collection import Collection, Judgements, read_collection, read_collections
from sidecar.evaluation.environment import Environment, environment
from sidecar.evaluation.experiment import Experiment, Plan
from sidecar.evaluation.measures import MEASURES, Effectiveness, measure
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
    "Judgements",
    "Latency",
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
    "measure",
    "read_collection",
    "read_collections",
    "read_run",
    "write_run",
]
