"""Cross-encoders against sentence-transformers' CrossEncoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from sidecar.bundle import ScoreActivation
from sidecar.domain import ModelKind
from sidecar.errors import UnsupportedCheckpoint
from sidecar.export import ExportOptions, export_checkpoint
from sidecar.export.checkpoint.reading import read_checkpoint
from tests.unit.export.running import TEXTS, Graph

PAIRS = [(query, text) for query in ("weather in new york", "parse the command line of a program") for text in TEXTS]
EXACT = 2e-5


def expected_logits(checkpoint: Path) -> np.ndarray:
    import torch
    from sentence_transformers import CrossEncoder

    return CrossEncoder(str(checkpoint), device="cpu").predict(PAIRS, activation_fn=torch.nn.Identity())


@pytest.mark.parametrize(
    ("name", "types", "activation"),
    [
        ("tiny_cross_encoder_checkpoint", True, ScoreActivation.IDENTITY),
        ("tiny_distilbert_cross_encoder_checkpoint", False, ScoreActivation.SIGMOID),
        ("tiny_xlm_roberta_cross_encoder_checkpoint", False, ScoreActivation.SIGMOID),
    ],
)
def test_logits_equal_sentence_transformers(
    name: str, types: bool, activation: ScoreActivation, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    checkpoint = request.getfixturevalue(name)
    manifest = export_checkpoint(checkpoint, tmp_path / "out").manifest
    graph = Graph(tmp_path / "out")
    assert manifest.kind is ModelKind.CROSS_ENCODER
    assert manifest.score_activation is activation
    assert ("token_type_ids" in graph.inputs) is types
    assert (manifest.graph is not None and manifest.graph.token_type_ids == "token_type_ids") is types
    expected = expected_logits(checkpoint)
    assert expected.std() > 0.1
    given = graph.run(PAIRS)
    assert given.shape == (len(PAIRS), 1)
    np.testing.assert_allclose(given[:, 0], expected, atol=EXACT)
    alone = np.concatenate([graph.run([pair])[:, 0] for pair in PAIRS])
    np.testing.assert_allclose(given[:, 0], alone, atol=EXACT)


def test_padding_of_any_length_and_id_leaves_xlm_roberta_alone(
    tiny_xlm_roberta_cross_encoder_checkpoint: Path, tmp_path: Path
) -> None:
    """Positions count from the mask: the id that pads is the caller's business."""
    export_checkpoint(tiny_xlm_roberta_cross_encoder_checkpoint, tmp_path / "out")
    graph = Graph(tmp_path / "out")
    np.testing.assert_allclose(graph.run(PAIRS, length=120), graph.run(PAIRS), atol=EXACT)


def test_the_second_segment_matters(tiny_cross_encoder_bundle: Path) -> None:
    graph = Graph(tiny_cross_encoder_bundle)
    encoding = graph.tokenizer.encode(*PAIRS[0])
    feeds = {
        "input_ids": np.array([encoding.ids]),
        "attention_mask": np.ones((1, len(encoding.ids)), dtype=np.int64),
        "token_type_ids": np.array([encoding.type_ids]),
    }
    right = graph.session.run(None, feeds)[0]
    feeds["token_type_ids"] = np.zeros_like(feeds["token_type_ids"])
    wrong = graph.session.run(None, feeds)[0]
    assert abs(float(right[0, 0] - wrong[0, 0])) > 1e-3


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}, ScoreActivation.SIGMOID),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, ScoreActivation.IDENTITY),
        ({}, ScoreActivation.SIGMOID),
    ],
)
def test_score_activation_is_read_as_sentence_transformers_reads_it(
    tiny_cross_encoder_checkpoint: Path, tmp_path: Path, entry: dict[str, object], expected: ScoreActivation
) -> None:
    checkpoint = with_config(tiny_cross_encoder_checkpoint, tmp_path / "checkpoint", **entry)
    assert export_checkpoint(checkpoint, tmp_path / "out").manifest.score_activation is expected


def test_the_score_activation_of_sentence_transformers_6_comes_first(
    tiny_cross_encoder_checkpoint: Path, tmp_path: Path
) -> None:
    """Release 6 writes it beside the model's configuration, and reads that before what earlier releases left there."""
    from sentence_transformers import CrossEncoder
    from torch import nn

    older = with_config(
        tiny_cross_encoder_checkpoint, tmp_path / "older", sentence_transformers={"activation_fn": "torch.nn.Sigmoid"}
    )
    saved = tmp_path / "saved"
    CrossEncoder(str(older), device="cpu", activation_fn=nn.Identity()).save_pretrained(str(saved))
    assert type(CrossEncoder(str(saved), device="cpu").activation_fn) is nn.Identity
    assert read_checkpoint(saved).score_activation is ScoreActivation.IDENTITY


@pytest.mark.parametrize(
    ("named", "expected"),
    [("torch.nn.modules.linear.Identity", ScoreActivation.IDENTITY), (None, ScoreActivation.SIGMOID)],
)
def test_the_score_activation_beside_the_configuration(
    tiny_cross_encoder_checkpoint: Path, tmp_path: Path, named: str | None, expected: ScoreActivation
) -> None:
    checkpoint = with_config(tiny_cross_encoder_checkpoint, tmp_path / "c")
    (checkpoint / "config_sentence_transformers.json").write_bytes(orjson.dumps({"activation_fn": named}))
    assert read_checkpoint(checkpoint).score_activation is expected


def test_a_default_prompt_of_a_cross_encoder_is_refused(tiny_cross_encoder_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = with_config(tiny_cross_encoder_checkpoint, tmp_path / "c")
    said = checkpoint / "config_sentence_transformers.json"
    said.write_bytes(orjson.dumps({"prompts": {"query": "rank: "}}))
    assert read_checkpoint(checkpoint).kind is ModelKind.CROSS_ENCODER
    said.write_bytes(orjson.dumps({"prompts": {"query": "rank: "}, "default_prompt_name": "query"}))
    with pytest.raises(UnsupportedCheckpoint, match=r"puts a prompt \(query\)"):
        read_checkpoint(checkpoint)


def test_an_unknown_score_activation_is_refused(tiny_cross_encoder_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = with_config(
        tiny_cross_encoder_checkpoint, tmp_path / "c", sentence_transformers={"activation_fn": "torch.nn.Softplus"}
    )
    with pytest.raises(UnsupportedCheckpoint, match="Softplus"):
        export_checkpoint(checkpoint, tmp_path / "out")


def test_several_labels_are_refused(tiny_cross_encoder_checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    checkpoint = with_config(tiny_cross_encoder_checkpoint, tmp_path / "c")
    state = load_file(checkpoint / "model.safetensors")
    state["classifier.weight"] = np.repeat(state["classifier.weight"], 3, axis=0)
    state["classifier.bias"] = np.repeat(state["classifier.bias"], 3)
    save_file(state, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnsupportedCheckpoint, match="3 labels"):
        export_checkpoint(checkpoint, tmp_path / "out", ExportOptions())


def with_config(source: Path, folder: Path, **entries: object) -> Path:
    """Copy a checkpoint; its `sentence_transformers` section is replaced by `entries`."""
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = orjson.loads((folder / "config.json").read_bytes())
    config.pop("sentence_transformers", None)
    (folder / "config.json").write_bytes(orjson.dumps({**config, **entries}))
    return folder
