"""The fields that an index is given for a model's vectors, and those that it must have."""

from __future__ import annotations

from sidecar.cluster.spec import IndexSpec
from sidecar.cluster.templates import existing_template
from sidecar.domain import JsonObject, JsonValue, as_object
from sidecar.engine import Dialect, Engine
from sidecar.engine.seismic import advised_ceiling
from sidecar.engine.text_fields import TEXT_TYPES
from sidecar.engine.versions import ClusterInfo
from sidecar.errors import EngineRejected, InvalidInput

__all__ = [
    "EXCLUDED_VECTORS",
    "NAMED_FIELDS",
    "excludes_vectors",
    "files_of",
    "missing_properties",
    "names_in_files",
    "require_lexical_field",
    "require_source_fields",
    "with_ceiling",
]

NAMED_FIELDS = 20
"""Fields of an index or of documents that a message names, at most."""

EXCLUDED_VECTORS = "index.mapping.exclude_source_vectors"
"""Elasticsearch's, known and true from 9.2 on, and final: `sparse_vector` fields are not given out with documents."""


def missing_properties(name: str, spec: IndexSpec, dialect: Dialect, properties: JsonObject) -> dict[str, JsonValue]:
    """Return the definitions of the spec's fields that the index `name` lacks; `properties` are those it has.

    Raises EngineRejected where a field of that name has another type.
    """
    wanted = with_ceiling(
        as_object(existing_template(files_of(spec, dialect.name), names_in_files(spec, dialect))["properties"]), spec
    )
    missing: dict[str, JsonValue] = {}
    for field_name, definition in wanted.items():
        present = properties.get(field_name)
        if present is None:
            missing[field_name] = definition
        elif as_object(present).get("type") != as_object(definition).get("type"):
            raise EngineRejected(
                f"Index {name} has a field {field_name} of another type: give another --vector-field or --hash-field."
            )
    return missing


def files_of(spec: IndexSpec, dialect: str) -> str:
    """Return which files of `mappings/` an index is made from."""
    return dialect if spec.passages is None else "passages"


def names_in_files(spec: IndexSpec, dialect: Dialect) -> dict[str, str]:
    """Return, by the names that fields have in the files of `mappings/`, the names that are wanted."""
    vector = zip(dialect.written_fields("splade"), dialect.written_fields(spec.vector_field), strict=True)
    return {"content": spec.lexical, **dict(vector), "splade_hash": spec.hash_field}


def with_ceiling(properties: JsonObject, spec: IndexSpec) -> JsonObject:
    """Set the quantisation ceiling from the encoder's largest weight, where the field has one."""
    vector = as_object(properties.get(spec.vector_field))
    method = as_object(vector.get("method"))
    if spec.largest_weight is None or not method:
        return properties
    ceiling = {"quantization_ceiling_ingest": advised_ceiling(spec.largest_weight)}
    parameters: JsonObject = {**as_object(method.get("parameters")), **ceiling}
    return {**properties, spec.vector_field: {**vector, "method": {**method, "parameters": parameters}}}


def excludes_vectors(dialect: str, cluster: ClusterInfo) -> bool:
    """Tell whether an index that is made without a word of it keeps its vectors out of `_source`."""
    return dialect == "elasticsearch" and cluster.release >= (9, 2)


async def require_source_fields(engine: Engine, name: str, spec: IndexSpec, mapping: JsonObject) -> None:
    """Raise InvalidInput for a source field that no document of the index `name` has.

    A mapping names every field that a document ever had, unless `dynamic` is switched off. Where there are no documents
    yet, the field may still come; where `dynamic` is strict, it can't.
    """
    dynamic = str(mapping.get("dynamic", "true")).lower()
    known = {**as_object(mapping.get("properties")), **as_object(mapping.get("runtime"))}
    # An alias is no document's field.
    fields = [field for field, definition in known.items() if as_object(definition).get("type") != "alias"]
    missing = [field for field in spec.source_fields if field not in fields]
    if not missing or dynamic.startswith("false") or (dynamic != "strict" and not await engine.count(name)):
        return
    others = ", ".join(sorted(set(fields) - {spec.vector_field, spec.hash_field})[:NAMED_FIELDS])
    raise InvalidInput(
        f"Index {name} exists and has no field {', '.join(missing)}: name those whose text is encoded, by"
        f" --source-field. It has {others}.",
        field="source_fields",
    )


def require_lexical_field(name: str, spec: IndexSpec, properties: JsonObject) -> None:
    """Raise InvalidInput where the lexical field, which may lie deeper, is no text field among the `properties`."""
    found: JsonValue = {"properties": properties}
    for part in spec.lexical.split("."):
        inner = as_object(found)
        children = {**as_object(inner.get("fields")), **as_object(inner.get("properties"))}
        found = children.get(part)
    if as_object(found).get("type") not in TEXT_TYPES:
        raise InvalidInput(
            f"Index {name} exists and has no text field {spec.lexical}: name the one that words are searched in, by"
            " --lexical-field.",
            field="lexical_field",
        )
