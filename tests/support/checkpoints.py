"""The tiny checkpoints of `architectures`, and the bundles exported from them, made once for all tests."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.support.architectures import (
    build_cross_encoder_checkpoint,
    build_distilbert_checkpoint,
    build_distilbert_cross_encoder_checkpoint,
    build_own_terms_checkpoint,
    build_roberta_checkpoint,
    build_router_checkpoint,
    build_sparse_checkpoint,
    build_xlm_roberta_cross_encoder_checkpoint,
)

REPOSITORY = Path(__file__).resolve().parents[2]

CHECKPOINTS: dict[str, Callable[[Path], Path]] = {
    "sparse": build_sparse_checkpoint,
    "distilbert": build_distilbert_checkpoint,
    "router": build_router_checkpoint,
    "roberta": build_roberta_checkpoint,
    "cross-encoder": build_cross_encoder_checkpoint,
    "distilbert-cross-encoder": build_distilbert_cross_encoder_checkpoint,
    "xlm-roberta-cross-encoder": build_xlm_roberta_cross_encoder_checkpoint,
    "own-terms": build_own_terms_checkpoint,
}
"""Name -> builder. A builder writes into a folder and returns it."""


def build_tiny_bundle(name: str, checkpoint: Path, out: Path) -> Path:
    """Export `checkpoint` as the tiny bundle `name` (sparse, idf, cross-encoder, own-terms) into `out`."""
    from sidecar.export import ExportOptions, export_checkpoint

    options = ExportOptions(
        name=f"tiny-{name}",
        license="Apache-2.0",
        source="random weights, made by the tests",
    )
    export_checkpoint(checkpoint, out, options)
    return out


BUNDLES: dict[str, str] = {
    "sparse": "sparse",
    "idf": "router",
    "cross-encoder": "cross-encoder",
    "own-terms": "own-terms",
}
"""Bundle -> the checkpoint it is exported from."""


def _sources_digest() -> str:
    """Identifies everything the cached folders depend on: a change in any of it makes new ones."""
    digest = hashlib.sha256()
    ours = [REPOSITORY / "tests/support" / f"{name}.py" for name in ("architectures", "checkpoints", "vocabulary")]
    files = [*ours, REPOSITORY / "sidecar/domain.py"]
    for room in ("export", "bundle"):
        files.extend(sorted((REPOSITORY / "sidecar" / room).rglob("*.py")))
    for file in files:
        digest.update(file.read_bytes())
    for library in ("torch", "transformers", "sentence-transformers", "onnx", "onnxruntime", "tokenizers"):
        digest.update(version(library).encode())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session")
def tiny_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tiny_folder(name, build)`: `build(folder)` once for all workers and runs, until a source changes.

    Importing torch costs ten seconds: tests that only need a bundle should not pay for it each time.
    """
    cache = getattr(request.config, "cache", None)
    root = cache.mkdir("tiny-models") / _sources_digest() if cache else tmp_path_factory.mktemp("tiny-models")
    root.mkdir(parents=True, exist_ok=True)

    def folder(name: str, build: Callable[[Path], Path]) -> Path:
        final = root / name
        if not final.exists():
            scratch = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root))
            built = build(scratch / name)
            try:
                os.rename(built, final)
            except OSError:
                if not final.exists():
                    raise
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        return final

    return folder


def _checkpoint_fixture(name: str) -> Any:
    @pytest.fixture(scope="session", name=f"tiny_{name.replace('-', '_')}_checkpoint")
    def fixture(tiny_folder: Callable[..., Path]) -> Path:
        return tiny_folder(f"checkpoint-{name}", CHECKPOINTS[name])

    return fixture


def _bundle_fixture(name: str) -> Any:
    @pytest.fixture(scope="session", name=f"tiny_{name.replace('-', '_')}_bundle")
    def fixture(tiny_folder: Callable[..., Path]) -> Path:
        source = BUNDLES[name]

        def build(folder: Path) -> Path:
            return build_tiny_bundle(name, tiny_folder(f"checkpoint-{source}", CHECKPOINTS[source]), folder)

        return tiny_folder(f"tiny-{name}", build)

    return fixture


tiny_sparse_checkpoint = _checkpoint_fixture("sparse")
tiny_distilbert_checkpoint = _checkpoint_fixture("distilbert")
tiny_router_checkpoint = _checkpoint_fixture("router")
tiny_roberta_checkpoint = _checkpoint_fixture("roberta")
tiny_cross_encoder_checkpoint = _checkpoint_fixture("cross-encoder")
tiny_distilbert_cross_encoder_checkpoint = _checkpoint_fixture("distilbert-cross-encoder")
tiny_xlm_roberta_cross_encoder_checkpoint = _checkpoint_fixture("xlm-roberta-cross-encoder")
tiny_own_terms_checkpoint = _checkpoint_fixture("own-terms")

tiny_sparse_bundle = _bundle_fixture("sparse")
tiny_idf_bundle = _bundle_fixture("idf")
tiny_cross_encoder_bundle = _bundle_fixture("cross-encoder")
tiny_own_terms_bundle = _bundle_fixture("own-terms")
