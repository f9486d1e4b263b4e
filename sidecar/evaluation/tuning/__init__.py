"""Tuning a profile on judged queries. Needs the extra `eval`."""

from __future__ import annotations

from sidecar.evaluation.tuning.profile_file import check_new, profile_text, write_profile
from sidecar.evaluation.tuning.report import CurvePoint, FoldChoice, TuningReport
from sidecar.evaluation.tuning.tuner import Tuned, Tuner, TuningPlan

__all__ = [
    "CurvePoint",
    "FoldChoice",
    "Tuned",
    "Tuner",
    "TuningPlan",
    "TuningReport",
    "check_new",
    "profile_text",
    "write_profile",
]
