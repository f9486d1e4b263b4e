"""Options that say what is measured on: collections, or an index that exists with judged queries of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from rich.console import Console
from rich.markup import escape

from sidecar.cli.connections import LOCAL, ClusterAddress
from sidecar.errors import InvalidInput

if TYPE_CHECKING:
    from sidecar.evaluation import Collection, JudgedQueries, LiveIndex

__all__ = [
    "JudgedIndex",
    "JudgedIndexOption",
    "QrelsOption",
    "QueriesOption",
    "judged_index",
    "note_few",
    "warn",
    "warn_of_collection",
    "warn_of_index",
]

FEW_QUERIES = 30

JudgedIndexOption: TypeAlias = Annotated[
    str | None, typer.Option("--index", help="Instead of a collection: an index or alias that exists. It is only read.")
]
QueriesOption: TypeAlias = Annotated[
    Path | None, typer.Option("--queries", help="With --index: the queries, as in BEIR's queries.jsonl.")
]
QrelsOption: TypeAlias = Annotated[
    Path | None, typer.Option("--qrels", help="With --index: the judgements, as in BEIR's qrels/test.tsv.")
]


@dataclass(frozen=True, slots=True)
class JudgedIndex:
    """An index that exists, and the files of its judged queries."""

    index: str
    queries: Path
    qrels: Path

    def read(self) -> JudgedQueries:
        """Read the files; raise EvaluationError with the line that is wrong."""
        from sidecar.evaluation import read_judged_queries

        return read_judged_queries(self.queries, self.qrels, self.index)


def judged_index(
    index: str | None,
    queries: Path | None,
    qrels: Path | None,
    cluster: ClusterAddress,
    about_collections: Mapping[str, object],
) -> JudgedIndex | None:
    """Return what --index, --queries and --qrels say; None where a collection is given instead.

    `about_collections` has the values of options that go with collections alone, falsy where they were not given, the
    first of them being the collection itself. Raises InvalidInput for what does not go together.
    """
    given = [option for option, value in about_collections.items() if value]
    if index is None:
        if queries is not None or qrels is not None:
            raise InvalidInput("--queries and --qrels are about --index: a collection has its own.", field="index")
        if next(iter(about_collections)) not in given:
            raise InvalidInput(
                "There is nothing to measure on: name a --collection, or an --index with --queries and --qrels.",
                field="collection",
            )
        return None
    if given:
        raise InvalidInput(
            f"{', '.join(given)} can't be given with --index: an index that exists is measured as it is.", field="index"
        )
    if queries is None or qrels is None:
        raise InvalidInput("--index needs --queries and --qrels: what is asked, and what is right.", field="index")
    if cluster.url == LOCAL:
        raise InvalidInput("An index that exists is in a cluster that runs: name it by --engine.", field="engine")
    return JudgedIndex(index, queries, qrels)


def warn(sentence: str, console: Console) -> None:
    """Print one sentence in which brackets are brackets."""
    console.print(f"[bold yellow]warning:[/] {escape(sentence)}", highlight=False, soft_wrap=True)


def _note(sentence: str, console: Console) -> None:
    console.print(f"[bold]note:[/] {escape(sentence)}", highlight=False, soft_wrap=True)


def note_few(judged: JudgedQueries, console: Console) -> None:
    """Say that differences between profiles can hardly be told from chance, where there are few queries."""
    if len(judged.queries) < FEW_QUERIES:
        queries = "1 judged query" if len(judged.queries) == 1 else f"{len(judged.queries)} judged queries"
        _note(
            f"{judged.name}: with {queries} a difference has to be large to be told from chance. Judge {FEW_QUERIES} at"
            " the least.",
            console,
        )


def _warn_of_judgements(judged: JudgedQueries, own_documents: int, console: Console) -> None:
    """Say what counts otherwise than one may think, if anything does."""
    if judged.queries_without_relevant:
        warn(
            f"{judged.name}: for {judged.queries_without_relevant:,} of {len(judged.queries):,} queries no document is"
            " judged relevant; they count as 0 in every mean, as in trec_eval.",
            console,
        )
    if own_documents:
        _note(
            f"{judged.name}: for {own_documents:,} of {len(judged.queries):,} queries the document of the same id is"
            " the query itself; its hit does not count.",
            console,
        )


def warn_of_collection(collection: Collection, console: Console) -> None:
    """Say how many judged documents the collection lacks, and what counts otherwise than one may think."""
    _warn_of_judgements(collection, len(collection.own_documents), console)
    if collection.missing_documents:
        warn(
            f"{collection.name}: corpus.jsonl lacks {collection.missing_documents:,} of the judged documents; for"
            f" {collection.queries_missing_relevant:,} of {len(collection.queries):,} queries one of them is relevant"
            " and counts as not found.",
            console,
        )


def warn_of_index(live: LiveIndex, console: Console) -> None:
    """Say how many judged documents the index lacks, and how many documents no sparse retriever finds, if any."""
    name, judged = live.target.index, live.target.judged
    _warn_of_judgements(judged, len(live.target.own_documents), console)
    if live.missing:
        warn(
            f"{name} lacks {len(live.missing):,} of the judged documents; for {live.queries_missing_relevant:,} of"
            f" {len(judged.queries):,} queries one of them is relevant and counts as not found.",
            console,
        )
    if live.without_vector:
        warn(
            f"{live.without_vector:,} of {live.documents:,} documents of {name} have no vector, and only lexical"
            f" retrievers find them: `sidecar reconcile --index {name}` encodes those that have text.",
            console,
        )
