"""Exports as a whole: what is written, what is refused, and that nothing half-done stays behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import orjson
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from sidecar.bundle import (
    Activation,
    Bundle,
    Expansion,
    LexicalFloor,
    Pooling,
    PruningRule,
    QueryMode,
    QueryTermFrequency,
    SpecialTokens,
)
from sidecar.domain import ModelKind, PruningType
from sidecar.errors import ExportError, ExportMismatch, ManifestInvalid, UnsupportedCheckpoint
from sidecar.export import ExportOptions, export_checkpoint
from sidecar.export import exporting as exporting_module


@pytest.fixture
def checkpoint(tiny_sparse_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(tiny_sparse_checkpoint, tmp_path / "checkpoint"))


def edit_config(folder: Path, **entries: object) -> None:
    config = orjson.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_bytes(orjson.dumps({**config, **entries}))


def siblings(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


def test_the_manifest_says_what_was_exported(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "README.md").write_text("---\nlicense: apache-2.0\nbase_model:\n- some/base\n---\n# Card\n")
    report = export_checkpoint(checkpoint, tmp_path / "out")
    manifest = Bundle.open(tmp_path / "out").manifest
    assert manifest == report.manifest
    assert (manifest.name, manifest.license, manifest.base_model) == ("checkpoint", "apache-2.0", "some/base")
    assert manifest.kind is ModelKind.SPARSE_ENCODER
    assert (manifest.pooling, manifest.activation) == (Pooling.MAX, Activation.LOG1P_RELU)
    assert (manifest.expansion, manifest.query_mode) == (Expansion.VOCABULARY, QueryMode.NEURAL)
    assert manifest.special_tokens is SpecialTokens.DROP_ALL
    assert manifest.document_pruning == PruningRule(type=PruningType.MAX_RATIO, value=0.1)
    assert manifest.max_tokens == 128
    assert manifest.observed_max_weight == pytest.approx(report.fp32.largest_weight, abs=1e-6)
    assert set(manifest.files) == {"model.onnx", "tokenizer.json", "README.md"}
    assert (tmp_path / "out" / "README.md").read_text().endswith("# Card\n")
    assert report.largest_difference < 1e-4
    assert report.graph_bytes < report.bundle_bytes
    assert siblings(tmp_path / "out") == ["checkpoint", "out"]


def test_options_override_the_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    options = ExportOptions(
        name="mine",
        license="MIT",
        source="a recipe",
        base_model="b",
        pooling=Pooling.SUM,
        activation=Activation.LOG1P_LOG1P_RELU,
        query_weights={"weather": 3.0, "rain": -1.0, "[CLS]": 9.0, "not-a-term": 1.0},
        missing_idf=0.5,
        query_term_frequency=QueryTermFrequency.SQUARE_ROOT,
        special_tokens=SpecialTokens.KEEP,
        document_pruning=PruningRule(type=PruningType.TOP_K, value=50),
        max_tokens=64,
        query_max_tokens=32,
        observed_max_weight=7.5,
        model_card="# Mine\n",
    )
    manifest = export_checkpoint(checkpoint, tmp_path / "out", options).manifest
    assert (manifest.name, manifest.license, manifest.source, manifest.base_model) == ("mine", "MIT", "a recipe", "b")
    assert (manifest.pooling, manifest.activation) == (Pooling.SUM, Activation.LOG1P_LOG1P_RELU)
    assert (manifest.query_mode, manifest.missing_idf) == (QueryMode.IDF, 0.5)
    assert manifest.query_term_frequency is QueryTermFrequency.SQUARE_ROOT
    assert (manifest.special_tokens, manifest.observed_max_weight) == (SpecialTokens.KEEP, 7.5)
    assert (manifest.max_tokens, manifest.query_max_tokens) == (64, 32)
    assert manifest.document_pruning == options.document_pruning
    assert orjson.loads((tmp_path / "out" / "query_weights.json").read_bytes()) == {"rain": 0.0, "weather": 3.0}
    assert (tmp_path / "out" / "README.md").read_text() == "# Mine\n"


def test_as_many_terms_are_kept_as_the_checkpoint_keeps(checkpoint: Path, tmp_path: Path) -> None:
    """What sentence-transformers' SparseEncoder leaves of a vector, a bundle leaves of it: on both sides."""
    (checkpoint / "config_sentence_transformers.json").write_bytes(b'{"max_active_dims": 64}')
    manifest = export_checkpoint(checkpoint, tmp_path / "out").manifest
    heaviest = PruningRule(type=PruningType.TOP_K, value=64)
    assert (manifest.document_pruning, manifest.query_pruning) == (heaviest, heaviest)
    own = ExportOptions(document_pruning=PruningRule())
    manifest = export_checkpoint(checkpoint, tmp_path / "other", own).manifest
    assert (manifest.document_pruning, manifest.query_pruning) == (PruningRule(), heaviest)


