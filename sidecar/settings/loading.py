"""Settings from flags, environment and file; what is wrong is named, and so is what nothing reads."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from pydantic import ValidationError

from sidecar.errors import SettingsInvalid
from sidecar.settings.model import PREFIX, Settings
from sidecar.validation import invalid_values

__all__ = ["READ_ELSEWHERE", "load_settings", "unread_variables"]

READ_ELSEWHERE = frozenset(
    f"{PREFIX}{name}"
    for name in (
        *("BENCH_ENGINE", "BUNDLES", "CA", "CACHE", "CHECKPOINTS", "CLIENT_CERT", "CLIENT_KEY", "COLLECTIONS"),
        *("CONFIG", "CONNECTOR_TOKEN", "ENGINE", "ENGINE_API_KEY", "ENGINE_AWS_REGION", "ENGINE_AWS_SERVICE"),
        *("ENGINE_CA", "ENGINE_PASSWORD", "ENGINE_USER", "SERVER_NAME", "TARGET", "TLS"),
    )
)
"""Environment variables of the prefix that are no settings: other commands and the benchmarks read them."""

SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$")
"""What Kubernetes puts into every container's environment for a service whose name begins with the prefix."""

SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)
"""How an address of a service begins in such a variable."""


def load_settings(**flags: object) -> Settings:
    """Build the settings from flags that were given (None: not given), environment and YAML file.

    Raises SettingsInvalid naming the first setting that is wrong, or the file that can't be read.
    """
    _check_file()
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings.model_validate(Settings(**given)) if given else Settings()  # type: ignore[arg-type]
    except ValidationError as error:
        problem = invalid_values(error, Settings)[0]
        where = problem.where or "settings"
        hint = "" if where in given else _service_hint(where)
        raise SettingsInvalid(f"Setting {where}: {problem.what}.{hint}", field=where) from None


def _service_hint(setting: str) -> str:
    """Return what to do about a setting that Kubernetes set; empty where it did not, or where there is no variable."""
    names = [name for name in os.environ if name.upper() == f"{PREFIX}{setting}".upper()]
    set_by = next((name for name in names if SERVICE_ADDRESS.match(os.environ[name])), None)
    if set_by is None:
        return ""
    service = set_by.upper().removesuffix("_PORT").replace("_", "-").lower()
    return (
        f" {set_by} looks like a variable that Kubernetes sets for a Service called {service}: give the pod"
        " `enableServiceLinks: false`, or the Service another name."
    )


def _check_file() -> None:
    """Refuse a settings file that pydantic-settings would pass over in silence, or fail on with a traceback."""
    path = os.environ.get("SIDECAR_CONFIG")
    if not path:
        return
    import yaml

    from sidecar.validation.yaml_text import place_of, read_yaml

    try:
        content, node = read_yaml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsInvalid(f"The settings file {path} can't be read: {error.strerror}.", field="config") from None
    except yaml.YAMLError as error:
        where = place_of(error, problem=False)
        raise SettingsInvalid(f"The settings file {path} is no valid YAML{where}.", field="config") from None
    except (UnicodeDecodeError, RecursionError):
        raise SettingsInvalid(f"The settings file {path} is no valid YAML.", field="config") from None
    if content is not None and not isinstance(content, dict):
        raise SettingsInvalid(f"The settings file {path} must hold `name: value` lines.", field="config")
    seen: set[str] = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
            raise SettingsInvalid(
                f"The settings file {path} has a key that is no setting's name in line {key.start_mark.line + 1}.",
                field="config",
            )
        if key.value in seen:
            raise SettingsInvalid(
                f"The settings file {path} names {key.value} twice; the second time in line {key.start_mark.line + 1}.",
                field=key.value,
            )
        seen.add(key.value)


def unread_variables() -> dict[str, str | None]:
    """Return the environment's variables of the prefix that nothing reads, each with the one it may be meant for."""
    settings = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    read = settings | READ_ELSEWHERE
    found: dict[str, str | None] = {}
    for name, value in sorted(os.environ.items()):
        own = name.upper().startswith(PREFIX) and name.upper() not in read
        # `SIDECAR_PORT` of Kubernetes is an address: tcp://10.0.0.1:80.
        if own and not SERVICE_LINK.search(name) and "://" not in value:
            found[name] = next(iter(difflib.get_close_matches(name.upper(), read, n=1, cutoff=0.8)), None)
    return found
