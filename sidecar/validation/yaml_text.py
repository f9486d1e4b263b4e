"""YAML that somebody wrote: its values and its nodes, and where it is wrong.

Not a part of the package's own names: who validates values has no need of a YAML parser.
"""

from __future__ import annotations

import yaml
from yaml.reader import ReaderError

__all__ = ["FAILURES", "place_of", "read_yaml"]

FAILURES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What PyYAML lets through of values that are not what they look like: `2001-99-99`, `!!timestamp x`, `!!bool x`."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which says of every value that it can't make where it stands."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            return super().construct_object(node, deep)
        except FAILURES:
            kind = str(node.tag).rpartition(":")[2]
            problem = f"the value is no {kind}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None


def read_yaml(text: str) -> tuple[object, yaml.Node | None]:
    """Return what a YAML document holds, and its nodes, by whose marks a line is found; None where it is empty.

    Raises YAMLError where it is none, and RecursionError for lists in lists without an end.
    """
    return yaml.load(text, _Loader), yaml.compose(text, _Loader)


def place_of(error: yaml.YAMLError, *, problem: bool = True) -> str:
    """Return ` at line 2, column 7: what is wrong` (lines and columns from 1), or nothing where nobody knows.

    Without `problem`, only where: what is wrong may have a part of the value in it, and values may be secrets.
    """
    if isinstance(error, ReaderError):
        return f" at character {error.position + 1}" + (f": {error.reason}" if problem else "")
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return ""
    mark = error.problem_mark
    return f" at line {mark.line + 1}, column {mark.column + 1}" + (f": {error.problem}" if problem else "")
