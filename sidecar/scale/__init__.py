"""Encoding a corpus on many machines with Ray Data: the encoder itself as a pool of actors, no sidecar in between."""

from __future__ import annotations

from sidecar.scale.plan import FromFiles, FromIndex, ScalePlan, ToIndex, ToParquet
from sidecar.scale.run import encode_corpus
from sidecar.scale.summary import ScaleSummary

__all__ = ["FromFiles", "FromIndex", "ScalePlan", "ScaleSummary", "ToIndex", "ToParquet", "encode_corpus"]
