"""Why a document was found: each term's share, read from the cluster's own explanation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sidecar.domain import JsonValue
from sidecar.engine.features import sentinel, unescape
from sidecar.search.result import Contribution

__all__ = ["contributions"]

_LEXICAL = re.compile(r"^weight\((?:Synonym\()?(?P<terms>.+?)\)? in \d+\)", re.DOTALL)
_SPARSE = re.compile(
    r"^(?:Linear|Saturation) function on the .+? field for the (?P<term>.*) feature, computed as", re.DOTALL
)


def contributions(
    explanation: JsonValue, fingerprint: str, term_of: Callable[[str], str | None] = unescape
) -> tuple[Contribution, ...]:
    """Read an `_explanation`; return the shares by descending value, ties by term.

    The sentinel of `fingerprint` is no term and left out; so is all that stands below a share of 0 (filters).
    `term_of` gives the term of a feature (`Dialect.term_of`); a feature without one keeps its name.
    """
    found: list[Contribution] = []
    _walk(explanation, sentinel(fingerprint), term_of, found)
    return tuple(sorted(found, key=lambda share: (-share.value, share.term)))


def _walk(node: JsonValue, hidden: str, term_of: Callable[[str], str | None], found: list[Contribution]) -> None:
    if not isinstance(node, Mapping):
        return
    value, description = node.get("value"), node.get("description")
    if not isinstance(value, int | float) or not value or not isinstance(description, str):
        return
    share = _share(float(value), description, term_of)
    if share is None:
        details = node.get("details")
        for inner in details if isinstance(details, list) else ():
            _walk(inner, hidden, term_of, found)
    elif share.term != hidden:
        found.append(share)


def _share(value: float, description: str, term_of: Callable[[str], str | None]) -> Contribution | None:
    sparse = _SPARSE.match(description)
    if sparse is not None:
        feature = sparse["term"]
        return Contribution("sparse", term_of(feature) or feature, value)
    lexical = _LEXICAL.match(description)
    if lexical is not None:
        terms = [term.partition(":")[2] or term for term in lexical["terms"].split(" ")]
        return Contribution("lexical", " ".join(terms), value)
    return None
