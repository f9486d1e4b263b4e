"""Test collections as the BEIR benchmark lays them out.

corpus.jsonl     {"_id", "title", "text"} per line
queries.jsonl    {"_id", "text"} per line
qrels/<split>.tsv    header, then query id, document id, grade; separated by tabs. Or TREC's four columns
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sidecar.domain import Document
from sidecar.errors import EvaluationError
from sidecar.evaluation.files import Judgements, file_at, name_of_split, read_judgements, records_of
from sidecar.evaluation.judged import JudgedQueries, read_queries_of

__all__ = ["Collection", "read_collection", "read_collections"]

FIELDS = ("title", "text")

MAX_ID_BYTES = 512
"""What a cluster takes for a document's id."""


@dataclass(frozen=True)
class Collection(JudgedQueries):
    """All documents, and the judged queries of one split.

    `text_of` a document is title + " " + text, as in BEIR. Documents without text are part of the collection (they
    can be judged, and missed), but nothing can be indexed of them.
    """

    documents: tuple[Document, ...]

    @staticmethod
    def text_of(document: Document) -> str:
        """Return what a retriever reads of the document."""
        return document.text(FIELDS)

    @cached_property
    def empty_documents(self) -> int:
        """How many documents have no text."""
        return sum(1 for document in self.documents if not self.text_of(document))

    @cached_property
    def missing_documents(self) -> int:
        """How many documents are judged and not in the corpus: those that are relevant can never be found."""
        return len(self._missing)

    @cached_property
    def queries_missing_relevant(self) -> int:
        """How many queries have a relevant document that is not in the corpus."""
        return self.queries_with_relevant(self._missing)

    @cached_property
    def _missing(self) -> frozenset[str]:
        return self.judged_documents - {document.id for document in self.documents}

    @cached_property
    def own_documents(self) -> Mapping[str, str]:
        """By query id: the document that *is* the query, whose hit does not count (ArguAna, Quora); see `is_own`."""
        by_id = {document.id: document for document in self.documents}
        own: dict[str, str] = {}
        for query in self.queries:
            document = by_id.get(query.id)
            if document is not None and self.is_own(query, self.text_of(document)):
                own[query.id] = document.id
        return own


def read_collection(folder: Path, split: str = "test") -> Collection:
    """Read a collection; raise EvaluationError that names the file and line of what is wrong with it."""
    if not folder.is_dir():
        raise EvaluationError(f"There is no collection at {folder}: it must be a folder with corpus.jsonl.")
    judgements = _judgements(folder / "qrels" / f"{split}.tsv", folder)
    queries = read_queries_of(folder / "queries.jsonl", judgements, f"{split}.tsv")
    documents: dict[str, Document] = {}
    for record in records_of(folder / "corpus.jsonl"):
        name = record["_id"]
        if name in documents:
            raise EvaluationError(f"{folder / 'corpus.jsonl'} holds the document {name!r} twice.")
        if not 0 < len(name.encode()) <= MAX_ID_BYTES:
            raise EvaluationError(
                f'{folder / "corpus.jsonl"} holds a document whose "_id" no cluster takes: {name[:50]!r} has'
                f" {len(name.encode())} bytes, and 1 to {MAX_ID_BYTES} are possible."
            )
        documents[name] = Document(name, {field: record[field] for field in FIELDS})
    if not documents:
        raise EvaluationError(f"{folder / 'corpus.jsonl'} holds no document.")
    return Collection(
        name=folder.resolve().name,
        split=split,
        queries=queries,
        judgements=judgements,
        documents=tuple(documents.values()),
    )


def read_collections(folders: Sequence[Path], split: str = "test") -> list[Collection]:
    """Read several collections; raise EvaluationError as `read_collection` does, and where two have one name."""
    found: list[Collection] = []
    for folder in folders:
        collection = read_collection(folder, split)
        if any(one.name == collection.name for one in found):
            raise EvaluationError(
                f"Two collections are called {collection.name}, after their folders: in the report and among the runs"
                " they would be one. Rename a folder."
            )
        found.append(collection)
    return found


def _judgements(path: Path, folder: Path) -> Judgements:
    if not file_at(path).is_file():
        found = (one for ending in ("tsv", "tsv.gz") for one in (folder / "qrels").glob(f"*.{ending}"))
        splits = ", ".join(sorted({name_of_split(one) for one in found})) or "none"
        raise EvaluationError(f"The collection {folder.name} has no split {path.stem!r}; it has: {splits}.")
    return read_judgements(path)
