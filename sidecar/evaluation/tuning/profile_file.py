"""The file that a tuned profile is written to: YAML that says where its values come from."""

from __future__ import annotations

import textwrap
from pathlib import Path

import yaml

from sidecar.errors import EvaluationError
from sidecar.evaluation.tuning.report import TuningReport
from sidecar.search import Profile

__all__ = ["check_new", "profile_text", "write_profile"]

WIDTH = 118


def check_new(path: Path) -> None:
    """Raise EvaluationError where `write_profile` would, or would overwrite something. Makes the folder."""
    if path.exists():
        raise EvaluationError(f"{path} exists already: name another file with --out, or remove it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.unlink()
    except OSError as error:
        raise EvaluationError(f"The profile {path} can't be written: {error.strerror}.") from error


def profile_text(profile: Profile, report: TuningReport) -> str:
    """Return the YAML: every value of the profile, the defaults too, below a comment on how it was made."""
    where = f"index {report.index}" if report.index is not None else report.measured_on
    told = [
        f"Made by `sidecar tune` from {report.profile}, {report.created}.",
        f"Measured: {report.measure}, {report.queries:,} queries of {where} (judged by {report.split}),"
        f" {len(report.folds)} folds, seed {report.seed}, {report.settings:,} settings.",
        f"{report.profile}: {report.start_mean:.4f}. Chosen by other queries: {report.held_out_mean:.4f}.",
        report.verdict,
        *(f"{model.kind} {model.name}: {model.fingerprint}" for model in report.models),
    ]
    comment = "\n".join(
        line for one in told for line in textwrap.wrap(one, WIDTH, initial_indent="# ", subsequent_indent="# ")
    )
    values = profile.model_dump(mode="json", exclude_none=True)
    return f"{comment}\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}"


def write_profile(path: Path, profile: Profile, report: TuningReport) -> None:
    """Write the file; raise EvaluationError where it can't be written, or is there by now."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(profile_text(profile, report))
    except OSError as error:
        raise EvaluationError(f"The profile {path} can't be written: {error.strerror}.") from error
