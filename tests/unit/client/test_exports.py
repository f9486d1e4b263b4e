"""What the client library shows, and what it costs to import."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from sidecar import client
from sidecar.client import AsyncSidecarClient, SidecarClient

HEAVY = ("numpy", "onnxruntime", "tokenizers", "torch", "transformers", "fastapi", "uvicorn", "prometheus_client")


def test_all_is_sorted_and_complete() -> None:
    # ruff's order (RUF022): constants, classes, functions.
    assert client.__all__ == sorted(client.__all__, key=lambda name: (not name.isupper(), name))
    public = {name for name, thing in vars(client).items() if not name.startswith("_") and not inspect.ismodule(thing)}
    assert public == set(client.__all__)


def test_the_import_is_light() -> None:
    script = f"import sys; from sidecar.client import SidecarClient; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def public_methods(cls: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(thing)
        for name, thing in vars(cls).items()
        if inspect.isfunction(thing) and not name.startswith("_")
    }


def test_the_twins_have_the_same_methods_with_the_same_arguments_and_defaults() -> None:
    asynchronous, synchronous = public_methods(AsyncSidecarClient), public_methods(SidecarClient)
    assert asynchronous.keys() == synchronous.keys()
    for name in asynchronous:
        assert parameters(asynchronous[name]) == parameters(synchronous[name]), name
    assert parameters(inspect.signature(AsyncSidecarClient.__init__)) == parameters(
        inspect.signature(SidecarClient.__init__)
    )


def parameters(signature: inspect.Signature) -> list[tuple[str, object, object]]:
    return [(each.name, each.kind, each.default) for each in signature.parameters.values()]


@pytest.mark.parametrize("cls", [AsyncSidecarClient, SidecarClient])
def test_every_public_method_says_what_it_does(cls: type) -> None:
    for name in public_methods(cls):
        assert inspect.getdoc(getattr(cls, name)), name
