"""The texts: those of the judged collections where they are, else the docstrings of Python's standard library."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sidecar.cli.demo.corpus import standard_library_docstrings
from sidecar.domain import Document
from sidecar.errors import EvaluationError
from sidecar.evaluation import read_collection

__all__ = ["Texts", "collections_folder", "read_texts"]

FIELDS = ("title", "text")
SEED = 20_261_121
PREFERRED = ("checkthat2020", "cosqa", "cranfield", "nfcorpus", "med", "cystic_fibrosis", "time")
"""Collections by name, in the order in which their texts are taken."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Documents and queries, each in one shuffled order that is the same in every run."""

    source: str
    documents: tuple[str, ...]
    queries: tuple[str, ...]

    def some(self, count: int) -> tuple[str, ...]:
        """Return the first `count` documents; fewer where there are fewer."""
        return self.documents[:count]


def collections_folder(given: Path | None) -> Path | None:
    """Return the folder of the collections: what is given, else SIDECAR_COLLECTIONS, if it is a folder."""
    folder = given or (Path(os.environ["SIDECAR_COLLECTIONS"]) if os.environ.get("SIDECAR_COLLECTIONS") else None)
    return folder if folder is not None and folder.is_dir() else None


def read_texts(folder: Path | None, names: Sequence[str] = PREFERRED) -> Texts:
    """Read the documents and queries of the collections in `folder`, or the docstrings where there are none."""
    documents: list[str] = []
    queries: list[str] = []
    found: list[str] = []
    for name in names:
        try:
            collection = None if folder is None else read_collection(folder / name, "test")
        except EvaluationError:
            continue
        if collection is not None:
            found.append(name)
            documents.extend(text for one in collection.documents if (text := one.text(FIELDS)))
            queries.extend(query.text for query in collection.queries)
    if not documents:
        docstrings: list[Document] = list(standard_library_docstrings())
        documents = [one.text(FIELDS) for one in docstrings]
        queries = [_first_line(one) for one in docstrings]
        found = ["docstrings of Python's standard library"]
    order = random.Random(SEED)
    order.shuffle(documents)
    order.shuffle(queries)
    return Texts(", ".join(found), tuple(documents), tuple(queries))


def _first_line(document: Document) -> str:
    return document.text(("text",)).partition("\n")[0].rstrip(".")
