"""The catalogue of models that people ask for, read from `catalogue.yaml` beside this file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sidecar.bundle.manifest import Activation, Pooling, QueryMode, ScoreActivation, SpecialTokens
from sidecar.domain import ModelKind

__all__ = ["Catalogue", "KnownModel", "find_known", "load_catalogue"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KnownModel(_Frozen):
    """What is known about a model on the hub. None: no source says so, ask the checkpoint.

    Units: `parameters` in millions; `beir13`, `mrr10`, `dl19` in percent; tokens include the special ones.
    """

    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    aliases: tuple[str, ...] = ()
    kind: ModelKind
    license: str
    non_commercial: bool = False
    gated: bool = False
    architecture: str
    parameters: float | None = Field(default=None, gt=0)
    vocabulary_size: int | None = Field(default=None, ge=2)
    languages: str | None = None

    pooling: Pooling | None = None
    activation: Activation | None = None
    query_mode: QueryMode | None = None
    missing_idf: float | None = Field(default=None, ge=0)
    special_tokens: SpecialTokens | None = None
    score_activation: ScoreActivation | None = None
    max_tokens: int | None = Field(default=None, ge=3)
    query_max_tokens: int | None = Field(default=None, ge=3)
    document_max_ratio: float | None = Field(default=None, ge=0, lt=1)
    ceiling_ingest: float | None = Field(default=None, gt=0)
    ceiling_search: float | None = Field(default=None, gt=0)

    beir13: float | None = Field(default=None, gt=0, lt=100)
    mrr10: float | None = Field(default=None, gt=0, lt=100)
    dl19: float | None = Field(default=None, gt=0, lt=100)
    sources: tuple[str, ...] = Field(min_length=1)
    obstacle: str | None = None
    note: str | None = None

    @property
    def name(self) -> str:
        """The name a bundle of this model gets: the repository's last part."""
        return self.repository.partition("/")[2]

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        sparse = (self.pooling, self.activation, self.query_mode, self.special_tokens, self.beir13)
        if self.kind is ModelKind.CROSS_ENCODER and any(value is not None for value in sparse):
            raise ValueError(f"{self.repository}: a cross-encoder has none of a sparse encoder's facts")
        if self.kind is ModelKind.SPARSE_ENCODER and self.score_activation is not None:
            raise ValueError(f"{self.repository}: a sparse encoder has no score activation")
        if (self.query_mode is QueryMode.IDF) != (self.missing_idf is not None):
            raise ValueError(f"{self.repository}: missing_idf comes with query_mode idf")
        return self


class Catalogue(_Frozen):
    """The whole of `catalogue.yaml`."""

    models: tuple[KnownModel, ...]
    sources: dict[str, str]

    @model_validator(mode="after")
    def _sources_are_explained(self) -> Self:
        unknown = {source for model in self.models for source in model.sources} - self.sources.keys()
        if unknown:
            raise ValueError(f"sources not explained: {', '.join(sorted(unknown))}")
        return self


@cache
def load_catalogue() -> Catalogue:
    """Read the catalogue that is shipped with the package."""
    text = files("sidecar.bundle").joinpath("catalogue.yaml").read_text(encoding="utf-8")
    return Catalogue.model_validate(yaml.safe_load(text))


def find_known(repository: str) -> KnownModel | None:
    """Return the entry of a repository, its alias, or its last part alone (case does not matter); None: unknown."""
    wanted = repository.casefold()
    for model in load_catalogue().models:
        names = (model.repository, model.name, *model.aliases)
        if wanted in {name.casefold() for name in names}:
            return model
    return None
