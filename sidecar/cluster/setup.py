"""`sidecar setup`: gives an index the fields for sparse vectors, and the record of which model fills them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.cluster.templates import existing_template, index_template
from sidecar.domain import JsonObject, JsonValue, ModelInfo, ModelKind, Pruning
from sidecar.engine import META_KEY, Engine, IndexMeta
from sidecar.errors import EngineRejected, FingerprintMismatch, IndexNotFound, InvalidInput, WrongModelKind

__all__ = ["IndexSpec", "Request", "SetupPlan", "plan_setup", "set_up"]

DEFAULT_LEXICAL_FIELD = "content"
TEXT_TYPES = frozenset({"text", "match_only_text", "annotated_text"})


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """What is wanted. `lexical_field` None: a new index gets `content`, with every source field copied into it.

    `settings` are index settings that go over those of the file, e.g. `{"number_of_shards": 3}`.
    """

    index: str
    model: ModelInfo
    source_fields: tuple[str, ...] = ("title", "text")
    lexical_field: str | None = None
    vector_field: str = "splade"
    hash_field: str = "splade_hash"
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.model.kind is not ModelKind.SPARSE_ENCODER:
            raise WrongModelKind(f"{self.model.name} is no sparse encoder: an index is set up for one.", field="model")
        if not self.source_fields or len(set(self.source_fields)) != len(self.source_fields):
            raise InvalidInput("Name at least one source field, and each one once.", field="source_fields")
        if any("." in name for name in (*self.source_fields, self.vector_field, self.hash_field)):
            raise InvalidInput("Source, vector and hash fields lie at the top level: no dots.", field="source_fields")
        taken = {*self.source_fields, self.lexical_field or DEFAULT_LEXICAL_FIELD}
        if self.vector_field == self.hash_field or {self.vector_field, self.hash_field} & taken:
            raise InvalidInput("Vector and hash field need names of their own.", field="vector_field")
        if len(self.source_fields) > 1 and (self.lexical_field or DEFAULT_LEXICAL_FIELD) in self.source_fields:
            raise InvalidInput(
                "The lexical field takes copies of all source fields and can't be one of several: give another"
                " --lexical-field.",
                field="lexical_field",
            )

    @property
    def lexical(self) -> str:
        """The lexical field's name."""
        return self.lexical_field or DEFAULT_LEXICAL_FIELD

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
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One request that changes the cluster."""

    method: str
    path: str
    body: JsonObject


@dataclass(frozen=True, slots=True)
class SetupPlan:
    """What has to be sent, and what the index will say about itself. No requests: it is set up already."""

    index: str
    meta: IndexMeta
    creates: bool
    requests: tuple[Request, ...] = ()

    async def apply(self, engine: Engine) -> None:
        """Send the requests."""
        for request in self.requests:
            if self.creates:
                await engine.create_index(self.index, request.body)
            else:
                await engine.put_mapping(self.index, request.body)


async def set_up(engine: Engine, spec: IndexSpec) -> SetupPlan:
    """Set an index up, whether it exists or not; a second time changes nothing. Returns what was done."""
    plan = await plan_setup(engine, spec)
    await plan.apply(engine)
    return plan


async def plan_setup(engine: Engine, spec: IndexSpec) -> SetupPlan:
    """Find out what has to be sent; sends nothing that changes anything.

    Raises FingerprintMismatch where the index was set up for another model, InvalidInput where it was set up with other
    fields or lacks what is named, EngineRejected where a field of that name has another type.
    """
    meta = spec.meta(engine.dialect.name)
    try:
        mappings = await engine.mappings(spec.index)
    except IndexNotFound:
        return _creation(spec, meta)
    if len(mappings) != 1:
        raise InvalidInput(f"{spec.index} stands for {len(mappings)} indices: name one of them.", field="index")
    name, mapping = next(iter(mappings.items()))
    return _addition(name, spec, meta, mapping)


def _creation(spec: IndexSpec, meta: IndexMeta) -> SetupPlan:
    body = index_template(meta.dialect, _names(spec), spec.source_fields)
    mappings, settings = _object(body.get("mappings")), _object(body.get("settings"))
    if spec.settings:
        settings = {**settings, "index": {**_object(settings.get("index")), **spec.settings}}
    created: JsonObject = {**body, "settings": settings, "mappings": {"_meta": meta.to_mapping(), **mappings}}
    return SetupPlan(spec.index, meta, True, (Request("PUT", f"/{spec.index}", created),))


def _addition(name: str, spec: IndexSpec, meta: IndexMeta, mapping: JsonObject) -> SetupPlan:
    others = _object(mapping.get("_meta"))
    recorded = others.get(META_KEY)
    properties = _object(mapping.get("properties"))
    if recorded is not None:
        _require_same(name, IndexMeta.parse(name, recorded), meta)
    else:
        _require_lexical_field(name, spec, properties)
    wanted = _object(existing_template(meta.dialect, _names(spec))["properties"])
    missing: dict[str, JsonValue] = {}
    for field_name, definition in wanted.items():
        present = properties.get(field_name)
        if present is None:
            missing[field_name] = definition
        elif _object(present).get("type") != _object(definition).get("type"):
            raise EngineRejected(
                f"Index {name} has a field {field_name} of another type: give another --vector-field or --hash-field."
            )
    if recorded is not None and not missing:
        return SetupPlan(name, meta, False)
    # The cluster replaces `_meta` as a whole: what others wrote there stays.
    body: JsonObject = {"_meta": {**others, **meta.to_mapping()}, "properties": missing}
    return SetupPlan(name, meta, False, (Request("PUT", f"/{name}/_mapping", body),))


def _require_same(name: str, recorded: IndexMeta, wanted: IndexMeta) -> None:
    if recorded.fingerprint != wanted.fingerprint:
        raise FingerprintMismatch(
            f"Index {name} was set up for {recorded.bundle} ({recorded.fingerprint[:16]}), not for {wanted.bundle}"
            f" ({wanted.fingerprint[:16]}): give a new --index for the new model, or serve {recorded.bundle}."
        )
    different = [
        key
        for key in ("dialect", "vector_field", "hash_field", "source_fields", "lexical_field", "pruning")
        if getattr(recorded, key) != getattr(wanted, key)
    ]
    if different:
        raise InvalidInput(
            f"Index {name} was set up with other values of {', '.join(different)}: name those, or a new --index.",
            field=different[0],
        )


def _require_lexical_field(name: str, spec: IndexSpec, properties: JsonObject) -> None:
    found: JsonValue = {"properties": properties}
    for part in spec.lexical.split("."):
        inner = _object(found)
        children = {**_object(inner.get("fields")), **_object(inner.get("properties"))}
        found = children.get(part)
    if _object(found).get("type") not in TEXT_TYPES:
        raise InvalidInput(
            f"Index {name} exists and has no text field {spec.lexical}: name the one that words are searched in, by"
            " --lexical-field.",
            field="lexical_field",
        )


def _names(spec: IndexSpec) -> dict[str, str]:
    return {"content": spec.lexical, "splade": spec.vector_field, "splade_hash": spec.hash_field}


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, Mapping) else {}
