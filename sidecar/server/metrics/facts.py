"""What holds for a while: which build runs, which models are served, and when certificates expire."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping

from prometheus_client import Gauge

from sidecar import __version__
from sidecar.domain import ModelInfo
from sidecar.server.metrics.registry import REGISTRY

__all__ = ["describe_certificates", "describe_models"]

MODEL_INFO = Gauge(
    "sidecar_model_info",
    "1 for every model served.",
    ("model", "kind", "fingerprint", "quantization"),
    registry=REGISTRY,
)
BUILD_INFO = Gauge("sidecar_build_info", "1, labelled with what runs.", ("version", "python"), registry=REGISTRY)
CERTIFICATE_EXPIRY = Gauge(
    "sidecar_tls_certificate_expiration_timestamp_seconds",
    "When a certificate in force expires, in seconds since the epoch.",
    ("certificate",),
    registry=REGISTRY,
)
BUILD_INFO.labels(__version__, platform.python_version()).set(1)


def describe_models(models: Iterable[ModelInfo]) -> None:
    """Publish the served models with their fingerprints, in place of what was published before."""
    MODEL_INFO.clear()
    for model in models:
        MODEL_INFO.labels(model.name, str(model.kind), model.fingerprint, model.quantization).set(1)


def describe_certificates(expiry: Mapping[str, float]) -> None:
    """Publish when each certificate in force expires, in place of what was published before."""
    CERTIFICATE_EXPIRY.clear()
    for certificate, at in expiry.items():
        CERTIFICATE_EXPIRY.labels(certificate).set(at)
