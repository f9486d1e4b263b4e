"""The demo's corpus: the docstrings of Python's own standard library, thousands of real documents on every machine."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import sysconfig
import warnings
from collections.abc import Collection, Iterator
from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from sidecar.domain import Document

__all__ = ["standard_library_docstrings"]

MINIMUM_CHARACTERS = 40
"""Shorter docstrings say nothing that a question could find."""

SKIPPED_PACKAGES = frozenset(
    {
        "antigravity",
        "distutils",
        "encodings",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "site-packages",
        "test",
        "tests",
        "this",
        "turtledemo",
    }
)


def standard_library_docstrings(modules: Collection[str] = ()) -> Iterator[Document]:
    """Yield one document per public module, class, function and method that has a docstring.

    `modules` are those to read, with what lies in them where they are packages; none: all. Fields: `title` (the
    qualified name), `text` (the cleaned docstring), `kind` and `module`. Sources are parsed, not imported; only modules
    written in C are imported, since their docstrings are nowhere else.
    """
    seen: set[str] = set()
    for document in _all(modules):
        if document.id not in seen:
            seen.add(document.id)
            yield document


def _all(modules: Collection[str]) -> Iterator[Document]:
    def wanted(name: str) -> bool:
        return not modules or any(f"{name}.".startswith(f"{module}.") for module in modules)

    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        name = _module_name(path.relative_to(root))
        if name is not None and wanted(name):
            yield from _of_source(name, path)
    for name in sorted(sys.stdlib_module_names):
        if not name.startswith("_") and name not in SKIPPED_PACKAGES and wanted(name) and _written_in_c(name):
            module = _imported(name)
            if module is not None:
                yield from _of_module(module)


def _module_name(path: Path) -> str | None:
    parts = [*path.parts[:-1], path.stem] if path.stem != "__init__" else list(path.parts[:-1])
    if not parts or any(part.startswith("_") or part in SKIPPED_PACKAGES or not part.isidentifier() for part in parts):
        return None
    return ".".join(parts)


def _of_source(module: str, path: Path) -> Iterator[Document]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, OSError):
        return
    yield from _document(module, module, "module", ast.get_docstring(tree))
    for node in tree.body:
        yield from _of_node(module, module, node)


def _of_node(module: str, prefix: str, node: ast.stmt) -> Iterator[Document]:
    if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
        return
    name = f"{prefix}.{node.name}"
    if isinstance(node, ast.ClassDef):
        yield from _document(module, name, "class", ast.get_docstring(node))
        for child in node.body:
            if not isinstance(child, ast.ClassDef):
                yield from _of_node(module, name, child)
    else:
        yield from _document(module, name, "method" if prefix != module else "function", ast.get_docstring(node))


def _written_in_c(name: str) -> bool:
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and (spec.origin == "built-in" or isinstance(spec.loader, ExtensionFileLoader))


def _imported(name: str) -> ModuleType | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError:
        return None


def _of_module(module: ModuleType) -> Iterator[Document]:
    name = module.__name__
    yield from _document(name, name, "module", inspect.getdoc(module))
    for attribute, value in sorted(vars(module).items()):
        if attribute.startswith("_") or getattr(value, "__module__", name) not in (name, None):
            continue
        if inspect.isclass(value):
            yield from _document(name, f"{name}.{attribute}", "class", _own_docstring(value))
            for method, function in sorted(vars(value).items()):
                if not method.startswith("_") and callable(function):
                    yield from _document(name, f"{name}.{attribute}.{method}", "method", _own_docstring(function))
        elif callable(value):
            yield from _document(name, f"{name}.{attribute}", "function", _own_docstring(value))


def _own_docstring(value: object) -> str | None:
    text = getattr(value, "__doc__", None)
    return inspect.cleandoc(text) if isinstance(text, str) else None


def _document(module: str, name: str, kind: str, text: str | None) -> Iterator[Document]:
    if text is not None and len(text) >= MINIMUM_CHARACTERS:
        clean = text.encode("utf-8", errors="replace").decode("utf-8")
        yield Document(name, {"title": name, "text": clean, "kind": kind, "module": module})
