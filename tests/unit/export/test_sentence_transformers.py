"""What sentence-transformers says beside the model: prompts, similarity, terms kept, case."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from sidecar.errors import UnsupportedCheckpoint
from sidecar.export.checkpoint import Head, read_checkpoint


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"prompts": {"query": "search: ", "document": ""}}, "query"),
        ({"prompts": {"passage": "passage: "}}, "passage"),
        ({"prompts": {"own": "words: "}, "default_prompt_name": "own"}, "own"),
    ],
)
def test_prompts_that_a_bundle_would_leave_out_are_refused(checkpoint: Path, said: object, named: str) -> None:
    (checkpoint / "config_sentence_transformers.json").write_bytes(orjson.dumps(said))
    with pytest.raises(UnsupportedCheckpoint, match=rf"puts a prompt \({named}\) before texts.*before your texts"):
        read_checkpoint(checkpoint)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"prompts": {"query": "", "document": ""}, "default_prompt_name": None},
        {"prompts": {"clustering": "nobody asks for it: "}},
    ],
)
def test_prompts_that_nobody_gets_are_not(checkpoint: Path, said: object) -> None:
    (checkpoint / "config_sentence_transformers.json").write_bytes(orjson.dumps(said))
    assert read_checkpoint(checkpoint).head is Head.MASKED_LM


@pytest.mark.parametrize("said", [{}, {"similarity_fn_name": None}, {"similarity_fn_name": "dot"}])
def test_vectors_that_an_index_compares_as_the_model_does(checkpoint: Path, said: object) -> None:
    (checkpoint / "config_sentence_transformers.json").write_bytes(orjson.dumps(said))
    assert read_checkpoint(checkpoint).active_terms is None


@pytest.mark.parametrize("named", ["cosine", "euclidean", "manhattan", "of a later release", 7])
def test_vectors_that_are_compared_otherwise_are_refused(checkpoint: Path, named: object) -> None:
    (checkpoint / "config_sentence_transformers.json").write_bytes(orjson.dumps({"similarity_fn_name": named}))
    with pytest.raises(UnsupportedCheckpoint, match=rf"compares vectors by {named}, and an index scores by the dot"):
        read_checkpoint(checkpoint)


def test_how_many_terms_a_vector_keeps(checkpoint: Path) -> None:
    (checkpoint / "config_sentence_transformers.json").write_bytes(b'{"max_active_dims": 64}')
    assert read_checkpoint(checkpoint).active_terms == 64


@pytest.mark.parametrize("kept", [0, -1, 1.5, True, "64"])
def test_a_number_of_terms_that_is_none_is_named(checkpoint: Path, kept: object) -> None:
    (checkpoint / "config_sentence_transformers.json").write_bytes(orjson.dumps({"max_active_dims": kept}))
    with pytest.raises(UnsupportedCheckpoint, match="no whole number above 0 under max_active_dims"):
        read_checkpoint(checkpoint)


@pytest.mark.parametrize(("asked", "expected"), [(True, ["rain", "new"]), (False, ["[UNK]", "[UNK]"])])
def test_texts_are_lowercased_where_sentence_transformers_does_it(
    checkpoint: Path, asked: bool, expected: list[str]
) -> None:
    cased = orjson.loads((checkpoint / "tokenizer.json").read_bytes())
    cased["normalizer"] = None
    (checkpoint / "tokenizer.json").write_bytes(orjson.dumps(cased))
    (checkpoint / "sentence_bert_config.json").write_bytes(orjson.dumps({"do_lower_case": asked}))
    tokenizer = read_checkpoint(checkpoint).tokenizer
    assert tokenizer.encode("RAIN NEW", add_special_tokens=False).tokens == expected


def test_a_tokenizer_that_lowercases_is_left_alone(checkpoint: Path) -> None:
    before = read_checkpoint(checkpoint).tokenizer.to_str()
    (checkpoint / "sentence_bert_config.json").write_bytes(b'{"do_lower_case": true}')
    assert read_checkpoint(checkpoint).tokenizer.to_str() == before
