"""Why a document was found: each term's share, read from the cluster's own explanation."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sidecar.domain import JsonObject, JsonValue
from sidecar.engine.rank_features import sentinel, unescape
from sidecar.search.result import Contribution

__all__ = ["contributions"]

_LEXICAL = re.compile(r"^weight\((?:Synonym\()?(?P<terms>.+?)\)? in \d+\)", re.DOTALL)
_SPARSE = re.compile(r"^Linear function on the .+? field for the (?P<term>.*) feature, computed as", re.DOTALL)


def contributions(explanation: JsonValue, fingerprint: str) -> tuple[Contribution, ...]:
    """Read an `_explanation`; return the shares by descending value, ties by term.

    The sentinel of `fingerprint` is no term and left out; so is all that stands below a share of 0 (filters).
    """
    found: list[Contribution] = []
    _walk(explanation, sentinel(fingerprint), found)
    return tuple(sorted(found, key=lambda share: (-share.value, share.term)))


def _walk(node: JsonValue, hidden: str, found: list[Contribution]) -> None:
    if not isinstance(node, Mapping):
        return
    value, description = node.get("value"), node.get("description")
    if not isinstance(value, int | float) or not value or not isinstance(description, str):
        return
    share = _share(node, float(value), description)
    if share is None:
        details = node.get("details")
        for inner in details if isinstance(details, list) else ():
            _walk(inner, hidden, found)
    elif share.term != hidden:
        found.append(share)


def _share(node: JsonObject, value: float, description: str) -> Contribution | None:
    sparse = _SPARSE.match(description)
    if sparse is not None:
        return Contribution("sparse", unescape(sparse["term"]), value)
    lexical = _LEXICAL.match(description)
    if lexical is not None:
        terms = [term.partition(":")[2] or term for term in lexical["terms"].split(" ")]
        return Contribution("lexical", " ".join(terms), value)
    return None
