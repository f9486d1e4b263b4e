"""Names of indices and aliases: what is written to is called by one, and nothing in it may stand for another index."""

from __future__ import annotations

import re

from sidecar.errors import InvalidInput

__all__ = ["FORBIDDEN", "is_one_name", "require_new_name", "require_one_name"]

FORBIDDEN = r"""[\s\\/*?"<>|,:#\x00-\x1f\x7f]"""
"""What no name of an index or alias holds, as a regular expression. Commas, wildcards, date math (<…>) and other
clusters (a:b) stand for other indices than the name says."""

_NAME = re.compile(rf"(?![-_+])(?!\.{{1,2}}$)(?:(?!{FORBIDDEN}).){{1,255}}", re.DOTALL)

LONGEST = 255
"""Bytes of a name, as the clusters have it."""

_PLURAL = (
    (re.compile(r"\s*"), "it is empty, which clusters take for all indices"),
    (re.compile(r"_all"), "it stands for all indices"),
    (re.compile(r".*[*?].*", re.DOTALL), "it is a pattern, and stands for every index that it fits"),
    (re.compile(r".*,.*", re.DOTALL), "it is a list of several"),
    (re.compile(r"<.*>", re.DOTALL), "it is date math, and stands for another index tomorrow"),
    (re.compile(r"[-_+].*", re.DOTALL), "no index begins with -, _ or +, which mean something else to clusters"),
    (re.compile(r".*:.*", re.DOTALL), "it is an index of another cluster, and those are only searched"),
)


def is_one_name(name: str) -> bool:
    """Tell whether an index or alias may be called so, and no cluster takes it for anything else."""
    return _NAME.fullmatch(name) is not None and len(name.encode("utf-8", "surrogatepass")) <= LONGEST


def require_one_name(name: str, *, field: str = "index") -> None:
    """Raise InvalidInput where `name` is no single name, and say why; for whatever is about to write.

    An alias may have capital letters, an index that is to be made may not: see `require_new_name`.
    """
    if is_one_name(name):
        return
    why = next((said for form, said in _PLURAL if form.fullmatch(name)), "no index or alias is called so")
    raise InvalidInput(f"{name!r} can't be written to: {why}. Name one index, or an alias of one.", field=field)


def require_new_name(name: str, *, field: str = "index") -> None:
    """Raise InvalidInput where no index of that name can be made."""
    require_one_name(name, field=field)
    if name != name.lower():
        raise InvalidInput(
            f"There is no {name}, and it can't be made: indices have no capital letters. Take {name.lower()}.",
            field=field,
        )
