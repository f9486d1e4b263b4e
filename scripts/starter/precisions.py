"""What int8 costs: both encoders in fp32 and int8 on the same collections."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scripts.starter.checkpoint import replace_file
from scripts.starter.export import export_full_precision
from scripts.starter.report import Encoder, report, variants_of
from scripts.starter.reranked import heads_of, ndcg_of
from scripts.starter.variants import SHIPPED, Model
from scripts.starter.workspace import Workspace
from sidecar.bundle import STARTER_RERANKER, STARTER_SPARSE, Bundle
from sidecar.evaluation.collection import read_collection

Figures = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Precisions:
    """nDCG@10 by collection and precision; `bundles` are the fingerprints of those in int8."""

    bundles: list[str] = field(default_factory=list)
    sparse: Figures = field(default_factory=dict)
    reranked: Figures = field(default_factory=dict)


def compare(work: Workspace, models: Path, model: Model, judged: Sequence[tuple[Path, str]], path: Path) -> None:
    """nDCG@10 by kind, collection and precision, written to `path` as it comes; what these bundles have there is kept.

    `sparse` is the shipped variant with exact dot products, `reranked` the first stage of the int8 encoder and BM25
    reordered by each cross-encoder. `models` has the int8 bundles; those in fp32 are exported where they lack.
    """
    bundles = {name: _both(work, models, name) for name in (STARTER_SPARSE, STARTER_RERANKER)}
    found = _kept(path, [Bundle.open(models / name).fingerprint for name in bundles])
    sparse, reranked = found.sparse, found.reranked
    encoder = Encoder(models / STARTER_SPARSE, model.folding.columns, work.folder / "vectors", work.progress)
    try:
        for folder, split in judged:
            name = f"{folder.name}/{split}"
            if name not in sparse:
                sparse[name] = {
                    precision: report(work, bundle, model, [(folder, split)], slices=False).collections[name][SHIPPED]
                    for precision, bundle in bundles[STARTER_SPARSE].items()
                }
                _keep(found, path)
            if name not in reranked:
                collection = read_collection(folder, split)
                heads = heads_of(variants_of(encoder, model, collection), [query.text for query in collection.queries])
                reranked[name] = {
                    precision: ndcg_of(bundle, collection, heads)
                    for precision, bundle in bundles[STARTER_RERANKER].items()
                }
                _keep(found, path)
            work.progress(f"{name}: sparse {sparse[name]}, reranked {reranked[name]}")
    finally:
        encoder.close()


def _both(work: Workspace, models: Path, name: str) -> dict[str, Path]:
    full = work.folder / "bundles" / f"{name}-fp32"
    return {
        "int8": models / name,
        "fp32": full if full.exists() else export_full_precision(work, work.folder / "bundles", name),
    }


def _kept(path: Path, bundles: list[str]) -> Precisions:
    """What was measured with bundles of these fingerprints."""
    found = Precisions(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else Precisions()
    return found if found.bundles == bundles else Precisions(bundles)


def _keep(found: Precisions, path: Path) -> None:
    with replace_file(path) as partial:
        partial.write_text(json.dumps(asdict(found), indent=2), encoding="utf-8")
