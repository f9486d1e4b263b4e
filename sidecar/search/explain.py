"""Why a document was found: each term's share, read from the cluster's own explanation.

Shares add up to the score. Of several fields that a word was found in, the best one counts whole and the others by the
query's `tie_breaker`: so do their shares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from sidecar.domain import JsonValue
from sidecar.engine.features import sentinel, unescape
from sidecar.search.result import Contribution

__all__ = ["contributions"]

_LEXICAL = re.compile(r"^weight\((?:Synonym\()?(?P<terms>.+?)\)? in \d+\)", re.DOTALL)
_BOOST = r"(?:\^[\d.]+(?:E-?\d+)?)?$"
_CONSTANT = re.compile(rf"^ConstantScore\((?P<terms>[^\s:()*]+:.+)\){_BOOST}", re.DOTALL)
"""Words of fields that keep no statistics: `match_only_text`, and keywords on OpenSearch."""

_CONSTANT_PHRASE = re.compile(
    rf"^SourceFieldMatchQuery .+, filter query: \[ ?(?P<terms>[^\s:()*]+:.+)\]\){_BOOST}", re.DOTALL
)
"""A phrase in such a field."""

_BEST = re.compile(r"^max (?:of|plus (?P<tie>[\d.]+(?:[eE]-?\d+)?) times others of):$")

_SPARSE = re.compile(
    r"^(?:Linear|Saturation) function on the .+? field for the (?P<term>.*) feature, computed as", re.DOTALL
)


def contributions(
    explanation: JsonValue, fingerprint: str, term_of: Callable[[str], str | None] = unescape
) -> tuple[Contribution, ...]:
    """Read an `_explanation`; return the shares by descending value, ties by term and field.

    The sentinel of `fingerprint` is no term and left out; so is all that stands below a share of 0 (filters).
    `term_of` gives the term of a feature (`Dialect.term_of`); a feature without one keeps its name.
    """
    found: list[Contribution] = []
    _walk(explanation, sentinel(fingerprint), term_of, found, 1.0)
    return tuple(sorted(found, key=lambda share: (-share.value, share.term, share.field or "")))


def _walk(
    node: JsonValue, hidden: str, term_of: Callable[[str], str | None], found: list[Contribution], scale: float
) -> None:
    if not isinstance(node, Mapping):
        return
    value, description = node.get("value"), node.get("description")
    if not isinstance(value, int | float) or not value or not scale or not isinstance(description, str):
        return
    share = _share(float(value) * scale, description, term_of)
    if share is None:
        for inner, counted in _parts(node.get("details"), description):
            _walk(inner, hidden, term_of, found, scale * counted)
    elif share.term != hidden:
        found.append(share)


def _parts(details: JsonValue, description: str) -> Iterator[tuple[JsonValue, float]]:
    """Yield the parts of a node, and how much of each counts."""
    parts = details if isinstance(details, list) else []
    best = _BEST.match(description)
    if best is None:
        yield from ((part, 1.0) for part in parts)
        return
    first = max(range(len(parts)), key=lambda place: _value(parts[place]), default=0)
    for place, part in enumerate(parts):
        yield part, 1.0 if place == first else float(best["tie"] or 0.0)


def _value(node: JsonValue) -> float:
    value = node.get("value") if isinstance(node, Mapping) else None
    return float(value) if isinstance(value, int | float) else 0.0


def _share(value: float, description: str, term_of: Callable[[str], str | None]) -> Contribution | None:
    sparse = _SPARSE.match(description)
    if sparse is not None:
        feature = sparse["term"]
        return Contribution("sparse", term_of(feature) or feature, value)
    lexical = _LEXICAL.match(description) or _CONSTANT.match(description) or _CONSTANT_PHRASE.match(description)
    if lexical is not None:
        field = lexical["terms"].partition(":")[0]
        terms = [term.removeprefix(f"{field}:") for term in lexical["terms"].split(" ")]
        return Contribution("lexical", " ".join(terms), value, field)
    return None
