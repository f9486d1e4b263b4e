"""Commands of the group `models`: see what is there, check it, and make bundles from what others published."""

from __future__ import annotations

import typer

from sidecar.cli.models.checking import inspect_model, verify_model
from sidecar.cli.models.importing import import_model
from sidecar.cli.models.listing import list_models
from sidecar.cli.models.making import export_model, pull

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    group = typer.Typer(
        name="models",
        help="Model bundles: list, inspect, verify, and make them from checkpoints, ONNX files or the hub.",
        no_args_is_help=True,
    )
    group.command("list")(list_models)
    group.command("inspect")(inspect_model)
    group.command("verify")(verify_model)
    group.command("pull")(pull)
    group.command("export")(export_model)
    group.command("import")(import_model)
    app.add_typer(group)