def test_the_tokenizer_neither_cuts_nor_pads(checkpoint: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(checkpoint / "tokenizer.json"))
    export_checkpoint(checkpoint, tmp_path / "out")
    written = orjson.loads((tmp_path / "out" / "tokenizer.json").read_bytes())
    assert written["truncation"] is None
    assert written["padding"] is None


def test_a_tokenizer_is_built_from_the_vocabulary_file(checkpoint: Path, tmp_path: Path) -> None:
    from tests.support.vocabulary import TINY_VOCABULARY

    (checkpoint / "tokenizer.json").unlink()
    (checkpoint / "vocab.txt").write_text("\n".join(TINY_VOCABULARY) + "\n", encoding="utf-8")
    (checkpoint / "tokenizer_config.json").write_bytes(
        orjson.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 96})
    )
    manifest = export_checkpoint(checkpoint, tmp_path / "out").manifest
    tokenizer = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    assert tokenizer.encode("The Weather.").tokens == ["[CLS]", "the", "weather", ".", "[SEP]"]
    assert manifest.max_tokens == 96


@pytest.mark.parametrize("missing", ["tokenizer.json", "model.safetensors", "config.json"])
def test_an_incomplete_folder_is_named(checkpoint: Path, tmp_path: Path, missing: str) -> None:
    (checkpoint / missing).unlink()
    with pytest.raises(UnsupportedCheckpoint, match=r"tokenizer|weights|config\.json"):
        export_checkpoint(checkpoint, tmp_path / "out")
    assert siblings(tmp_path / "out") == ["checkpoint"]


