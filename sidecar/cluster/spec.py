"""What an index is asked to become."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.cluster.connectors import ConnectorSpec
from sidecar.domain import ModelInfo, ModelKind, Pruning
from sidecar.engine import IndexMeta, PassageRule, require_one_name
from sidecar.engine.meta import is_field_name
from sidecar.errors import InvalidInput, WrongModelKind

__all__ = ["DEFAULT_LEXICAL_FIELD", "PASSAGE_FIELD", "VECTOR_FIELD", "IndexSpec"]

DEFAULT_LEXICAL_FIELD = "content"

VECTOR_FIELD, PASSAGE_FIELD = "splade", "splade_passages"
"""What a vector field is called unless it is told: of one vector, and of a vector for each passage."""


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """What is wanted. `lexical_field` None: a new index gets `content`, with every source field copied into it.

    `settings` are index settings that go over those of the file, e.g. `{"number_of_shards": 3}`. `dialect` None: what
    the index has, or what fits the cluster. `template`: a pattern of index names that are to get the same fields when
    they are created. `connector`: by which the cluster's own ml-commons calls the sidecar. `largest_weight`: the
    encoder's, for dialects that quantise (`sidecar models` shows it). `passages`: documents get a vector for each of
    their passages, in a nested field of the name `vector_field`.
    """

    index: str
    model: ModelInfo
    source_fields: tuple[str, ...] = ("title", "text")
    lexical_field: str | None = None
    vector_field: str = VECTOR_FIELD
    hash_field: str = "splade_hash"
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    dialect: str | None = None
    template: str | None = None
    connector: ConnectorSpec | None = None
    largest_weight: float | None = None
    passages: PassageRule | None = None

    def __post_init__(self) -> None:
        require_one_name(self.index)
        if self.model.kind is not ModelKind.SPARSE_ENCODER:
            raise WrongModelKind(f"{self.model.name} is no sparse encoder: an index is set up for one.", field="model")
        if not self.source_fields or len(set(self.source_fields)) != len(self.source_fields):
            raise InvalidInput("Name at least one source field, and each one once.", field="source_fields")
        if not all(map(is_field_name, (*self.source_fields, self.vector_field, self.hash_field, self.lexical))):
            raise InvalidInput(
                "A field's name has 1 to 255 characters, and no white space, comma, * or # among them.",
                field="source_fields",
            )
        if any("." in name for name in (*self.source_fields, self.vector_field, self.hash_field)):
            raise InvalidInput("Source, vector and hash fields lie at the top level: no dots.", field="source_fields")
        taken = {*self.source_fields, self.lexical}
        if self.vector_field == self.hash_field or {self.vector_field, self.hash_field} & taken:
            raise InvalidInput("Vector and hash field need names of their own.", field="vector_field")
        if self.largest_weight is not None and not (math.isfinite(self.largest_weight) and self.largest_weight > 0.0):
            raise InvalidInput("The largest weight must be finite and > 0.", field="largest_weight")
        if self.passages is not None and self.connector is not None:
            raise InvalidInput(
                "Through a connector the cluster writes one vector per document: leave --passages or --connector out.",
                field="passages",
            )

    @property
    def lexical(self) -> str:
        """The lexical field's name."""
        return self.lexical_field or DEFAULT_LEXICAL_FIELD

    def require_copies(self) -> None:
        """Raise InvalidInput where a new index could not copy all source fields into the lexical one."""
        if len(self.source_fields) > 1 and self.lexical in self.source_fields:
            raise InvalidInput(
                "In a new index the lexical field takes copies of all source fields, and can't be one of several: give"
                " another --lexical-field.",
                field="lexical_field",
            )

    def meta(self, dialect: str) -> IndexMeta:
        """Return the record that the index gets."""
        return IndexMeta(
            fingerprint=self.model.fingerprint,
            bundle=self.model.name,
            dialect=dialect,
            vector_field=self.vector_field,
            hash_field=self.hash_field,
            source_fields=self.source_fields,
            lexical_field=self.lexical,
            pruning=self.model.document_pruning or Pruning(),
            passages=self.passages,
        )
