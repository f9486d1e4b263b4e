"""Judged queries: texts, and the grades of documents for them, as the BEIR benchmark lays them out.

queries.jsonl    {"_id", "text"} per line
<split>.tsv      header, then query id, document id, grade; separated by tabs. Or TREC's four columns
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from sidecar.domain import Query
from sidecar.errors import EvaluationError, InvalidInput
from sidecar.evaluation.files import Judgements, name_of_split, read_judgements, records_of
from sidecar.search.text import check_query

__all__ = ["JudgedQueries", "Judgements", "is_the_query", "read_judged_queries", "read_queries_of"]

OWN_SHARE = 0.5
"""Of a document's characters: where the query makes up less of it, the document holds the query and is not it."""


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

    @property
    def queries_without_relevant(self) -> int:
        """How many queries no document is relevant for: they count as 0, whatever is answered."""
        return sum(1 for grades in self.judgements.values() if all(grade <= 0 for grade in grades.values()))

    def is_own(self, query: Query, text: str) -> bool:
        """Return whether the document of the query's own id *is* the query, so that its hit does not count.

        `text` is the document's. BEIR drops every hit with the query's own id. Where ids of queries and documents are
        numbers of their own, that would drop documents at random; so the texts must agree too. And what somebody judged
        to be relevant is to be found.
        """
        return self.judgements.get(query.id, {}).get(query.id, 0) <= 0 and is_the_query(text, query.text)

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
    return JudgedQueries(name, name_of_split(qrels), read_queries_of(queries, judgements, qrels.name), judgements)


def read_queries_of(path: Path, judgements: Judgements, judged_by: str) -> tuple[Query, ...]:
    """Return the judged queries in the order of their judgements, which the file `judged_by` has.

    Raises EvaluationError, also for a judged query that the file at `path` lacks, and for one that can't be asked.
    """
    texts = _texts(path, judgements)
    missing = [name for name in judgements if name not in texts]
    if missing:
        raise EvaluationError(f"{path} lacks {len(missing)} queries that {judged_by} judges, for one {missing[0]!r}.")
    return tuple(Query(name, texts[name]) for name in judgements)


def is_the_query(document: str, query: str) -> bool:
    """Return whether a document's text is the query's, whatever the case and white space of both.

    It is where it holds the query's and has no more besides than that: a title (ArguAna).
    """
    whole, part = _plain(document), _plain(query)
    return part in whole and len(part) >= OWN_SHARE * len(whole)


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
