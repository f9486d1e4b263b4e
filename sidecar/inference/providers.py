"""Where graphs run: onnxruntime's execution providers by the settings' names, checked against what is installed."""

from __future__ import annotations

from collections.abc import Sequence

import onnxruntime

from sidecar.errors import SettingsInvalid
from sidecar.settings import Provider

__all__ = ["RUNTIME_NAMES", "check_running", "runtime_providers"]

RUNTIME_NAMES: dict[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}

PACKAGES: dict[Provider, str] = {"cuda": "onnxruntime-gpu", "openvino": "onnxruntime-openvino"}
"""Distributions of onnxruntime that bring a provider; each takes the place of plain onnxruntime."""

OPTIONS: dict[Provider, dict[str, str]] = {"cuda": {"arena_extend_strategy": "kSameAsRequested"}}
"""On a GPU the arena otherwise doubles at every new shape, and never gives anything back."""


def runtime_providers(wanted: Sequence[Provider]) -> list[tuple[str, dict[str, str]]]:
    """Return what a session is created with, CPU last for what the others can't do.

    Raises SettingsInvalid, naming what is available, where the installed onnxruntime lacks one that is wanted.
    """
    available = set(onnxruntime.get_available_providers())
    for name in wanted:
        if RUNTIME_NAMES[name] not in available:
            here = ", ".join(known for known, runtime in RUNTIME_NAMES.items() if runtime in available)
            hint = f" Install {PACKAGES[name]} in place of onnxruntime." if name in PACKAGES else ""
            raise SettingsInvalid(
                f"The installed onnxruntime has no {name} provider; available: {here}.{hint}", field="providers"
            )
    ordered = [*wanted, *(() if "cpu" in wanted else ("cpu",))]
    return [(RUNTIME_NAMES[name], OPTIONS.get(name, {})) for name in ordered]


def check_running(wanted: Sequence[Provider], running: Sequence[str]) -> None:
    """Raise SettingsInvalid where a provider that is wanted did not start: onnxruntime goes on without it, silently."""
    for name in wanted:
        if RUNTIME_NAMES[name] not in running:
            here = ", ".join(known for known, runtime in RUNTIME_NAMES.items() if runtime in running)
            raise SettingsInvalid(
                f"onnxruntime has the {name} provider and could not start it: check driver and libraries, or set"
                f" providers to {here or 'cpu'}.",
                field="providers",
            )
