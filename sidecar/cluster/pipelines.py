"""Pipelines and index templates that `sidecar setup` makes beside an index."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Mapping

import orjson

from sidecar.cluster.requests import Request
from sidecar.cluster.templates import json_file
from sidecar.domain import JsonObject, as_object
from sidecar.engine import META_KEY, Dialect, Engine, IndexMeta
from sidecar.engine.features import sentinel
from sidecar.engine.transport import path_of
from sidecar.errors import InvalidInput

__all__ = ["beside_index", "plan_index_template", "plan_ingest_pipeline", "plan_search_pipeline"]

TEXT_FIELD_SUFFIX = "_text"


def beside_index(index: str) -> str:
    """Return the name of what is made beside an index: its pipelines, its template."""
    return f"splade-sidecar-{index}"


async def plan_search_pipeline(engine: Engine, index: str, model_ids: Mapping[str, str] | None) -> list[Request]:
    """Return the request for the pipeline of `hybrid` queries; with `model_ids`, it also encodes query texts."""
    body = json_file("pipelines", "search.json")
    if model_ids is not None:
        enricher = {"neural_query_enricher": {"default_model_id": model_ids.get("query_model_id", "${query_model_id}")}}
        body = {**body, "request_processors": [enricher]}
    return await _unless_there(engine, "_search", beside_index(index), body)


async def plan_ingest_pipeline(
    engine: Engine, index: str, meta: IndexMeta, dialect: Dialect, model_ids: Mapping[str, str]
) -> list[Request]:
    """Return the request for the pipeline that encodes documents on their way into the index."""
    body = ingest_pipeline(meta, dialect, model_ids.get("document_model_id", "${document_model_id}"))
    return await _unless_there(engine, "_ingest", beside_index(index), body)


def ingest_pipeline(meta: IndexMeta, dialect: Dialect, model_id: str) -> JsonObject:
    """Return the pipeline's body: the file's, with the index's own names."""
    body = json_file("pipelines", "ingest.json")
    processors = body["processors"]
    assert isinstance(processors, list)
    joining, encoding, naming = (as_object(entry) for entry in processors)
    text_field = f"{meta.vector_field}{TEXT_FIELD_SUFFIX}"
    written = dialect.written_fields(meta.vector_field)
    beside = written[1] if len(written) > 1 else None
    joined: JsonObject = {
        "source_fields": list(meta.source_fields),
        "written_fields": list(written),
        "hash_field": meta.hash_field,
        "text_field": text_field,
    }
    named: JsonObject = {
        "vector_field": meta.vector_field,
        "model_field": beside,
        "sentinel": sentinel(meta.fingerprint) if beside is None else meta.fingerprint[:16],
        "text_field": text_field,
    }
    encoder: JsonObject = {
        **as_object(encoding["sparse_encoding"]),
        "model_id": model_id,
        "field_map": {text_field: meta.vector_field},
    }
    return {
        **body,
        "processors": [
            {"script": {**as_object(joining["script"]), "params": joined}},
            {"sparse_encoding": encoder},
            {"script": {**as_object(naming["script"]), "params": named}},
        ],
    }


async def plan_index_template(engine: Engine, index: str, pattern: str, body: JsonObject) -> list[Request]:
    """Return the request for a template: indices of that pattern get `body` when they are created.

    Raises InvalidInput where another template matches them too: of two, a cluster applies one.
    """
    name = beside_index(index)
    answer = await engine.find("/_index_template") or {}
    listed = answer.get("index_templates")
    digest = hashlib.sha256(orjson.dumps([pattern, body], option=orjson.OPT_SORT_KEYS)).hexdigest()
    for entry in listed if isinstance(listed, list) else ():
        template = as_object(as_object(entry).get("index_template"))
        if as_object(entry).get("name") == name:
            if as_object(as_object(template.get("_meta")).get(META_KEY)).get("digest") == digest:
                return []
            continue
        patterns = template.get("index_patterns")
        if any(_overlap(str(other), pattern) for other in (patterns if isinstance(patterns, list) else ())):
            raise InvalidInput(
                f"The index template {as_object(entry).get('name')} matches {pattern} too, and only one applies:"
                " put the fields that --dry-run shows into that template.",
                field="template",
            )
    wanted: JsonObject = {
        "index_patterns": [pattern],
        "template": body,
        "_meta": {META_KEY: {"digest": digest, "made_by": "sidecar setup"}},
    }
    return [Request("PUT", path_of("_index_template", name), wanted)]


async def _unless_there(engine: Engine, kind: str, name: str, body: JsonObject) -> list[Request]:
    path = path_of(kind, "pipeline", name)
    found = await engine.find(path)
    there = None if found is None else found.get(name)
    return [] if there == body else [Request("PUT", path, body)]


def _overlap(one: str, other: str) -> bool:
    return fnmatch.fnmatchcase(one, other) or fnmatch.fnmatchcase(other, one)
