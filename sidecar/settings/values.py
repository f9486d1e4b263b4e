"""What a single setting may hold, whatever the others say: types for the fields of `Settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

__all__ = [
    "LOOPBACK",
    "Address",
    "File",
    "LogLevel",
    "Name",
    "Port",
    "Provider",
    "Seconds",
    "TlsVersion",
    "Token",
    "Tracing",
]

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Addresses that no other machine reaches."""

TLS_VERSIONS = ("1.2", "1.3")

TRACING = ("off", "otlp")

LOG_LEVELS = ("debug", "info", "warning", "error")


def _token_is_one(token: SecretStr | None) -> SecretStr | None:
    if token is None:
        return None
    text = token.get_secret_value()
    if not text.strip():
        raise ValueError("must not be empty")
    if text != text.strip() or not text.isprintable():
        raise ValueError("must be one line without white space around it: no header can hold such a token")
    return token


def _address_is_named(address: str) -> str:
    if not address.strip():
        raise ValueError("must not be empty: name an address of this machine, or 0.0.0.0 for all")
    return address


def _file_is_named(path: object) -> object:
    # An empty path would be the working folder.
    if isinstance(path, str) and not path.strip():
        raise ValueError("must not be empty: give a path, or leave it out")
    return path


def _is_named(name: str | None) -> str | None:
    if name is not None and not name.strip():
        raise ValueError("must not be empty: name it, or leave it out")
    return name


def _version_is_known(version: object) -> str:
    # 1.2 is a number in YAML.
    if str(version) not in TLS_VERSIONS:
        raise ValueError(f"must be one of {', '.join(TLS_VERSIONS)}")
    return str(version)


def _tracing_is_known(tracing: object) -> str:
    # `off` is false in YAML.
    chosen = "off" if tracing is False else str(tracing).lower()
    if chosen not in TRACING:
        raise ValueError(f"must be one of {', '.join(TRACING)}")
    return chosen


def _level_is_known(level: str) -> str:
    if level.lower() not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return level.lower()


Port: TypeAlias = Annotated[int, Field(ge=0, le=65_535)]

Seconds: TypeAlias = Annotated[float, Field(allow_inf_nan=False, le=86_400)]
"""A duration; none is endless, since the waits of threads have a longest time and the end of a drain is rounded up."""

Provider: TypeAlias = Literal["cpu", "cuda", "openvino"]
"""onnxruntime's execution providers, by the names that settings have for them."""

Address: TypeAlias = Annotated[str, AfterValidator(_address_is_named)]

File: TypeAlias = Annotated[Path | None, BeforeValidator(_file_is_named)]
"""A file or folder, or None."""

Name: TypeAlias = Annotated[str | None, AfterValidator(_is_named)]
"""A name that is not empty, or None."""

Token: TypeAlias = Annotated[SecretStr | None, AfterValidator(_token_is_one)]
"""A bearer token, or None."""

TlsVersion: TypeAlias = Annotated[str, BeforeValidator(_version_is_known)]

Tracing: TypeAlias = Annotated[str, BeforeValidator(_tracing_is_known)]

LogLevel: TypeAlias = Annotated[str, AfterValidator(_level_is_known)]
