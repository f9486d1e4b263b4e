"""Every setting, its default, what it does, and which go together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from sidecar.settings.values import (
    LOOPBACK,
    Address,
    File,
    LogLevel,
    Name,
    Port,
    Provider,
    Seconds,
    TlsVersion,
    Token,
    Tracing,
)

__all__ = ["PREFIX", "Settings"]

PREFIX = "SIDECAR_"

LISTS = ("models", "providers", "search_indices")
"""Settings that are comma-separated where they are one string."""

OF_SEARCHING = (
    *("search_user", "search_password", "search_password_file", "search_api_key_file", "search_aws_region"),
    *("search_ca", "search_client_certificate", "search_client_key", "search_insecure"),
    *("search_profiles", "search_bodies"),
)

Given = TypeVar("Given")


class Settings(BaseSettings):
    """What `sidecar serve` can be told. Every field's description states the consequence of changing it."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", yaml_file=None)

    bind: Address = Field(
        default="127.0.0.1", description="Address of the gRPC and HTTP ports; 0.0.0.0 opens them to all."
    )
    grpc_port: Port = Field(default=50_051, description="gRPC port; 0 lets the system choose.")
    http_port: Port = Field(default=8_080, description="HTTP port; 0 lets the system choose.")
    admin_bind: Address = Field(
        default="127.0.0.1", description="Address of the admin port (plaintext probes, metrics)."
    )
    admin_port: Port = Field(default=9_090, description="Admin port; 0 lets the system choose.")
    ready_file: Path | None = Field(default=None, description="File written with the ports, as JSON, once ready.")
    models: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Bundles to serve: folders, zip files or names; comma-separated. Empty: the starters."
    )
    auth_token: Token = Field(default=None, description="Bearer token required on both data ports.")
    tls_certificate: File = Field(
        default=None, description="Certificate and chain (PEM): both data ports speak TLS, and nothing else."
    )
    tls_key: File = Field(default=None, description="Its private key (PEM, not encrypted).")
    tls_client_ca: File = Field(
        default=None, description="Authorities (PEM) of clients, who then have to show a certificate of theirs."
    )
    tls_http_mutual: bool = Field(
        default=True, description="Client certificates on the HTTP port too; off: for callers that can't have one."
    )
    tls_min_version: TlsVersion = Field(
        default="1.2", description="Oldest TLS of the HTTP port: 1.2 or 1.3; gRPC's library always takes both."
    )
    reflection: bool = Field(default=True, description="gRPC server reflection; off hides the schema.")
    threads: int = Field(
        default=0,
        ge=0,
        description="Inference threads of each model, a micro-batch on each; 0: from CPU affinity and cgroup quota.",
    )
    providers: Annotated[tuple[Provider, ...], NoDecode] = Field(
        default=("cpu",),
        min_length=1,
        description="Where graphs run, in order of preference: cpu, cuda, openvino; comma-separated.",
    )
    max_batch_tokens: int = Field(
        default=512, ge=16, description="Padded tokens per micro-batch; fewer: queries wait less for bulk work."
    )
    max_queue_tokens: int = Field(default=262_144, ge=256, description="Tokens waiting per model before 429.")
    rerank_cache_bytes: int = Field(
        default=8_388_608, ge=0, description="Bytes of token ids kept per reranker, of documents read lately; 0: none."
    )
    rerank_score_cache: int = Field(
        default=0, ge=0, description="Scores kept per reranker, of query and document; 0: every pair is run."
    )
    max_texts: int = Field(default=16_384, ge=1, description="Texts per call; above: refused, nothing is encoded.")
    max_text_bytes: int = Field(default=1_048_576, ge=1, description="UTF-8 bytes per text; above: refused.")
    max_request_bytes: int = Field(default=67_108_864, ge=1_024, description="Bytes per message or HTTP body.")
    request_timeout: Seconds = Field(default=25.0, gt=0, description="Seconds a call without a deadline may take.")
    drain_delay: Seconds = Field(default=0.0, ge=0, description="Seconds of serving on after SIGTERM, unready.")
    drain_grace: Seconds = Field(default=20.0, ge=0, description="Seconds in-flight calls get to finish after that.")
    grpc_max_connection_age: Seconds = Field(
        default=0.0, ge=0, description="Seconds until a gRPC connection is made anew, to find new sidecars; 0: never."
    )
    grpc_max_connection_age_grace: Seconds = Field(
        default=60.0, ge=0, description="Seconds that calls under way on such a connection get to finish."
    )
    http_max_connection_age: Seconds = Field(
        default=0.0, ge=0, description="Seconds after which an HTTP connection ends with its next answer; 0: never."
    )
    search_engine: Name = Field(
        default=None,
        description="URL of the cluster that /v1/search asks; several nodes joined by commas. None: no such routes.",
    )
    search_indices: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Indices and aliases that may be searched, patterns with *; comma-separated. No other one is.",
    )
    search_user: Name = Field(default=None, description="User at that cluster; reading is all it has to do.")
    search_password: SecretStr | None = Field(default=None, description="Password there.")
    search_password_file: File = Field(default=None, description="File that holds that password instead.")
    search_api_key_file: File = Field(
        default=None, description="File that holds an API key for that cluster, in place of user and password."
    )
    search_aws_region: Name = Field(
        default=None,
        description="Requests are signed for this region of AWS, with the credentials that its tools find.",
    )
    search_aws_service: str = Field(
        default="es", description="What they are signed for: es, a domain, or aoss, OpenSearch Serverless."
    )
    search_ca: File = Field(default=None, description="Authorities (PEM) of that cluster's certificate.")
    search_client_certificate: File = Field(
        default=None, description="Certificate (PEM) to show that cluster, where it asks for one."
    )
    search_client_key: File = Field(default=None, description="The key of that certificate (PEM).")
    search_insecure: bool = Field(
        default=False, description="That cluster's certificate is not checked: whoever answers is believed."
    )
    search_profiles: File = Field(
        default=None, description="Folder of profiles (YAML) that may be searched by, beside the built-in ones."
    )
    search_bodies: bool = Field(
        default=False, description="/v1/search/body too: callers' own bodies, run with that user's rights."
    )
    max_searches: int = Field(default=32, ge=1, description="Searches under way at once; above: 429.")
    tracing: Tracing = Field(
        default="off", description="Spans of calls: off, or otlp, to where OTEL_EXPORTER_OTLP_ENDPOINT says."
    )
    log_level: LogLevel = Field(default="info", description="Log level: debug, info, warning or error.")
    log_json: bool = Field(default=True, description="JSON log lines; off: for people.")

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        lists = {name: data[name] for name in LISTS if isinstance(data.get(name), str)}
        split = {name: tuple(part.strip() for part in text.split(",") if part.strip()) for name, text in lists.items()}
        return {**data, **split}

    @field_validator("tls_key")
    @classmethod
    def _certificate_has_key(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        # A certificate that was refused itself is not there at all.
        if "tls_certificate" in info.data and (key is None) != (info.data["tls_certificate"] is None):
            raise ValueError("tls_certificate and tls_key go together: set both, or none")
        return key

    @field_validator("tls_client_ca")
    @classmethod
    def _client_ca_has_certificate(cls, authorities: Path | None, info: ValidationInfo) -> Path | None:
        if authorities is not None and info.data.get("tls_certificate", authorities) is None:
            raise ValueError("clients show a certificate over TLS only: set tls_certificate and tls_key")
        return authorities

    @field_validator("search_indices")
    @classmethod
    def _indices_go_with_cluster(cls, indices: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "search_engine" in info.data and bool(indices) != (info.data["search_engine"] is not None):
            raise ValueError("search_engine and search_indices go together: set both, or none")
        return indices

    @field_validator(*OF_SEARCHING)
    @classmethod
    def _cluster_is_given(cls, value: Given, info: ValidationInfo) -> Given:
        if value and info.data.get("search_engine", value) is None:
            raise ValueError("means nothing without search_engine")
        return value

    @field_validator("search_password", "search_password_file")
    @classmethod
    def _password_has_user(cls, given: Given, info: ValidationInfo) -> Given:
        if given is not None and info.data.get("search_user", given) is None:
            raise ValueError("a password needs a user: set search_user")
        if info.field_name == "search_password_file" and given and info.data.get("search_password") is not None:
            raise ValueError("search_password is set already: keep one of them")
        return given

    @field_validator("search_client_key")
    @classmethod
    def _client_key_has_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        certificate = info.data.get("search_client_certificate", key)
        if (key is None) != (certificate is None):
            raise ValueError("search_client_certificate and search_client_key go together: set both, or none")
        return key

    @field_validator("http_port", "admin_port")
    @classmethod
    def _port_is_free(cls, port: int, info: ValidationInfo) -> int:
        # Fields are checked in their order: those before this one are there, unless they were refused themselves.
        before = info.data
        bind = before.get("bind", "")
        others = {"grpc_port": bind} if info.field_name == "http_port" else {"grpc_port": bind, "http_port": bind}
        own = bind if info.field_name == "http_port" else before.get("admin_bind", "")
        for name, address in others.items():
            if port and before.get(name) == port and _overlap(own, address):
                raise ValueError(f"{port} is the {name} already; choose another, or 0")
        return port

    @model_validator(mode="after")
    def _budget_fits(self) -> Self:
        if self.max_queue_tokens < self.max_batch_tokens:
            raise ValueError("max_queue_tokens must not be smaller than max_batch_tokens")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = os.environ.get("SIDECAR_CONFIG")
        file = (YamlConfigSettingsSource(settings_cls, yaml_file=Path(path)),) if path else ()
        return (init_settings, env_settings, *file)


def _overlap(first: str, second: str) -> bool:
    """Whether a port that is open on one of the two addresses is taken on the other."""
    if first == second or "::" in (first, second):
        return True
    if "0.0.0.0" in (first, second):
        return ":" not in first + second
    return "localhost" in (first, second) and {first, second} <= set(LOOPBACK)
