"""Tokenise, window, schedule, run: sparse encoder, query encoder, cross-encoder. Knows no transport."""

from sidecar.inference.content_cache import CacheFigures
from sidecar.inference.cpu import available_cpus
from sidecar.inference.scheduler import SchedulerFigures
from sidecar.inference.service import InferenceService

__all__ = ["CacheFigures", "InferenceService", "SchedulerFigures", "available_cpus"]
