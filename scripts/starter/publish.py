"""From checkpoint folders to the bundles in `models/`, with cards that hold what was measured."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from scripts.starter.ablation import ABLATION, ablate
from scripts.starter.card import neural_card, reranker_card, sparse_card
from scripts.starter.checkpoint import replace_file
from scripts.starter.export import export_neural, export_reranker, export_sparse
from scripts.starter.measured import Ablation, Measured
from scripts.starter.precisions import compare
from scripts.starter.report import report
from scripts.starter.steps import initial_student
from scripts.starter.variants import SHIPPED, Model
from scripts.starter.workspace import Workspace
from sidecar.bundle import STARTER_NEURAL, STARTER_RERANKER, STARTER_SPARSE, Bundle, ManifestDraft, write_bundle

# Judged, but never trained on or chosen by: what the cards report.
REPORTED = ("cranfield", "med", "cystic_fibrosis", "nfcorpus", "time")
# What choices may be made by.
CHOSEN_BY = (("nfcorpus", "dev"), ("checkthat2020", "dev"))

EVALUATION, REPORT, CALIBRATION, PRECISIONS = "evaluation.json", "report.json", "calibration.json", "precisions.json"
PROFILES = ("lexical", "sparse", "hybrid", "hybrid+rerank")
DEPTH_100 = """name: hybrid+rerank
retrievers:
  - {kind: lexical, weight: 0.3}
  - {kind: sparse, weight: 0.7, collection_idf: 0.7}
fusion: {method: linear, normalization: min_max}
rerank: {depth: 100, weight: 0.5, timeout: 600}
encode_timeout: 600
timeout: 600
"""


def publish(work: Workspace, collections: Path, out: Path) -> None:
    """Export the three bundles to `out`, measure ingredients and slices, and write the cards."""
    for export in (export_sparse, export_neural, export_reranker):
        work.progress(f"exported {export(work, out)}")
    measure(work, collections, out)
    write_cards(work, out)


def measure(work: Workspace, collections: Path, out: Path) -> None:
    """Ablation and slices of the sparse encoder, with exact dot products."""
    found = report(work, out / STARTER_SPARSE, model_of(work, out / STARTER_SPARSE), _judged(collections))
    with replace_file(work.folder / REPORT) as partial:
        partial.write_text(json.dumps(asdict(found), indent=2), encoding="utf-8")


def compare_precisions(work: Workspace, collections: Path, out: Path) -> None:
    """Both encoders in fp32 and int8 on every judged collection; cards again."""
    compare(work, out, model_of(work, out / STARTER_SPARSE), _judged(collections), work.folder / PRECISIONS)
    write_cards(work, out)


def compare_ingredients(work: Workspace, collections: Path, out: Path, steps: int) -> None:
    """Short trainings without each ingredient, judged on the dev splits; cards again."""
    ablate(work, steps, [(collections / name, split) for name, split in CHOSEN_BY], initial_student, model_of)
    write_cards(work, out)


def _judged(collections: Path) -> list[tuple[Path, str]]:
    return [*((collections / name, "test") for name in REPORTED), *((collections / n, s) for n, s in CHOSEN_BY)]


def model_of(work: Workspace, bundle: Path) -> Model:
    """What a bundle says about floor and query weights."""
    opened = Bundle.open(bundle)
    floor = opened.manifest.lexical_floor
    if floor is None:
        raise ValueError(f"{bundle} has no lexical floor")
    table = json.loads(opened.file("query_weights.json").read_bytes())
    names = [work.tokenizer.id_to_token(int(column)) for column in work.folding.columns]
    weights = np.asarray([table.get(name, 0.0) for name in names], dtype=np.float32)
    return Model(work.tokenizer, work.folding, work.query_weights, weights, floor.weight, floor.average_length)


def evaluate(work: Workspace, collections: Path, out: Path) -> None:
    """Run `sidecar evaluate` with the bundles on a real OpenSearch, depth 100, and write the cards again."""
    profile = work.folder / "hybrid+rerank.yaml"
    profile.write_text(DEPTH_100, encoding="utf-8")
    command = [sys.executable, "-m", "sidecar", "evaluate"]
    command += [part for name in REPORTED for part in ("--collection", str(collections / name))]
    command += ["--profiles", ",".join([*PROFILES[:3], str(profile)]), "--json", str(work.folder / EVALUATION)]
    command += [part for name in (STARTER_SPARSE, STARTER_RERANKER) for part in ("--model", str(out / name))]
    subprocess.run(command, check=True)
    write_cards(work, out)


def write_cards(work: Workspace, out: Path) -> None:
    """Write the cards from what has been measured so far; a card changes no fingerprint."""
    sources = [document.source for document in work.corpus.documents if not document.held_out]
    precisions = _read(work.folder / PRECISIONS) if (work.folder / PRECISIONS).exists() else {}
    found = Measured(
        **_read(work.folder / REPORT),
        profiles=_profiles(_read(work.folder / EVALUATION)) if (work.folder / EVALUATION).exists() else {},
        calibration=_read(work.folder / CALIBRATION),
        quantization=precisions.get("sparse", {}),
        reranked=precisions.get("reranked", {}),
        ablation=_ablation(_read(work.folder / ABLATION)) if (work.folder / ABLATION).exists() else None,
    )
    sparse, reranker = _curve(work, "sparse"), _curve(work, "reranker")
    _replace_card(out / STARTER_SPARSE, sparse_card(STARTER_SPARSE, sources, sparse, found))
    _replace_card(out / STARTER_NEURAL, neural_card(STARTER_NEURAL, found))
    _replace_card(out / STARTER_RERANKER, reranker_card(STARTER_RERANKER, sources, reranker, found))


def _replace_card(folder: Path, card: str) -> None:
    manifest = Bundle.open(folder, verify=False).manifest
    (folder / "README.md").write_text(card, encoding="utf-8")
    after = write_bundle(folder, ManifestDraft.model_validate(manifest.model_dump(exclude={"files"})))
    if after.fingerprint != manifest.fingerprint:
        raise ValueError(f"{folder} has changed: export it again")


def _profiles(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """nDCG@10 by collection and profile."""
    return {
        one["collection"]: {found["profile"]: found["means"]["nDCG@10"] for found in one["profiles"]}
        for one in report["collections"]
    }


def _ablation(kept: Mapping[str, Any]) -> Ablation:
    """The shipped variant's figures of every run."""
    scores = {
        name: {place: values[SHIPPED] for place, values in {**run["collections"], **run["slices"]}.items()}
        for name, run in kept["runs"].items()
    }
    return Ablation(kept["steps"], scores, {name: run["terms"] for name, run in kept["runs"].items()})


def _curve(work: Workspace, name: str) -> Sequence[Mapping[str, float]]:
    lines = (work.folder / f"{name}.curve.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
