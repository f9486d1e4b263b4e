"""The training corpus: unique documents, and queries of three kinds that point at them."""

import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from scripts.starter.checkpoint import replace_file
from scripts.starter.pairs import Pair
from scripts.starter.recipe import CorpusRecipe

QueryKind = Literal["asked", "title", "sentence"]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Document:
    """One passage; `held_out` documents and their queries are never trained on."""

    text: str
    source: str
    held_out: bool


@dataclass(frozen=True, slots=True)
class TrainingQuery:
    """A query and the index of the document it was taken from or asked about."""

    text: str
    document: int
    kind: QueryKind


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents and queries; indexes are positions in these two lists."""

    documents: list[Document]
    queries: list[TrainingQuery]


def _share(text: str, seed: int) -> float:
    """A number in [0, 1) that depends on nothing but the text: re-runs and other sources cannot change it."""
    digest = hashlib.blake2b(text.encode(), digest_size=8, salt=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little") / 2**64


def document_text(pair: Pair, recipe: CorpusRecipe) -> str:
    """Title and passage; without the title for a share of the documents.

    Headings make easy queries where the title repeats them: without it the passage itself has to match.
    """
    if not pair.title or _share(pair.passage, recipe.seed) < recipe.untitled_share:
        return pair.passage
    return f"{pair.title} {pair.passage}"


def sentences(text: str) -> list[str]:
    """Sentences of 6 to 40 words."""
    return [sentence for sentence in _SENTENCE_END.split(text) if 6 <= len(sentence.split()) <= 40]


def build(pairs: Iterable[Pair], recipe: CorpusRecipe) -> Corpus:
    """Documents are unique by passage; held-out ones are drawn by title where there is one.

    A whole page is held out together, so that no trained passage tells the answer to a held-out one.
    """
    documents: list[Document] = []
    titles: list[str] = []
    positions: dict[str, int] = {}
    queries: list[TrainingQuery] = []
    asked: set[tuple[str, int]] = set()
    for pair in pairs:
        position = positions.setdefault(pair.passage, len(documents))
        if position == len(documents):
            held_out = _share(pair.title or pair.passage, recipe.seed + 1) < recipe.held_out_share
            documents.append(Document(document_text(pair, recipe), pair.source, held_out))
            titles.append(pair.title)
        if (pair.query, position) not in asked:
            asked.add((pair.query, position))
            queries.append(TrainingQuery(pair.query, position, "asked"))
    queries.extend(_extra_queries(documents, titles, recipe))
    return Corpus(documents, queries)


def _extra_queries(documents: Sequence[Document], titles: Sequence[str], recipe: CorpusRecipe) -> list[TrainingQuery]:
    """Titles and sentences of the documents as further queries: short and wordy ones that nobody had to write."""
    random = np.random.default_rng(recipe.seed)
    order = [int(index) for index in random.permutation(len(documents)) if not documents[index].held_out]
    seen: set[str] = set()
    extra: list[TrainingQuery] = []
    for position in order:
        title = titles[position]
        if title and title not in seen and len(extra) < recipe.title_queries:
            seen.add(title)
            extra.append(TrainingQuery(title, position, "title"))
    for position in order[::-1][: recipe.sentence_queries]:
        candidates = sentences(documents[position].text)
        if candidates:
            extra.append(TrainingQuery(candidates[int(random.integers(len(candidates)))], position, "sentence"))
    return extra


def save(corpus: Corpus, path: Path) -> None:
    """One gzipped JSON file; written whole or not at all."""
    rows = {"documents": [asdict(row) for row in corpus.documents], "queries": [asdict(row) for row in corpus.queries]}
    with replace_file(path) as partial, gzip.open(partial, "wt", encoding="utf-8", compresslevel=3) as target:
        json.dump(rows, target, ensure_ascii=False)


def load(path: Path) -> Corpus:
    """What `save` wrote."""
    with gzip.open(path, "rt", encoding="utf-8") as source:
        rows = json.load(source)
    return Corpus(
        [Document(**row) for row in rows["documents"]],
        [TrainingQuery(**row) for row in rows["queries"]],
    )
