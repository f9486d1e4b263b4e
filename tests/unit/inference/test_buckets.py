import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.inference.buckets import Buckets


def test_the_buckets_of_a_usual_model():
    assert Buckets(128).lengths == (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128)
    assert len(Buckets(512).lengths) == 20


@pytest.mark.parametrize("longest", [3, 8, 9, 100, 512, 8_192])
def test_the_last_bucket_is_what_the_model_reads(longest):
    assert Buckets(longest).lengths[-1] == longest


@given(st.integers(3, 10_000), st.data())
def test_the_shortest_that_holds(longest, data):
    buckets = Buckets(longest)
    length = data.draw(st.integers(1, longest))
    chosen = buckets.of(length)
    assert chosen == min(each for each in buckets.lengths if each >= length)
    assert list(buckets.lengths) == sorted(set(buckets.lengths))


@given(st.integers(25, 8_192))
def test_little_is_padding(length):
    assert (Buckets(8_192).of(length) - length) / Buckets(8_192).of(length) < 0.22


def test_a_sequence_beyond_the_longest_is_a_bug():
    with pytest.raises(IndexError):
        Buckets(16).of(17)
