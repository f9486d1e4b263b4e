"""What a finished sparse encoder reaches: each ingredient on judged collections, and slices of held-out questions."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, load_npz, save_npz  # type: ignore[import-untyped,unused-ignore]

from scripts.starter.checkpoint import replace_file
from scripts.starter.first_stage import encode
from scripts.starter.recipe import SEED
from scripts.starter.slices import held_out_slices
from scripts.starter.variants import Model, Variants, flops
from scripts.starter.vectors import reciprocal_rank
from scripts.starter.workspace import Workspace
from sidecar.bundle import Bundle
from sidecar.domain import Side
from sidecar.evaluation.collection import Collection, read_collection
from sidecar.evaluation.measures import measure
from sidecar.evaluation.run import Ranked
from sidecar.inference.service import InferenceService
from sidecar.settings import Settings

DEPTH = 100


@dataclass(frozen=True, slots=True)
class Report:
    """nDCG@10 by variant and collection, MRR@10 by variant and slice; `terms` and `flops` by collection.

    `terms` is the mean number of a document's terms after pruning.
    """

    collections: dict[str, dict[str, float]]
    slices: dict[str, dict[str, float]]
    terms: dict[str, float]
    flops: dict[str, float]


class Encoder:
    """The plain encoder without floor and without pruning, for documents and for neural queries; keeps vectors."""

    def __init__(self, bundle: Path, columns: NDArray[np.int64], cache: Path, progress: Callable[[str], None]) -> None:
        opened = Bundle.open(bundle)
        bare = opened.manifest.model_copy(update={"lexical_floor": None, "document_pruning": None})
        self._fingerprint = bare.fingerprint[:16]
        self._service = InferenceService.load([replace(opened, manifest=bare)], Settings())
        self._columns, self._cache, self._progress = columns, cache, progress

    def vectors(self, name: str, texts: Sequence[str]) -> csr_matrix:
        """Learned vectors [texts, columns]; `name` is for people, the texts decide what is kept."""
        digest = hashlib.blake2b("\0".join(texts).encode(), digest_size=6).hexdigest()
        path = self._cache / f"{name}.{digest}.{self._fingerprint}.whole.npz"
        if not path.exists():
            found = asyncio.run(encode(self._service, texts, Side.DOCUMENT, self._progress))
            with replace_file(path) as partial, partial.open("wb") as target:
                save_npz(target, csr_matrix(found[:, self._columns]))
        return csr_matrix(load_npz(path))

    def close(self) -> None:
        self._service.close()


def report(
    work: Workspace, bundle: Path, model: Model, collections: Sequence[tuple[Path, str]], *, slices: bool = True
) -> Report:
    """Measure everything; vectors are kept in the work folder under the encoder's fingerprint."""
    encoder = Encoder(bundle, model.folding.columns, work.folder / "vectors", work.progress)
    found = Report({}, {}, {}, {})
    try:
        for folder, split in collections:
            _collection(found, encoder, model, read_collection(folder, split))
            work.progress(f"{folder.name}/{split}: {found.collections[f'{folder.name}/{split}']}")
        for one in held_out_slices(work.corpus, work.folding, work.tokenizer, SEED) if slices else ():
            learned = encoder.vectors("held-out", one.documents)
            variants = Variants(model, one.documents, one.queries, learned, _nothing(one.queries, model))
            found.slices[one.name] = {
                name: round(reciprocal_rank(scores(), np.asarray(one.labels)), 4)
                for name, scores in variants.scores().items()
                if name != "neural queries"
            }
            work.progress(f"{one.name}: {found.slices[one.name]}")
    finally:
        encoder.close()
    return found


def variants_of(encoder: Encoder, model: Model, collection: Collection) -> Variants:
    """The collection's documents that have text, and all its queries."""
    texts = [collection.text_of(document) for document in collection.documents if collection.text_of(document)]
    queries = [query.text for query in collection.queries]
    learned = encoder.vectors(f"{collection.name}-documents", texts)
    neural = encoder.vectors(f"{collection.name}-{collection.split}-queries", queries)
    return Variants(model, texts, queries, learned, neural)


def _collection(found: Report, encoder: Encoder, model: Model, collection: Collection) -> None:
    variants = variants_of(encoder, model, collection)
    name = f"{collection.name}/{collection.split}"
    ids = [document.id for document in collection.documents if collection.text_of(document)]
    found.collections[name] = {
        variant: _ndcg(collection, ids, scores()) for variant, scores in variants.scores().items()
    }
    found.terms[name] = round(variants.vectors.nnz / len(ids), 1)
    found.flops[name] = round(flops(variants.query_terms, variants.vectors), 2)


def _ndcg(collection: Collection, ids: Sequence[str], scores: NDArray[np.float32]) -> float:
    run = {}
    for query, row in zip(collection.queries, scores, strict=True):
        order = [place for place in np.argsort(-row, kind="stable")[:DEPTH].tolist() if row[place] > 0]
        run[query.id] = [Ranked(ids[place], float(row[place])) for place in order]
    return round(measure(run, collection.judgements).means["nDCG@10"], 4)


def _nothing(queries: Sequence[str], model: Model) -> csr_matrix:
    return csr_matrix((len(queries), len(model.folding.columns)), dtype=np.float32)
