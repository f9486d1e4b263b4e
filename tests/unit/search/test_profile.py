"""Profiles: what is accepted, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from sidecar.domain import Pruning, PruningType
from sidecar.errors import ProfileInvalid
from sidecar.search.builtin import BUILT_IN, load_profile
from sidecar.search.fusion import LinearFusion, ReciprocalRankFusion
from sidecar.search.normalization import Normalization
from sidecar.search.profile import Profile, read_profile

YAML = """\
name: products
retrievers:
  - {kind: lexical, weight: 0.4}
  - {kind: sparse, weight: 0.6, pruning: {type: top_k, value: 64}}
fusion: {method: rrf, rank_constant: 20}
candidates: 150
rerank: {depth: 50, weight: 0.8, cut_off: -2}
encode_timeout: 0.5
timeout: 4
"""


def test_reads_yaml(tmp_path: Path) -> None:
    path = tmp_path / "products.yaml"
    path.write_text(YAML)
    profile = load_profile(path)
    assert profile == read_profile(path)
    assert profile.fusion == ReciprocalRankFusion(rank_constant=20)
    assert profile.lexical is not None
    assert profile.lexical.weight == 0.4
    assert profile.sparse is not None
    assert profile.sparse.pruning is not None
    assert profile.sparse.pruning.to_domain() == Pruning(PruningType.TOP_K, 64)
    assert profile.rerank is not None
    assert (profile.rerank.depth, profile.rerank.weight, profile.rerank.cut_off) == (50, 0.8, -2.0)


def test_a_profile_survives_a_round_trip() -> None:
    for profile in BUILT_IN.values():
        assert Profile.parse(profile.model_dump(mode="json")) == profile


def test_the_built_in_names() -> None:
    assert set(BUILT_IN) == {
        name + suffix for name in ("lexical", "sparse", "hybrid", "hybrid-rrf") for suffix in ("", "+rerank")
    }
    for name, profile in BUILT_IN.items():
        assert profile.name == name
        assert (profile.rerank is not None) == name.endswith("+rerank")
        assert load_profile(name) is profile


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        BUILT_IN["hybrid"].candidates = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"name": "x", "retrievers": [{"kind": "lexical"}], "fusoin": {}}, "fusoin"),
        ({"name": "x", "retrievers": [{"kind": "lexical", "boost": 1}]}, "boost"),
        ({"name": "x", "retrievers": [{"kind": "dense"}]}, "retrievers"),
        ({"name": "x", "retrievers": []}, "retrievers"),
        ({"name": "x", "retrievers": [{"kind": "sparse"}, {"kind": "sparse"}]}, "profile"),
        ({"name": "x", "retrievers": [{"kind": "sparse", "weight": 0}]}, "weight"),
        ({"name": "x", "retrievers": [{"kind": "sparse", "weight": float("nan")}]}, "weight"),
        ({"name": "x", "retrievers": [{"kind": "sparse", "pruning": {"type": "max_ratio", "value": -1}}]}, "pruning"),
        (
            {"name": "x", "retrievers": [{"kind": "sparse", "pruning": {"type": "top_k", "value": float("inf")}}]},
            "prun",
        ),
        ({"name": "x", "retrievers": [{"kind": "sparse"}], "fusion": {"method": "borda"}}, "fusion"),
        ({"name": "x", "retrievers": [{"kind": "sparse"}], "candidates": 10, "rerank": {"depth": 20}}, "profile"),
        ({"name": "x", "retrievers": [{"kind": "sparse"}], "rerank": {"weight": 2}}, "rerank.weight"),
        ({"name": "", "retrievers": [{"kind": "sparse"}]}, "name"),
        (["not", "a", "mapping"], "profile"),
        (None, "profile"),
    ],
)
def test_a_wrong_profile_names_what_is_wrong(data, where) -> None:
    with pytest.raises(ProfileInvalid) as caught:
        Profile.parse(data)
    assert where in str(caught.value)


def test_files_that_are_no_profiles(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("name: [")
    with pytest.raises(ProfileInvalid, match="no valid YAML"):
        load_profile(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProfileInvalid, match="can't be read"):
        load_profile(path)
    with pytest.raises(ProfileInvalid, match="Built-in profiles: lexical"):
        load_profile("hybird")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [\nfoo: 3", "is no valid YAML at line 2, column 7: expected ',' or ']', but got '<stream end>'."),
        ("name: x\n\tretrievers: 3", "is no valid YAML at line 2, column 1: found character '\\t'"),
        ("name: \x01", "is no valid YAML at character 7: "),
        ("name: 2001-99-99", "is no valid YAML at line 1, column 7: the value is no timestamp."),
        ("name: x\ncandidates: !!int zz", "is no valid YAML at line 2, column 13: the value is no int."),
        ("name: !!timestamp foo", "is no valid YAML at line 1, column 7: the value is no timestamp."),
        ("name: x\ncount_hits: !!bool zz", "is no valid YAML at line 2, column 13: the value is no bool."),
        ("name: !!int ''", "is no valid YAML at line 1, column 7: the value is no int."),
        ("name: x\nretrievers: &a [*a]", "is no valid YAML."),
        ("name: x\nretrievers: " + "[" * 3_000 + "]" * 3_000, "is no valid YAML."),
        ("", "is empty: it needs `name` and `retrievers`."),
        ("# nothing yet\n", "is empty: it needs `name` and `retrievers`."),
        ("name: x\nretrivers: []\n", "is invalid at retrivers: unknown key (did you mean `retrievers`?)."),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name_and_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ProfileInvalid) as caught:
        load_profile(path)
    assert caught.value.message.startswith(f"The profile {path} {said}")


def test_all_that_is_wrong_is_said_at_once() -> None:
    retrievers = [{"kind": "lexical", "weigth": 3}, {"kind": "sparse", "weight": -1}]
    with pytest.raises(ProfileInvalid) as caught:
        Profile.parse({"name": "x", "retrievers": retrievers, "rerank": {"depht": 3}})
    assert caught.value.message == (
        "The profile is invalid at retrievers.0.weigth: unknown key (did you mean `weight`?);"
        " at rerank.depht: unknown key (did you mean `depth`?); at retrievers.1.weight: must be greater than 0."
    )
    assert caught.value.field == "retrievers.0.weigth"
    with pytest.raises(ProfileInvalid, match=r"at key_9: unknown key; and 5 more\.$"):
        Profile.parse({"name": "x", "retrievers": [{"kind": "sparse"}], **{f"key_{n}": n for n in range(15)}})


def test_a_fusion_without_a_method_is_linear() -> None:
    base = {"name": "x", "retrievers": [{"kind": "lexical"}, {"kind": "sparse"}]}
    assert Profile.parse({**base, "fusion": {"normalization": "max"}}).fusion == LinearFusion(
        normalization=Normalization.MAX
    )
    assert Profile.parse({**base, "fusion": {}}).fusion == LinearFusion()
    assert Profile(**base, fusion=ReciprocalRankFusion()).fusion == ReciprocalRankFusion()
    for fusion, said in (
        ({"method": "borda"}, "fusion: `method` must be one of 'linear', 'rrf'"),
        ({"rank_constant": 3}, "fusion.rank_constant: unknown key"),
        ({"method": "rrf", "rank_constant": 0}, "fusion.rank_constant: must be greater than or equal to 1"),
        ("linear", "fusion: must be a mapping"),
    ):
        with pytest.raises(ProfileInvalid, match=said):
            Profile.parse({**base, "fusion": fusion})


def test_only_an_unnormalised_sum_is_left_to_the_cluster() -> None:
    base = BUILT_IN["hybrid"]
    unscaled = LinearFusion(normalization=Normalization.NONE)
    assert not base.model_copy(update={"fusion": LinearFusion()}).summed_in_cluster
    assert base.model_copy(update={"fusion": unscaled}).summed_in_cluster
    assert not BUILT_IN["sparse"].model_copy(update={"fusion": unscaled}).summed_in_cluster


@pytest.mark.parametrize(
    ("pruning", "says"),
    [({"type": "max_ratio"}, "max_ratio needs a value"), ({"value": 0.3}, "a value needs its type: one of none, ")],
)
def test_half_a_rule_of_pruning_is_none(pruning: dict[str, object], says: str) -> None:
    with pytest.raises(ProfileInvalid, match=says) as caught:
        Profile.parse({"name": "x", "retrievers": [{"kind": "sparse", "pruning": pruning}]})
    assert caught.value.field == "retrievers.0.pruning"
    for whole in ({}, {"type": "none"}, {"type": "none", "value": 0.0}, {"type": "max_ratio", "value": 0.0}):
        Profile.parse({"name": "x", "retrievers": [{"kind": "sparse", "pruning": whole}]})


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"candidates": True}, "candidates"),
        ({"rerank": {"depth": True}}, "rerank.depth"),
        ({"rerank": {"depth": 9, "calibrated": True, "stop_early": True}}, "rerank.stop_early"),
        ({"retrievers": ({"kind": "sparse", "feedback": {"documents": True}},)}, "retrievers.0.feedback.documents"),
    ],
)
def test_true_is_not_one(data: dict[str, object], where: str) -> None:
    with pytest.raises(ProfileInvalid) as caught:
        Profile.parse({"name": "x", "retrievers": [{"kind": "sparse"}], **data})
    assert caught.value.message == f"The profile is invalid at {where}: must be a number."
    assert caught.value.field == where


def test_what_is_true_or_false_may_be_so() -> None:
    rerank = {"depth": 9, "calibrated": True}
    profile = Profile.parse({"name": "x", "retrievers": [{"kind": "sparse"}], "rerank": rerank, "count_hits": False})
    assert profile.rerank is not None
    assert (profile.rerank.calibrated, profile.count_hits) == (True, False)


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("name: x\nretrievers: [{kind: sparse}]\nname: y\n", "name", 3),
        ("name: x\nretrievers:\n  - kind: sparse\n    weight: 1\n    weight: 2\n", "weight", 5),
        ("name: x\nretrievers: [{kind: sparse}]\nrerank: {depth: 5, depth: 6}\n", "depth", 3),
    ],
)
def test_a_key_that_stands_there_twice_is_no_choice(tmp_path: Path, text: str, key: str, line: int) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ProfileInvalid) as caught:
        load_profile(path)
    assert caught.value.message == f"The profile {path} names {key} twice; the second time in line {line}."


def test_anchors_are_no_repetition(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: x\nretrievers:\n  - {kind: lexical, weight: &one 0.5}\n  - {kind: sparse, weight: *one}\n")
    assert [retriever.weight for retriever in load_profile(path).retrievers] == [0.5, 0.5]
