"""Judged queries: texts, and the grades of documents for them, as the BEIR benchmark lays them out.

queries.jsonl    {"_id", "text"} per line
<split>.tsv      header, then query id, document id, grade; separated by tabs
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from sidecar.domain import Query
from sidecar.errors import EvaluationError, InvalidInput
from sidecar.search.text import check_query, well_formed

__all__ = [
    "JudgedQueries",
    "Judgements",
    "holds_query",
    "packed_beside",
    "read_judged_queries",
    "read_judgements",
    "read_queries_of",
    "records_of",
]

Judgements = Mapping[str, Mapping[str, int]]
"""Grades by query id and document id."""

MAX_GRADE = 1_000_000
"""What evaluates runs keeps a count for every grade up to the largest."""


@dataclass(frozen=True)
class JudgedQueries:
    """The judged queries of one split, and their grades. `name`: what they are about, a collection or an index."""

    name: str
    split: str
    queries: tuple[Query, ...]
    judgements: Judgements

    @property
    def judged_documents(self) -> frozenset[str]:
        """Ids of the documents that have a grade for some query."""
        return frozenset(name for grades in self.judgements.values() for name in grades)

    def queries_with_relevant(self, documents: Set[str]) -> int:
        """Return how many queries one of `documents` (by id) is relevant for."""
        return sum(
            1
            for grades in self.judgements.values()
            if any(grade > 0 and name in documents for name, grade in grades.items())
        )


def read_judged_queries(queries: Path, qrels: Path, name: str) -> JudgedQueries:
    """Read the queries that `qrels` judges; the split is the file's name, as in qrels/test.tsv.

    Raises EvaluationError that names the file and line of what is wrong.
    """
    judgements = read_judgements(qrels)
    return JudgedQueries(name, qrels.stem, read_queries_of(queries, judgements, qrels.name), judgements)


def read_queries_of(path: Path, judgements: Judgements, judged_by: str) -> tuple[Query, ...]:
    """Return the judged queries in the order of their judgements, which the file `judged_by` has.

    Raises EvaluationError, also for a judged query that the file at `path` lacks, and for one that can't be asked.
    """
    texts = _texts(path, judgements)
    missing = [name for name in judgements if name not in texts]
    if missing:
        raise EvaluationError(f"{path} lacks {len(missing)} queries that {judged_by} judges, for one {missing[0]!r}.")
    return tuple(Query(name, texts[name]) for name in judgements)


def holds_query(document: str, query: str) -> bool:
    """Return whether a document's text holds the query's, whatever the case and white space of both."""
    return _plain(query) in _plain(document)


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


def records_of(path: Path) -> Iterator[dict[str, str]]:
    """Yield the objects of a file of documents or queries; raise EvaluationError with the line that is wrong."""
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


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers from 1; raise EvaluationError for an unreadable file."""
    try:
        # Some tools begin a file with a byte order mark.
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except FileNotFoundError:
        raise EvaluationError(f"{path} is missing.{packed_beside(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path} can't be read: {error}.") from None


def packed_beside(path: Path) -> str:
    """Return a sentence about a packed file that lies where `path` should; empty where there is none."""
    packed = path.with_name(f"{path.name}.gz")
    return f" There is {packed.name}: unpack it (gunzip)." if packed.is_file() else ""


def _texts(path: Path, judgements: Judgements) -> dict[str, str]:
    """Return the queries' texts by id; those that are judged can be searched for."""
    texts: dict[str, str] = {}
    for record in records_of(path):
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


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
