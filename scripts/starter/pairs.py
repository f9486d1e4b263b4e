"""Training pairs on disk, and which of them the corpus takes."""

import gzip
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts.starter.recipe import SOURCE_WEIGHTS, CorpusRecipe


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and a passage that answers it."""

    source: str
    query: str
    title: str
    passage: str


def read_source(path: Path) -> Iterator[Pair]:
    """The usable pairs of one `<source>.jsonl.gz`; rows without a query or a passage are left out."""
    source = path.name.removesuffix(".jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            query, passage = row["query"].strip(), row["passage"].strip()
            if query and passage:
                yield Pair(source, query, row["title"].strip(), passage)


def read_pairs(folder: Path) -> dict[str, list[Pair]]:
    """All pairs of a folder by source, sources in alphabetical order."""
    paths = sorted(folder.glob("*.jsonl.gz"))
    if not paths:
        raise FileNotFoundError(f"no *.jsonl.gz with training pairs in {folder}")
    return {path.name.removesuffix(".jsonl.gz"): list(read_source(path)) for path in paths}


def passages(folder: Path, most: int, weights: Mapping[str, float] = SOURCE_WEIGHTS) -> Iterator[str]:
    """Distinct passages of a folder, at most `most` of a source times its weight: no source decides what is rare."""
    for source, rows in sorted(read_pairs(folder).items()):
        distinct = list(dict.fromkeys(pair.passage for pair in rows))
        random = np.random.default_rng([*source.encode()])
        take = round(most * weights.get(source, 1.0))
        yield from (distinct[index] for index in random.permutation(len(distinct))[:take])


def quota(size: int, weight: float, tempering: float) -> int:
    """How many pairs a source of `size` pairs gives."""
    return round(min(size, tempering * math.sqrt(size)) * weight)


def select(
    pairs: Mapping[str, Iterable[Pair]], recipe: CorpusRecipe, weights: Mapping[str, float] = SOURCE_WEIGHTS
) -> list[Pair]:
    """A seeded sample: each source gives its quota, in a mixed order that does not depend on the other sources."""
    chosen: list[Pair] = []
    for source, rows in sorted(pairs.items()):
        rows = list(rows)
        random = np.random.default_rng([recipe.seed, *source.encode()])
        take = quota(len(rows), weights.get(source, 1.0), recipe.tempering)
        chosen.extend(rows[index] for index in random.permutation(len(rows))[:take])
    order = np.random.default_rng(recipe.seed).permutation(len(chosen))
    return [chosen[index] for index in order]
