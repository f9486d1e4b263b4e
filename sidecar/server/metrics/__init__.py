"""Every metric of the sidecar, declared once; the admin port renders them.

Conventions: prefix `sidecar_`, seconds as the unit of time, and labels whose values are known in advance: the names of
served models and profiles, route templates and RPC names, lanes, sides, and the names of gRPC codes (HTTP answers too
are counted under the gRPC code of their error, so that one alert covers both edges). Nothing a caller sends becomes a
label.
"""

from sidecar.server.metrics.calls import Call, observe
from sidecar.server.metrics.facts import describe_certificates, describe_models
from sidecar.server.metrics.figures import Figures, watch
from sidecar.server.metrics.registry import CONTENT_TYPE, REGISTRY, render

__all__ = [
    "CONTENT_TYPE",
    "REGISTRY",
    "Call",
    "Figures",
    "describe_certificates",
    "describe_models",
    "observe",
    "render",
    "watch",
]
