import time

import pytest

from sidecar.domain import Pruning, PruningType, WindowPolicy, Windows
from sidecar.errors import BundleCorrupt, TextTooLong
from sidecar.inference.query_encoder import TableQueryEncoder, load_query_weights
from sidecar.inference.tokens import TextTokenizer
from tests.unit.inference.graphs import sparse_bundle, term_id

WEIGHTS = {"w1": 2.5, "w2": 0.5, "w3": 0.0, "w4": -1.0, "[SEP]": 9.0, "not in the vocabulary": 4.0}


def encoder(folder, **manifest) -> TableQueryEncoder:
    bundle = sparse_bundle(folder, kind="none", **{"query_weights": WEIGHTS, **manifest})
    return TableQueryEncoder(bundle, TextTokenizer(bundle.file("tokenizer.json")))


def encode(made, text, rule=None, windows=None):
    return made.encode(text, rule or Pruning(), windows or Windows(), return_terms=True)


def test_each_token_once_with_its_weight(tmp_path):
    encoding = encode(encoder(tmp_path), "w1 w2 w1 w1")
    assert encoding.vector.by_term() == {"w1": 2.5, "w2": 0.5}
    assert encoding.vector.term_ids == (term_id("w1"), term_id("w2"))
    assert (encoding.tokens, encoding.windows, encoding.truncated) == (4, 1, False)


def test_the_root_of_how_often_a_term_is_there(tmp_path):
    made = encoder(tmp_path, query_term_frequency="square_root")
    encoding = encode(made, "w2 w1 w2 w2 w2 w9")
    assert encoding.vector.by_term() == {"w1": 2.5, "w2": 1.0, "w9": 1.0}
    assert dict(zip(encoding.vector.terms, encoding.repetition, strict=True)) == {"w1": 1.0, "w2": 2.0, "w9": 1.0}


def test_factors_go_with_the_terms_that_pruning_leaves(tmp_path):
    made = encoder(tmp_path, query_term_frequency="square_root")
    encoding = encode(made, "w9 w9 w9 w9 w1 w2", Pruning(PruningType.TOP_K, 2))
    assert (encoding.vector.by_term(), encoding.repetition) == ({"w1": 2.5, "w9": 2.0}, (1.0, 2.0))


@pytest.mark.parametrize("manifest", [{}, {"query_term_frequency": "presence"}])
def test_nothing_is_repeated_where_presence_counts(tmp_path, manifest):
    assert encode(encoder(tmp_path, **manifest), "w1 w1 w2").repetition == ()


def test_a_query_without_repetition_has_no_factors(tmp_path):
    assert encode(encoder(tmp_path, query_term_frequency="square_root"), "w1 w2").repetition == ()


@pytest.mark.parametrize(("missing", "expected"), [(1.0, {"w9": 1.0}), (0.0, {}), (0.25, {"w9": 0.25})])
def test_a_token_without_idf_gets_what_the_manifest_says(tmp_path, missing, expected):
    """1.0 is the authors' and ml-commons' value, 0 that of sentence-transformers."""
    assert encode(encoder(tmp_path, missing_idf=missing), "w9").vector.by_term() == expected


def test_weights_at_or_below_zero_leave_the_query(tmp_path):
    assert encode(encoder(tmp_path), "w3 w4 w1").vector.by_term() == {"w1": 2.5}
    assert len(encode(encoder(tmp_path), "w3 w4").vector) == 0


def test_special_tokens_never_enter_a_query(tmp_path):
    """Neither those that are added, nor those that are written in the text, nor the unknown token."""
    assert encode(encoder(tmp_path), "w1 [SEP] [CLS] nonsense").vector.by_term() == {"w1": 2.5}


def test_binary_queries(tmp_path):
    made = encoder(tmp_path, query_mode="binary", query_weights=None, missing_idf=None)
    assert encode(made, "w4 w3 w4 [MASK] unknown").vector.by_term() == {"w3": 1.0, "w4": 1.0}


def test_pruning_is_applied(tmp_path):
    made = encoder(tmp_path)
    assert encode(made, "w1 w2", Pruning(PruningType.MAX_RATIO, 0.5)).vector.by_term() == {"w1": 2.5}
    assert encode(made, "w1 w2 w9", Pruning(PruningType.TOP_K, 2)).vector.by_term() == {"w1": 2.5, "w9": 1.0}


def test_long_queries(tmp_path):
    made = encoder(tmp_path, query_max_tokens=6)
    text = "w1 w2 w5 w6 w7 w8"
    cut = encode(made, text)
    assert set(cut.vector.terms) == {"w1", "w2", "w5", "w6"}
    assert (cut.truncated, cut.tokens) == (True, 4)
    whole = encode(made, text, windows=Windows(WindowPolicy.SLIDE))
    assert set(whole.vector.terms) == {"w1", "w2", "w5", "w6", "w7", "w8"}
    assert (whole.truncated, whole.tokens, whole.windows) == (False, 6, 2)
    with pytest.raises(TextTooLong):
        encode(made, text, windows=Windows(WindowPolicy.REFUSE))


def test_a_text_without_tokens_is_an_empty_vector(tmp_path):
    encoding = encode(encoder(tmp_path), "\x01\x02")
    assert (len(encoding.vector), encoding.tokens, encoding.windows) == (0, 0, 0)


def test_terms_only_on_request(tmp_path):
    assert encoder(tmp_path).encode("w1", Pruning(), Windows()).vector.terms == ()


def test_weights_descend_and_ties_go_by_id(tmp_path):
    assert encode(encoder(tmp_path), "w9 w2 w7 w1").vector.terms == ("w1", "w7", "w9", "w2")


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b'{"w1": "2"}', b'{"w1": null}', b'{"w1": true}'])
def test_a_table_that_is_no_table(tmp_path, content):
    bundle = sparse_bundle(tmp_path, kind="none", query_weights=WEIGHTS)
    bundle.file("query_weights.json").write_bytes(content)
    with pytest.raises(BundleCorrupt):
        load_query_weights(bundle, TextTokenizer(bundle.file("tokenizer.json")))


def test_a_query_takes_a_fraction_of_a_millisecond(tmp_path):
    """The design's target is 0.2 ms; the bound here leaves room for a loaded machine."""
    made = encoder(tmp_path, max_tokens=512)
    seconds = []
    for _ in range(300):
        started = time.perf_counter()
        made.encode("w1 w2 w3 w5 w6 w7 w8 w9 w10", Pruning(), Windows())
        seconds.append(time.perf_counter() - started)
    assert sorted(seconds)[len(seconds) // 2] < 0.001
