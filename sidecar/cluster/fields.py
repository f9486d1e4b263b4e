"""The fields that an index is given for a model's vectors."""

from __future__ import annotations

from sidecar.cluster.spec import IndexSpec
from sidecar.cluster.templates import existing_template
from sidecar.domain import JsonObject, JsonValue, as_object
from sidecar.engine import Dialect
from sidecar.engine.seismic import advised_ceiling
from sidecar.engine.versions import ClusterInfo
from sidecar.errors import EngineRejected

__all__ = ["EXCLUDED_VECTORS", "excludes_vectors", "files_of", "missing_properties", "names_in_files", "with_ceiling"]

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
