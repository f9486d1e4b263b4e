"""A search profile: retrievers, their fusion, reranking, and how long each may take.

name: products
retrievers:
  - {kind: lexical, weight: 0.4}
  - {kind: sparse, weight: 0.6, pruning: {type: top_k, value: 64}}
fusion: {method: linear, normalization: min_max}
candidates: 200
rerank: {depth: 50, weight: 0.8}
encode_timeout: 0.5
timeout: 10
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sidecar.domain import Pruning, PruningType
from sidecar.errors import InvalidPruning, ProfileInvalid
from sidecar.search.feedback import Feedback
from sidecar.search.fusion import Fusion, LinearFusion
from sidecar.search.lexical import Lexical
from sidecar.search.normalization import Normalization
from sidecar.search.rerank import Rerank
from sidecar.search.two_phase import TwoPhase
from sidecar.search.weight import Weight
from sidecar.validation import invalid_values
from sidecar.validation.yaml_text import place_of, read_yaml

__all__ = ["Profile", "QueryPruning", "Retriever", "Sparse", "read_profile"]

WHOLE = "profile"
"""What errors of the profile as a whole name as their place."""

SWITCHES = frozenset({"count_hits", "calibrated"})
"""The keys that are true or false."""

MAX_TOLD = 10
"""How many errors of one profile are told."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class QueryPruning(_Frozen):
    """`domain.Pruning` as it stands in a profile; applied to the query's vector."""

    type: PruningType = PruningType.NONE
    value: float = 0.0

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        said = self.model_fields_set
        try:
            Pruning.of(self.type if "type" in said else None, self.value if "value" in said else None)
        except InvalidPruning as error:
            raise ValueError(error.message.rstrip(".")) from None
        return self

    def to_domain(self) -> Pruning:
        return Pruning(self.type, self.value)


class Sparse(_Frozen):
    """Inner product of the query's sparse vector with the documents'."""

    kind: Literal["sparse"] = "sparse"
    weight: Weight = 1.0
    model: str | None = Field(default=None, description="Name of the encoder; none: the one the index was encoded by.")
    pruning: QueryPruning | None = Field(default=None, description="None: the model's own rule for queries.")
    collection_idf: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Share of the index's own IDF in the query weights, where the index has its frequencies counted.",
    )
    two_phase: TwoPhase | None = Field(
        default=None,
        description="Light terms only rescore what the heavy ones found; for indices of a `rank_features` dialect.",
    )
    feedback: Feedback | None = Field(
        default=None, description="The query takes terms from the best documents of a first pass; none: one pass."
    )


Retriever: TypeAlias = Annotated[Lexical | Sparse, Field(discriminator="kind")]


class Profile(_Frozen):
    """How a search is done. Frozen; unknown keys are refused; see the module's docstring for its YAML."""

    name: str = Field(min_length=1, max_length=128)
    retrievers: tuple[Retriever, ...] = Field(min_length=1, max_length=2)
    fusion: Fusion = LinearFusion()
    candidates: int = Field(
        default=200,
        ge=1,
        le=10_000,
        description="Documents per retriever that are fused; deeper ones follow below them, by rank.",
    )
    rerank: Rerank | None = None
    count_hits: bool = Field(
        default=False, description="Count the documents that the retrievers find together; costs time."
    )
    encode_timeout: float = Field(
        default=1.0, gt=0.0, le=600.0, description="Seconds to encode the query; then: lexical, and `degraded` is set."
    )
    timeout: float = Field(default=10.0, gt=0.0, le=600.0, description="Seconds for the whole search.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        kinds = [retriever.kind for retriever in self.retrievers]
        if len(set(kinds)) != len(kinds):
            raise ValueError("each kind of retriever may be named once")
        if self.rerank is not None and self.rerank.depth > self.candidates:
            raise ValueError("rerank.depth must not be larger than candidates")
        return self

    @property
    def lexical(self) -> Lexical | None:
        """The lexical retriever, if the profile names it."""
        return next((retriever for retriever in self.retrievers if isinstance(retriever, Lexical)), None)

    @property
    def sparse(self) -> Sparse | None:
        """The sparse retriever, if the profile names it."""
        return next((retriever for retriever in self.retrievers if isinstance(retriever, Sparse)), None)

    @property
    def summed_in_cluster(self) -> bool:
        """Whether both retrievers go into one `bool` query, whose scores the cluster adds up."""
        linear = isinstance(self.fusion, LinearFusion) and self.fusion.normalization is Normalization.NONE
        return linear and len(self.retrievers) > 1

    @classmethod
    def parse(cls, data: object, *, called: str = "The profile") -> Profile:
        """Validate what a YAML document holds; raise ProfileInvalid naming the keys that are wrong.

        The message begins with `called`.
        """
        try:
            profile = cls.model_validate(data)
        except ValidationError as error:
            problems = invalid_values(error, cls)
            told = "; at ".join(f"{one.where or WHOLE}: {one.what}" for one in problems[:MAX_TOLD])
            more = len(problems) - MAX_TOLD
            rest = f"; and {more} more" if more > 0 else ""
            raise ProfileInvalid(f"{called} is invalid at {told}{rest}.", field=problems[0].where or WHOLE) from None
        # `stop_early: true` and `depth: yes` would be 1: pydantic takes true and false for numbers.
        for where in _switched(data):
            raise ProfileInvalid(f"{called} is invalid at {where}: must be a number.", field=where)
        return profile


def read_profile(path: Path) -> Profile:
    """Read a profile from a YAML file; raise ProfileInvalid if it can't be read or is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
        data, node = read_yaml(text)
        repeated = next(_repeated(node), None)
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileInvalid(f"The profile {path} can't be read: {error}.") from None
    except yaml.YAMLError as error:
        raise ProfileInvalid(f"The profile {path} is no valid YAML{place_of(error)}.") from None
    except RecursionError:
        raise ProfileInvalid(f"The profile {path} is no valid YAML.") from None
    if data is None:
        raise ProfileInvalid(f"The profile {path} is empty: it needs `name` and `retrievers`.", field=WHOLE)
    if repeated is not None:
        line = repeated.start_mark.line + 1
        raise ProfileInvalid(
            f"The profile {path} names {repeated.value} twice; the second time in line {line}.", field=repeated.value
        )
    return Profile.parse(data, called=f"The profile {path}")


def _switched(data: object, where: str = "") -> Iterator[str]:
    """Yield the keys, dotted, whose values are true or false and should be something else."""
    if isinstance(data, bool) and where.rpartition(".")[2] not in SWITCHES:
        yield where
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from _switched(value, f"{where}.{key}".lstrip("."))
    elif isinstance(data, list | tuple):
        for place, value in enumerate(data):
            yield from _switched(value, f"{where}.{place}")


def _repeated(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Yield the keys that stand a second time in their mapping: YAML would take the last one, silently."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key
                seen.add(key.value)
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated(value)