def test_a_graph_that_differs_is_never_delivered(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights change between the moment the graph is built and the moment it is checked."""
    real = exporting_module.make_samples

    def tampered(*arguments: object) -> object:
        state = load_file(checkpoint / "model.safetensors")
        # The head's bias: a quarter of a unit on every logit.
        state["cls.predictions.bias"] = state["cls.predictions.bias"] + np.float32(0.25)
        save_file(state, checkpoint / "model.safetensors", metadata={"format": "pt"})
        return real(*arguments)

    monkeypatch.setattr(exporting_module, "make_samples", tampered)
    original = exporting_module.read_checkpoint

    def eager(folder: Path) -> object:
        # Keeps the tensors of before in memory, as a graph built before would.
        found = original(folder)
        for name, read in list(found.weights._readers.items()):
            value = read()
            found.weights._readers[name] = lambda value=value: value
        return found

    monkeypatch.setattr(exporting_module, "read_checkpoint", eager)
    with pytest.raises(ExportMismatch, match="differs"):
        export_checkpoint(checkpoint, tmp_path / "out")
    assert siblings(tmp_path / "out") == ["checkpoint"]


def test_a_tolerance_below_float32_is_a_mismatch(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportMismatch, match="tolerance"):
        export_checkpoint(checkpoint, tmp_path / "out", ExportOptions(tolerance=1e-12))
    assert siblings(tmp_path / "out") == ["checkpoint"]


def test_an_interrupted_export_leaves_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting_module, "write_bundle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_checkpoint(checkpoint, tmp_path / "out")
    assert siblings(tmp_path / "out") == ["checkpoint"]


def test_an_existing_folder_is_kept_unless_it_may_be_replaced(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("keep")
    with pytest.raises(ExportError, match="exists already"):
        export_checkpoint(checkpoint, tmp_path / "out")
    assert (tmp_path / "out" / "precious").read_text() == "keep"
    (tmp_path / "out" / "manifest.json").write_text("of a bundle")
    export_checkpoint(checkpoint, tmp_path / "out", ExportOptions(replace=True))
    assert not (tmp_path / "out" / "precious").exists()
    Bundle.open(tmp_path / "out")
    assert siblings(tmp_path / "out") == ["checkpoint", "out"]


def test_nothing_but_a_bundle_is_replaced(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (checkpoint, tmp_path, tmp_path / "file"):
        with pytest.raises(ExportError, match=f"{place} is no bundle: it is not replaced"):
            export_checkpoint(checkpoint, place, ExportOptions(replace=True))
    (tmp_path / "manifest.json").write_text("of a bundle that was exported around its checkpoint")
    with pytest.raises(ExportError, match="which would be replaced: name another place"):
        export_checkpoint(checkpoint, tmp_path, ExportOptions(replace=True))
    assert (checkpoint / "model.safetensors").is_file()


@pytest.mark.parametrize("name", ["my encoder", "../up", "", "-dash", "größe", "a" * 129, "line\n"])
def test_a_name_that_no_bundle_has_is_refused_before_anything_is_done(name: str) -> None:
    with pytest.raises(ManifestInvalid, match="can't be a bundle's name"):
        ExportOptions(name=name)


def test_the_same_checkpoint_gives_the_same_fingerprint(checkpoint: Path, tmp_path: Path) -> None:
    first = export_checkpoint(checkpoint, tmp_path / "a").manifest
    second = export_checkpoint(checkpoint, tmp_path / "b").manifest
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": ModelKind.CROSS_ENCODER}, "not a cross-encoder"),
        ({"max_tokens": 129}, "max_tokens"),
        ({"query_max_tokens": 2}, "query_max_tokens"),
        ({"expansion": Expansion.OWN_TERMS}, "head for vocabulary"),
        ({"query_mode": QueryMode.IDF}, "no query weights"),
        ({"query_weights": {"weather": float("nan")}}, "not finite"),
        ({"query_weights": {"nothing": 1.0}}, "No query weight"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    checkpoint: Path, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        export_checkpoint(checkpoint, tmp_path / "out", ExportOptions(**options))


@pytest.mark.parametrize("options", [{"tiles": 0}, {"tolerance": 0.0}, {"tolerance": float("nan")}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ExportError):
        ExportOptions(**options)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"model_type": "new", "architectures": ["NewForMaskedLM"]}, "new model .NewForMaskedLM.*models import"),
        ({"position_embedding_type": "relative_key"}, "relative_key positions"),
        ({"hidden_act": "swiglu"}, "swiglu"),
        ({"num_hidden_layers": "six"}, "num_hidden_layers"),
        ({"num_hidden_layers": 3}, "lacks the tensor bert.encoder.layer.2"),
    ],
)
def test_unknown_architectures_are_named(
    checkpoint: Path, tmp_path: Path, entries: dict[str, object], message: str
) -> None:
    edit_config(checkpoint, **entries)
    with pytest.raises(UnsupportedCheckpoint, match=message):
        export_checkpoint(checkpoint, tmp_path / "out")
    assert siblings(tmp_path / "out") == ["checkpoint"]


def test_a_dense_embedding_model_is_named(tiny_own_terms_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = Path(shutil.copytree(tiny_own_terms_checkpoint, tmp_path / "checkpoint"))
    state = {k: v for k, v in load_file(checkpoint / "model.safetensors").items() if not k.startswith("tok_proj")}
    save_file(state, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnsupportedCheckpoint, match="dense embedding model"):
        export_checkpoint(checkpoint, tmp_path / "out")


def test_what_transformers_cannot_load_is_named(checkpoint: Path, tmp_path: Path) -> None:
    edit_config(checkpoint, intermediate_size=48)
    with pytest.raises(UnsupportedCheckpoint, match="transformers can't load"):
        export_checkpoint(checkpoint, tmp_path / "out")


def test_folds_and_floor_go_into_the_bundle(checkpoint: Path, tmp_path: Path) -> None:
    floor = LexicalFloor(weight=0.5, k1=1.2, average_length=40.0)
    options = ExportOptions(folds={"rainy": "rain", "the": None}, lexical_floor=floor)
    report = export_checkpoint(checkpoint, tmp_path / "out", options)
    bundle = Bundle.open(tmp_path / "out")
    assert orjson.loads(bundle.file("folds.json").read_bytes()) == {"rainy": "rain", "the": None}
    assert bundle.manifest.lexical_floor == floor
    largest = report.fp32.largest_weight + 0.5 * 2.2
    assert bundle.manifest.observed_max_weight == pytest.approx(largest, abs=1e-5)


def test_a_bundle_without_them_keeps_its_fingerprint(checkpoint: Path, tmp_path: Path) -> None:
    """Absent keys do not enter the canonical manifest: bundles of before stay what they were."""
    manifest = export_checkpoint(checkpoint, tmp_path / "out").manifest
    assert b"lexical_floor" not in manifest.canonical()
    assert b"lexical_floor" not in manifest.to_json()
