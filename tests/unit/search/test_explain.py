"""Reading the cluster's explanations."""

from __future__ import annotations

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
        Contribution("lexical", "wolf", 5.5),
        Contribution("sparse", "wolf", 3.0),
        Contribution("sparse", "##s", 1.0),
    )


def test_synonyms_count_as_one_share() -> None:
    tree = _node(2.0, "weight(Synonym(content:lorry content:truck) in 3) [PerFieldSimilarity], result of:")
    assert contributions(tree, FINGERPRINT) == (Contribution("lexical", "lorry truck", 2.0),)


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
