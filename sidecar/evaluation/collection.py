"""Test collections as the BEIR benchmark lays them out.

corpus.jsonl     {"_id", "title", "text"} per line
queries.jsonl    {"_id", "text"} per line
qrels/<split>.tsv    header, then query id, document id, grade; separated by tabs
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sidecar.domain import Document, Query
from sidecar.errors import EvaluationError, InvalidInput
from sidecar.search.text import check_query, well_formed

__all__ = ["Collection", "Judgements", "read_collection", "read_collections", "read_judgements"]

Judgements = Mapping[str, Mapping[str, int]]
"""Grades by query id and document id."""

FIELDS = ("title", "text")

MAX_GRADE = 1_000_000
"""What evaluates runs keeps a count for every grade up to the largest."""

MAX_ID_BYTES = 512
"""What a cluster takes for a document's id."""


@dataclass(frozen=True)
class Collection:
    """Documents, the judged queries of one split, and their grades.

    `text_of` a document is title + " " + text, as in BEIR. Documents without text are part of the collection (they
    can be judged, and missed), but nothing can be indexed of them.
    """

    name: str
    split: str
    documents: tuple[Document, ...]
    queries: tuple[Query, ...]
    judgements: Judgements

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
        known = {document.id for document in self.documents}
        return len({name for grades in self.judgements.values() for name in grades} - known)

    @cached_property
    def queries_missing_relevant(self) -> int:
        """How many queries have a relevant document that is not in the corpus."""
        known = {document.id for document in self.documents}
        return sum(
            1
            for grades in self.judgements.values()
            if any(grade > 0 and name not in known for name, grade in grades.items())
        )

    @cached_property
    def own_documents(self) -> Mapping[str, str]:
        """By query id: the document that *is* the query, whose hit does not count (ArguAna, Quora).

        BEIR drops the hit with the query's own id. Where ids of queries and documents are numbers of their own, that
        would drop documents at random; so the texts must agree too: the document holds the query's text.
        """
        by_id = {document.id: document for document in self.documents}
        own: dict[str, str] = {}
        for query in self.queries:
            document = by_id.get(query.id)
            if document is not None and _plain(query.text) in _plain(self.text_of(document)):
                own[query.id] = document.id
        return own


def read_collection(folder: Path, split: str = "test") -> Collection:
    """Read a collection; raise EvaluationError that names the file and line of what is wrong with it."""
    if not folder.is_dir():
        raise EvaluationError(f"There is no collection at {folder}: it must be a folder with corpus.jsonl.")
    judgements = dict(_judgements(folder / "qrels" / f"{split}.tsv", folder))
    texts = _texts(folder / "queries.jsonl", judgements)
    missing = [name for name in judgements if name not in texts]
    if missing:
        raise EvaluationError(
            f"{folder / 'queries.jsonl'} lacks {len(missing)} queries that {split}.tsv judges, for one {missing[0]!r}."
        )
    documents: dict[str, Document] = {}
    for record in _records(folder / "corpus.jsonl"):
        name = record["_id"]
        if name in documents:
            raise EvaluationError(f"{folder / 'corpus.jsonl'} holds the document {name!r} twice.")
        if not 0 < len(name.encode()) <= MAX_ID_BYTES:
            raise EvaluationError(
                f'{folder / "corpus.jsonl"} holds a document whose "_id" no cluster takes: {name[:50]!r} has'
                f" {len(name.encode())} bytes, and 1 to {MAX_ID_BYTES} are possible."
            )
        documents[name] = Document(name, {field: record.get(field, "") for field in FIELDS})
    if not documents:
        raise EvaluationError(f"{folder / 'corpus.jsonl'} holds no document.")
    return Collection(
        name=folder.resolve().name,
        split=split,
        documents=tuple(documents.values()),
        queries=tuple(Query(name, texts[name]) for name in judgements),
        judgements=judgements,
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


def _texts(path: Path, judgements: Judgements) -> dict[str, str]:
    """Return the queries' texts by id; those that are judged can be searched for."""
    texts: dict[str, str] = {}
    for record in _records(path):
        name, text = record["_id"], record["text"]
        if name in texts:
            raise EvaluationError(f"{path} holds the query {name!r} twice.")
        if name in judgements:
            try:
                check_query(text)
            except InvalidInput as error:
                raise EvaluationError(
                    f"{path}, query {name!r} is judged, and can't be asked: {error.message}"
                ) from None
        texts[name] = text
    return texts


def _records(path: Path) -> Iterator[dict[str, str]]:
    for number, line in _lines(path):
        try:
            record = json.loads(line)
        except ValueError:
            raise EvaluationError(f"{path}, line {number}: this is no JSON.") from None
        if not isinstance(record, dict) or not isinstance(record.get("_id"), str):
            raise EvaluationError(f'{path}, line {number}: an object with a string "_id" is expected.')
        if not isinstance(record.get("text"), str) or not isinstance(record.get("title", ""), str):
            raise EvaluationError(f'{path}, line {number}: "text" (and "title", if any) must be strings.')
        if any(well_formed(one) != one for one in (record["_id"], record["text"], record.get("title", ""))):
            raise EvaluationError(f"{path}, line {number}: a lone surrogate (\\ud800 … \\udfff) is no text.")
        yield record


def _judgements(path: Path, folder: Path) -> Judgements:
    if not path.is_file():
        splits = ", ".join(sorted(one.stem for one in (folder / "qrels").glob("*.tsv"))) or "none"
        raise EvaluationError(
            f"The collection {folder.name} has no split {path.stem!r}; it has: {splits}.{_packed(path)}"
        )
    return read_judgements(path)


def read_judgements(path: Path) -> Judgements:
    """Read a file of judgements; raise EvaluationError with the line that is wrong."""
    grades: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        parts = line.rstrip("\n").split("\t")
        if number == 1 and parts[-1].strip() == "score":
            continue
        try:
            query, document, written = parts
            grade = int(written)
        except ValueError:
            raise EvaluationError(
                f"{path}, line {number}: query id, document id and whole-number grade are expected, tabs between."
            ) from None
        if grade > MAX_GRADE:
            raise EvaluationError(f"{path}, line {number}: a grade is at most {MAX_GRADE:,}.")
        if grades.setdefault(query, {}).setdefault(document, grade) != grade:
            raise EvaluationError(f"{path}, line {number}: {document!r} has another grade for {query!r} above.")
    if not grades:
        raise EvaluationError(f"{path} holds no judgement.")
    return grades


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        # Some tools begin a file with a byte order mark.
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except FileNotFoundError:
        raise EvaluationError(f"{path} is missing.{_packed(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path} can't be read: {error}.") from None


def _packed(path: Path) -> str:
    packed = path.with_name(f"{path.name}.gz")
    return f" There is {packed.name}: unpack it (gunzip)." if packed.is_file() else ""


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
