"""Checkpoint folder to bundle: the only room that may import torch, and only to check against the checkpoint."""

from sidecar.export.exporting import export_checkpoint
from sidecar.export.options import CheckResult, ExportOptions, ExportReport

__all__ = ["CheckResult", "ExportOptions", "ExportReport", "export_checkpoint"]
