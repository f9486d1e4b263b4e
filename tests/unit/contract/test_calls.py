"""Requests survive the wire, and what a foreign client may send is read or refused as the contract says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.contract.calls import (
    EncodeCall,
    RerankCall,
    pruning_from_proto,
    pruning_to_proto,
    read_encode_request,
    read_rerank_request,
    write_encode_request,
    write_rerank_request,
)
from sidecar.domain import Lane, Pruning, PruningType, Side, WindowPolicy, Windows
from sidecar.errors import InvalidInput, InvalidPruning, MalformedText
from sidecar.v1 import sidecar_pb2 as pb

texts = st.text(st.characters(exclude_categories=["Cs"]))
names = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
ratios = st.integers(0, 999).map(lambda thousandths: thousandths / 1000)
prunings = st.one_of(
    st.just(Pruning()),
    ratios.map(lambda value: Pruning(PruningType.MAX_RATIO, value)),
    ratios.map(lambda value: Pruning(PruningType.ALPHA_MASS, value)),
    st.integers(1, 9_999).map(lambda value: Pruning(PruningType.ABS_VALUE, value / 100)),
    st.integers(1, 30_000).map(lambda value: Pruning(PruningType.TOP_K, value)),
)
windows = st.builds(
    Windows, st.sampled_from(WindowPolicy), st.integers(0, 2**32 - 1), st.integers(min_value=1, max_value=2**32 - 1)
)


@given(
    st.builds(
        EncodeCall,
        st.lists(texts, max_size=5).map(tuple),
        st.sampled_from(Side),
        names,
        st.none() | prunings,
        windows,
        st.sampled_from([Lane.INTERACTIVE, Lane.BULK]),
        st.booleans(),
        names,
    )
)
def test_encode_calls_survive_the_wire(call: EncodeCall) -> None:
    sent = write_encode_request(call).SerializeToString()
    assert read_encode_request(pb.EncodeRequest.FromString(sent)) == call


@given(
    st.builds(
        RerankCall,
        texts,
        st.lists(texts, max_size=5).map(tuple),
        names,
        windows,
        st.sampled_from([Lane.RERANK, Lane.BULK]),
        names,
    )
)
def test_rerank_calls_survive_the_wire(call: RerankCall) -> None:
    sent = write_rerank_request(call).SerializeToString()
    assert read_rerank_request(pb.RerankRequest.FromString(sent)) == call


def test_an_empty_message_means_the_documented_defaults() -> None:
    assert read_encode_request(pb.EncodeRequest(texts=["a"])) == EncodeCall(
        ("a",), Side.DOCUMENT, None, None, Windows(WindowPolicy.TRUNCATE, 0, 32), Lane.INTERACTIVE, False, None
    )
    assert read_rerank_request(pb.RerankRequest(query="q", documents=["a"])) == RerankCall(
        "q", ("a",), None, Windows(WindowPolicy.TRUNCATE, 0, 32), Lane.RERANK, None
    )


def test_an_unspecified_lane_is_bulk_in_a_stream_and_a_given_one_stands() -> None:
    assert read_encode_request(pb.EncodeRequest(), default_lane=Lane.BULK).lane is Lane.BULK
    given_lane = pb.EncodeRequest(lane=pb.LANE_INTERACTIVE)
    assert read_encode_request(given_lane, default_lane=Lane.BULK).lane is Lane.INTERACTIVE


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (pb.EncodeRequest(side=9), "side"),
        (pb.EncodeRequest(lane=9), "lane"),
        (pb.EncodeRequest(windows=pb.Windows(policy=9)), "windows.policy"),
        (pb.EncodeRequest(pruning=pb.Pruning(type=9, value=0.1)), "pruning.type"),
    ],
)
def test_enum_numbers_of_the_future_are_refused_by_name(message: pb.EncodeRequest, field: str) -> None:
    sent = pb.EncodeRequest.FromString(message.SerializeToString())
    with pytest.raises(InvalidInput) as raised:
        read_encode_request(sent)
    assert raised.value.field == field
    assert "9" in raised.value.message


@pytest.mark.parametrize(
    "rule",
    [
        pb.Pruning(type=pb.Pruning.TYPE_MAX_RATIO, value=math.nan),
        pb.Pruning(type=pb.Pruning.TYPE_MAX_RATIO, value=-0.1),
        pb.Pruning(type=pb.Pruning.TYPE_MAX_RATIO, value=1.0),
        pb.Pruning(type=pb.Pruning.TYPE_ALPHA_MASS, value=math.inf),
        pb.Pruning(type=pb.Pruning.TYPE_ABS_VALUE, value=0.0),
        pb.Pruning(type=pb.Pruning.TYPE_TOP_K, value=1.5),
        pb.Pruning(type=pb.Pruning.TYPE_TOP_K, value=-3),
        pb.Pruning(type=pb.Pruning.TYPE_NONE, value=math.nan),
        pb.Pruning(value=0.1),
    ],
)
def test_pruning_out_of_range_is_refused(rule: pb.Pruning) -> None:
    with pytest.raises(InvalidPruning) as raised:
        read_encode_request(pb.EncodeRequest(texts=["a"], pruning=rule))
    assert (raised.value.field or "").startswith("pruning.")


def test_unspecified_pruning_is_the_models_default() -> None:
    assert pruning_from_proto(pb.Pruning()) is None
    assert read_encode_request(pb.EncodeRequest(pruning=pb.Pruning())).pruning is None


@given(prunings)
def test_a_pruning_value_means_the_same_number_through_every_transport(rule: Pruning) -> None:
    assert pruning_from_proto(pruning_to_proto(rule)) == rule


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (EncodeCall(("fine", "broken \ud800")), "texts[1]"),
        (EncodeCall(("fine",), model="\udfff"), "model"),
        (EncodeCall(("fine",), expected_fingerprint="\udfff"), "expected_fingerprint"),
    ],
)
def test_a_lone_surrogate_is_named_before_anything_is_sent(call: EncodeCall, field: str) -> None:
    with pytest.raises(MalformedText) as raised:
        write_encode_request(call)
    assert raised.value.field == field
    assert "broken" not in raised.value.message


def test_a_lone_surrogate_in_a_rerank_call_is_named() -> None:
    with pytest.raises(MalformedText) as raised:
        write_rerank_request(RerankCall("\ud800", ("a",)))
    assert raised.value.field == "query"
    with pytest.raises(MalformedText) as raised:
        write_rerank_request(RerankCall("q", ("a", "b", "\ud800")))
    assert raised.value.field == "documents[2]"


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (EncodeCall(("a",), side="passage"), "side"),  # type: ignore[arg-type]
        (EncodeCall(("a",), windows=Windows("cut")), "windows.policy"),  # type: ignore[arg-type]
        (EncodeCall(("a",), pruning=Pruning("most", 0.5)), "pruning.type"),  # type: ignore[arg-type]
        (EncodeCall(("a",), lane="fast"), "lane"),  # type: ignore[arg-type]
    ],
)
def test_words_that_a_call_does_not_know_are_named(call: EncodeCall, field: str) -> None:
    with pytest.raises(InvalidInput, match="it takes ") as raised:
        write_encode_request(call)
    assert raised.value.field == field


def test_a_lane_that_a_call_can_not_take_is_refused() -> None:
    with pytest.raises(InvalidInput, match="lane"):
        write_encode_request(EncodeCall(("a",), lane=Lane.RERANK))
    with pytest.raises(InvalidInput, match="lane"):
        write_rerank_request(RerankCall("q", ("a",), lane=Lane.INTERACTIVE))
