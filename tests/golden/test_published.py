"""Values that the models' authors and other implementations published, for checkpoints that the user has.

`SIDECAR_CHECKPOINTS=DIR` names a folder with checkpoints as the hub has them, each under `DIR/<owner>/<name>`,
`DIR/<owner>--<name>` or `DIR/<name>`. A test is skipped where its checkpoint is not there: the weights are hundreds of
megabytes, some are gated, and some are not for commercial use.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pytest
from tokenizers import Tokenizer

from sidecar.bundle import Activation, Bundle, Pooling, Quantization, QueryMode
from sidecar.errors import UnsupportedCheckpoint
from sidecar.export import ExportOptions, export_checkpoint
from sidecar.export.checkpoint import read_checkpoint
from sidecar.export.checkpoint.layout import Layout
from sidecar.export.checkpoint.query_weights import checked_query_weights, read_query_weights
from sidecar.export.checkpoint.tokenizer import read_tokenizer
from tests.unit.export.running import Graph

pytestmark = pytest.mark.golden

QUESTION = "What's the weather in ny now?"
ANSWER = "Currently New York is rainy."


def checkpoint_folder(repository: str) -> Path:
    """Find a checkpoint, or skip the test saying what is missing."""
    root = os.environ.get("SIDECAR_CHECKPOINTS")
    if not root:
        pytest.skip(f"SIDECAR_CHECKPOINTS names no folder with {repository}")
    for name in (repository, repository.replace("/", "--"), repository.rpartition("/")[2]):
        if (Path(root) / name).is_dir():
            return Path(root) / name
    pytest.skip(f"{repository} is not in SIDECAR_CHECKPOINTS={root}")


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    def exported(repository: str, **options: object) -> Path:
        report = export_checkpoint(checkpoint_folder(repository), tmp_path / "out", ExportOptions(**options))
        assert report.largest_difference <= 1e-3
        return report.folder

    return exported


def query_vector(folder: Path, text: str) -> dict[str, float]:
    """An inference-free query: each own term once, with the table's weight, missing ones with the manifest's."""
    manifest = Bundle.open(folder).manifest
    weights = orjson.loads((folder / "query_weights.json").read_bytes())
    tokens = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text, add_special_tokens=False).tokens
    return {token: weights.get(token, manifest.missing_idf) for token in tokens}


def document_vector(folder: Path, text: str) -> dict[str, float]:
    graph = Graph(folder)
    row = graph.run([text])[0]
    return {graph.tokenizer.id_to_token(int(index)): float(row[index]) for index in np.flatnonzero(row)}


@dataclass(frozen=True)
class Inference:
    """One published inference-free example: query and document weights by term, and their dot product."""

    repository: str
    activation: Activation
    similarity: float
    weights: dict[str, tuple[float, float]]


INFERENCE_FREE = (
    # sentence-transformers, tests/sparse_encoder/test_opensearch_models.py
    Inference(
        "opensearch-project/opensearch-neural-sparse-encoding-doc-v2-distill",
        Activation.LOG1P_RELU,
        17.5307,
        {"ny": (5.7729, 1.4109), "weather": (4.5684, 1.4673), "now": (3.5895, 0.7473)},
    ),
    # sentence-transformers, documentation of Router
    Inference(
        "opensearch-project/opensearch-neural-sparse-encoding-doc-v3-distill",
        Activation.LOG1P_LOG1P_RELU,
        11.1105,
        {
            "ny": (5.7729, 0.8049),
            "weather": (4.5684, 0.9710),
            "now": (3.5895, 0.4720),
            "?": (3.3313, 0.0286),
            "what": (2.7699, 0.0787),
            "in": (0.4989, 0.0417),
        },
    ),
)


@pytest.mark.parametrize("case", INFERENCE_FREE, ids=lambda case: case.repository.rpartition("/")[2])
def test_inference_free_models(case: Inference, export: Callable[..., Path]) -> None:
    folder = export(case.repository, activation=case.activation)
    assert Bundle.open(folder).manifest.query_mode is QueryMode.IDF
    query, document = query_vector(folder, QUESTION), document_vector(folder, ANSWER)
    for term, (query_weight, document_weight) in case.weights.items():
        assert query[term] == pytest.approx(query_weight, abs=1e-3)
        assert document[term] == pytest.approx(document_weight, abs=1e-3)
    similarity = sum(weight * document.get(term, 0.0) for term, weight in query.items())
    assert similarity == pytest.approx(case.similarity, abs=1e-2)


def test_splade_pp_hello_world(export: Callable[..., Path]) -> None:
    """fastembed, tests/test_sparse_embeddings.py: some of the weights of "Hello World" by term id."""
    folder = export("prithivida/Splade_PP_en_v1", pooling=Pooling.MAX, activation=Activation.LOG1P_RELU)
    row = Graph(folder).run(["hello world"])[0]
    for term_id, weight in {2040: 0.42195, 2047: 0.43201, 2088: 2.76658, 7592: 2.80326}.items():
        assert row[term_id] == pytest.approx(weight, abs=1e-3)


def test_splade_v3_paula_deen(export: Callable[..., Path]) -> None:
    """Anserini, SpladeV3EncoderInferenceTest: weights as round(weight / 5 * 256); one step of rounding is allowed."""
    vector = document_vector(export("naver/splade-v3"), "what is paula deen's brother")
    impacts = {term: round(weight / 5 * 256) for term, weight in vector.items()}
    for term, impact in {"brother": 138, "paula": 138, "brothers": 113, "dee": 107}.items():
        assert impacts[term] == pytest.approx(impact, abs=1)


def test_v3_gte_queries_and_its_refused_graph(tmp_path: Path) -> None:
    """fastembed: the query "hello world" by term id. The document side runs the checkpoint's own code: not exported."""
    folder = checkpoint_folder("opensearch-project/opensearch-neural-sparse-encoding-doc-v3-gte")
    tokenizer = read_tokenizer(folder)
    found = read_query_weights(folder, Layout(folder), tokenizer)
    assert found is not None
    weights = checked_query_weights(found, tokenizer)
    for term_id, weight in {2088: 3.42086864, 7592: 6.93775654}.items():
        assert weights[tokenizer.id_to_token(term_id)] == pytest.approx(weight, abs=1e-4)
    with pytest.raises(UnsupportedCheckpoint, match="models import"):
        export_checkpoint(folder, tmp_path / "out")


@pytest.mark.parametrize(
    "repository",
    [
        "opensearch-project/opensearch-neural-sparse-encoding-doc-v1",
        "opensearch-project/opensearch-neural-sparse-encoding-v2-distill",
        "naver/splade-cocondenser-ensembledistil",
        "cross-encoder/ms-marco-MiniLM-L6-v2",
        "cross-encoder/ms-marco-TinyBERT-L2-v2",
        "BAAI/bge-reranker-base",
    ],
)
def test_known_checkpoints_export_within_the_tolerance(repository: str, export: Callable[..., Path]) -> None:
    """Nothing was published to compare with: the checkpoint itself is the oracle, for fp32 and for int8."""
    folder = checkpoint_folder(repository)
    assert read_checkpoint(folder).rows > 1000
    out = export(repository, quantize=Quantization.INT8)
    assert Bundle.open(out).manifest.quantization is Quantization.INT8
