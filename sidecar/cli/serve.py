"""`sidecar serve`: every setting as a flag, taken from the fields of `Settings`."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
import time
from pathlib import Path
from types import UnionType
from typing import get_args, get_origin

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from sidecar.cli.output import say
from sidecar.settings import Settings, load_settings, unread_variables
from sidecar.signals import stop_signals

__all__ = ["register"]

SWITCH_SECONDS = 0.0005
"""How long a thread that packs bulk answers keeps the interpreter while another one waits for it. Python's own, 5 ms,
is longer than a query takes."""

HELP = """Serve models over gRPC and HTTP until SIGTERM, SIGINT or SIGHUP.

Every setting is a flag, an environment variable (SIDECAR_...) and a key of the YAML file given by --config, in this
order of precedence. Give the token by environment or file: a process list shows flags.
"""


def register(app: typer.Typer) -> None:
    """Add `serve` to `app`."""

    def serve(**given: object) -> None:
        config, check = given.pop("config"), given.pop("check_config")
        if config is not None:
            os.environ["SIDECAR_CONFIG"] = str(config)
        settings = load_settings(**given)
        if check:
            typer.echo(describe(settings), nl=False)
            for name, meant in unread_variables().items():
                hint = f"; did you mean {meant}?" if meant else "."
                say(f"warning: nothing reads the environment variable {name}{hint}")
            require_usable(settings)
        else:
            run(settings)

    config = typer.Option(None, "--config", help="YAML file with settings.", metavar="FILE")
    check = typer.Option(
        False, "--check-config", help="Print the settings in force, check certificates and bundles, and end."
    )
    parameters = [_parameter(name, field) for name, field in Settings.model_fields.items()]
    parameters.extend((_option("config", Path | None, config), _option("check_config", bool, check)))
    # typer reads a function's signature; this one is as long as the settings are.
    serve.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    serve.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app.command("serve", help=HELP)(serve)


def run(settings: Settings) -> None:
    """Serve, and end the process if a thread is still busy with a model that nobody waits for any more."""
    _leave_when_asked()
    # gRPC writes a line of its own, not JSON, for every stranger whose handshake fails; it reads this as it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    import structlog

    from sidecar.server.app import Ending, serve
    from sidecar.server.logs import configure_logging

    configure_logging(settings.log_level, json=settings.log_json)
    for name, meant in unread_variables().items():
        structlog.get_logger(__name__).warning("nothing reads this environment variable", name=name, meant=meant)
    sys.setswitchinterval(SWITCH_SECONDS)
    ending = asyncio.run(serve(settings))
    if ending is Ending.LEFT_EARLY:
        sys.stderr.flush()
        os._exit(0)


def _leave_when_asked() -> None:
    """End on a signal until `sidecar.server.app.serve` handles them, seconds later: imports take that long.

    To process 1 of a container the kernel gives no signal that nobody handles: it would be lost.
    """
    for number in stop_signals():
        signal.signal(number, lambda *_: os._exit(0))


def require_usable(settings: Settings) -> None:
    """Check certificates, profiles and what is searched, open every bundle, its files compared with their hashes, and
    look for the providers. No graph is loaded, and no cluster is asked.

    Raises what serving would: BundleError, SettingsInvalid.
    """
    from sidecar.inference.providers import runtime_providers
    from sidecar.server.lifecycle import open_bundles
    from sidecar.server.searching import SearchPlan
    from sidecar.server.tls import TlsFiles
    from sidecar.server.tracing.setup import check_tracing

    SearchPlan.of(settings)
    files = TlsFiles.of(settings)
    if files is not None:
        for what in files.load().expired(time.time()):
            say(f"warning: {settings.tls_certificate}: {what}.")
    check_tracing(settings)
    runtime_providers(settings.providers)
    open_bundles(settings)


def describe(settings: Settings) -> str:
    """Return the settings as YAML that `--config` reads, the token masked."""
    import yaml

    plain = settings.model_dump(mode="json")
    text: str = yaml.safe_dump(plain, sort_keys=False, default_flow_style=False)
    return text


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    flag = "--" + name.replace("_", "-")
    kind = _plain_type(field.annotation)
    names = f"{flag}/--no-{flag.removeprefix('--')}" if kind is bool else flag
    default = "" if field.default in (None, ()) else f" Default: {_shown(field.default)}."
    text = f"{field.description}{default} [{f'SIDECAR_{name}'.upper()}]"
    return _option(name, kind | None, typer.Option(None, names, help=text, show_default=False))


def _option(name: str, annotation: object, option: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=annotation)


def _plain_type(annotation: object) -> type:
    """Return the type a flag is read as; `load_settings` makes the setting's own of it, and checks its range."""
    if isinstance(annotation, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is tuple or annotation is SecretStr:
        return str
    if annotation in (bool, int, float, str, Path):
        return annotation
    raise AssertionError(f"No flag is known for settings of type {annotation}; this is a bug.")


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return ",".join(str(part) for part in default)
    return ("on" if default else "off") if isinstance(default, bool) else str(default)
