"""Reading the cluster's explanations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.search.explain import contributions
from sidecar.search.result import Contribution

FINGERPRINT = "0123456789abcdef" + "0" * 48


def _node(value: float, description: str, *details) -> dict:
    return {"value": value, "description": description, "details": list(details)}


def _linear(term: str, value: float) -> dict:
    return _node(value, f"Linear function on the splade field for the {term} feature, computed as w * S from:")


def test_terms_of_both_kinds_are_found_at_any_depth() -> None:
    tree = _node(
        9.5,
        "sum of:",
        _node(5.5, "weight(content:wolf in 12) [PerFieldSimilarity], result of:", _node(5.5, "score(freq=1.0), …")),
        _node(4.0, "sum of:", _linear("wolf", 3.0), _linear("##s", 1.0)),
    )
    assert contributions(tree, FINGERPRINT) == (
        Contribution("lexical", "wolf", 5.5, "content"),
        Contribution("sparse", "wolf", 3.0),
        Contribution("sparse", "##s", 1.0),
    )


def test_synonyms_count_as_one_share() -> None:
    tree = _node(2.0, "weight(Synonym(content:lorry content:truck) in 3) [PerFieldSimilarity], result of:")
    assert contributions(tree, FINGERPRINT) == (Contribution("lexical", "lorry truck", 2.0, "content"),)


def test_escaped_features_are_shown_as_terms() -> None:
    tree = _node(3.0, "sum of:", _linear("u%2Es%2E", 2.0), _linear("100%25", 1.0))
    assert [share.term for share in contributions(tree, FINGERPRINT)] == ["u.s.", "100%"]


def test_filters_and_the_sentinel_are_no_reasons() -> None:
    sentinel = _linear(f"_splade_{FINGERPRINT[:16]}", 1.0)
    tree = _node(
        2.0,
        "sum of:",
        _linear("wolf", 2.0),
        sentinel,
        _node(0.0, "match on required clause, product of:", _linear("river", 5.0)),
    )
    assert [share.term for share in contributions(tree, FINGERPRINT)] == ["wolf"]


def test_what_is_no_explanation_has_no_terms() -> None:
    for tree in (None, "text", [], {}, {"value": "NaN"}, {"value": 1.0, "description": "sum of:", "details": None}):
        assert contributions(tree, FINGERPRINT) == ()


def _word(field: str, words: str, value: float) -> dict:
    return _node(value, f"weight({field}:{words} in 7) [PerFieldSimilarity], result of:", _node(value, "score(…)"))


def test_of_several_fields_the_best_counts_whole_and_the_others_by_the_tie_breaker() -> None:
    words = (_word("title", "wolf", 6.0), _word("body.english", "wolf", 2.0), _word("tags", "wolf", 6.0))
    assert contributions(_node(6.0, "max of:", *words), FINGERPRINT) == (Contribution("lexical", "wolf", 6.0, "title"),)
    assert contributions(_node(8.0, "max plus 0.25 times others of:", *words), FINGERPRINT) == (
        Contribution("lexical", "wolf", 6.0, "title"),
        Contribution("lexical", "wolf", 1.5, "tags"),
        Contribution("lexical", "wolf", 0.5, "body.english"),
    )


def test_a_tie_breaker_may_be_tiny() -> None:
    tree = _node(2.0, "max plus 1.0E-5 times others of:", _word("title", "wolf", 2.0), _word("text", "wolf", 1.0))
    assert [share.value for share in contributions(tree, FINGERPRINT)] == [2.0, pytest.approx(1e-5)]


def test_a_phrase_and_a_keyword_are_one_share_with_all_their_words() -> None:
    tree = _node(5.0, "sum of:", _word("title", '"red fox"', 3.0), _word("tags", "Red: fox", 2.0))
    assert [(share.term, share.field) for share in contributions(tree, FINGERPRINT)] == [
        ('"red fox"', "title"),
        ("Red: fox", "tags"),
    ]


@pytest.mark.parametrize(
    ("description", "term", "field"),
    [
        ("ConstantScore(tags:wolf)", "wolf", "tags"),
        ("ConstantScore(tags:red fox)^3.0", "red fox", "tags"),
        ("ConstantScore(maker.name:fox)^1.0E-4", "fox", "maker.name"),
        (
            'SourceFieldMatchQuery (delegate query: [ #body:red #body:fox ], filter query: [ body:"red fox"])^2.0',
            '"red fox"',
            "body",
        ),
    ],
)
def test_words_of_fields_without_statistics_are_reasons_too(description: str, term: str, field: str) -> None:
    assert contributions(_node(3.0, description), FINGERPRINT) == (Contribution("lexical", term, 3.0, field),)


def test_what_matches_all_is_no_word() -> None:
    assert contributions(_node(1.0, "ConstantScore(*:*)"), FINGERPRINT) == ()


LEAVES = st.builds(
    _word, st.sampled_from(["title", "text"]), st.sampled_from(["wolf", "fox"]), st.floats(0.125, 64.0, width=32)
)


def _joined(parts: list[dict], tie: float | None) -> dict:
    values = [part["value"] for part in parts]
    if tie is None:
        return _node(sum(values), "sum of:", *parts)
    best = f"max plus {tie} times others of:" if tie else "max of:"
    return _node(max(values) + tie * (sum(values) - max(values)), best, *parts)


@given(
    st.recursive(
        LEAVES,
        lambda inner: st.builds(
            _joined, st.lists(inner, min_size=1, max_size=4), st.sampled_from([None, 0.0, 0.3, 1.0, 1e-05])
        ),
        max_leaves=20,
    )
)
def test_shares_add_up_to_the_score(tree: dict) -> None:
    assert sum(share.value for share in contributions(tree, FINGERPRINT)) == pytest.approx(tree["value"], rel=1e-9)
