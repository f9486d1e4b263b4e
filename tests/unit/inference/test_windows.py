import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from sidecar.domain import WindowPolicy, Windows
from sidecar.errors import InvalidInput, TextTooLong
from sidecar.inference import windows
from sidecar.inference.windows import SPAN_TOKENS, Allowance, cut

SLIDE = WindowPolicy.SLIDE


@pytest.mark.parametrize("policy", WindowPolicy)
@pytest.mark.parametrize("length", [1, 7, 10])
def test_a_text_that_fits_is_read_whole(policy, length):
    part = cut(length, 10, Windows(policy), field="texts[0]")
    assert part.spans == ((0, length),)
    assert not part.truncated
    assert part.tokens == length


@pytest.mark.parametrize("policy", WindowPolicy)
def test_no_tokens_no_windows(policy):
    part = cut(0, 10, Windows(policy), field="texts[0]")
    assert (part.spans, part.truncated, part.tokens) == ((), False, 0)


def test_truncation_reads_the_head_and_says_so():
    part = cut(11, 10, Windows(), field="texts[0]")
    assert (part.spans, part.truncated, part.tokens) == (((0, 10),), True, 10)


def test_refusal_names_the_text_and_both_counts():
    with pytest.raises(TextTooLong, match=r"texts\[3\] has 11 tokens and the model reads 10") as caught:
        cut(11, 10, Windows(WindowPolicy.REFUSE), field="texts[3]")
    assert caught.value.field == "texts[3]"


def test_the_default_stride_is_three_quarters():
    part = cut(20, 8, Windows(SLIDE), field="texts[0]")
    assert part.spans == ((0, 8), (6, 14), (12, 20))
    assert not part.truncated


def test_what_lies_beyond_the_last_window_is_truncated():
    part = cut(100, 10, Windows(SLIDE, stride=5, max_windows=3), field="texts[0]")
    assert part.spans == ((0, 10), (5, 15), (10, 20))
    assert part.truncated
    assert part.tokens == 20


def test_a_stride_beyond_the_window_leaves_no_gap():
    assert cut(25, 10, Windows(SLIDE, stride=1_000), field="texts[0]").spans == ((0, 10), (10, 20), (20, 25))


def test_an_allowance_is_of_all_windows_of_a_call(monkeypatch):
    monkeypatch.setattr(windows, "MOST_TOKENS", 1_000)
    allowance = Allowance()
    part = cut(100, 10, Windows(SLIDE, stride=5, max_windows=3), field="texts[0]")
    each = 3 * (10 + 20 + SPAN_TOKENS)
    for _ in range(1_000 // each):
        allowance.take(part, beside=20)
    allowance.take(cut(0, 10, Windows(), field="texts[1]"))
    with pytest.raises(InvalidInput, match="longer stride") as caught:
        allowance.take(part, beside=20)
    assert caught.value.field == "windows"


def test_the_allowance_is_enough_for_the_largest_request_of_the_default_settings():
    allowance = Allowance()
    # 64 MiB of full stops, a token each, in texts of 1 MiB, read whole by a model of 512 tokens.
    part = cut(1 << 20, 510, Windows(SLIDE, max_windows=1 << 20), field="texts[0]")
    for _ in range(64):
        allowance.take(part)


@given(
    length=st.integers(1, 500),
    capacity=st.integers(1, 60),
    stride=st.integers(0, 80),
    most=st.integers(1, 40),
)
def test_windows_cover_what_they_claim(length, capacity, stride, most):
    part = cut(length, capacity, Windows(SLIDE, stride, most), field="texts[0]")
    covered = {position for start, end in part.spans for position in range(start, end)}
    assert covered == set(range(part.tokens))
    assert part.truncated == (part.tokens < length)
    assert 1 <= len(part.spans) <= most
    assert all(0 < end - start <= capacity for start, end in part.spans)
    assert all(end - start == capacity for start, end in part.spans[:-1])


@given(length=st.integers(1, 300), capacity=st.integers(4, 40), overlap=st.integers(0, 39))
def test_windows_are_those_of_the_tokenizers_library(length, capacity, overlap):
    """Its stride counts the overlap, ours from start to start; otherwise the windows are the same."""
    overlap = min(overlap, capacity - 1)
    tokenizer = Tokenizer(models.WordLevel({str(number): number for number in range(length)}))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_truncation(capacity, stride=overlap)
    first = tokenizer.encode(" ".join(str(number) for number in range(length)))
    theirs = [tuple(encoding.ids) for encoding in (first, *first.overflowing)]
    part = cut(length, capacity, Windows(SLIDE, stride=capacity - overlap, max_windows=1_000), field="texts[0]")
    assert [tuple(range(start, end)) for start, end in part.spans] == theirs
