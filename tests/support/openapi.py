"""Schemas out of an OpenAPI document."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

__all__ = ["absolute", "described", "within"]


def described(document: dict[str, Any], path: str, method: str, status: str) -> Draft202012Validator:
    """Return what validates an operation's answers of a status."""
    content = document["paths"][path][method]["responses"][status]["content"]
    return within(document, next(iter(content.values()))["schema"])


def within(document: dict[str, Any], schema: Any) -> Draft202012Validator:
    """Return what validates by a part of the document."""
    resource = Resource(contents=document, specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:document", resource)
    return Draft202012Validator(absolute(schema), registry=registry)


def absolute(schema: Any) -> Any:
    """Point `#/components/…` at the document, since the schema is taken out of it."""
    if isinstance(schema, dict):
        return {key: f"urn:document{value}" if key == "$ref" else absolute(value) for key, value in schema.items()}
    if isinstance(schema, list):
        return [absolute(item) for item in schema]
    return schema
