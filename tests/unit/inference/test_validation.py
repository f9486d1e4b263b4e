import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import EmptyText, InvalidInput, MalformedText, TextTooLarge, TooManyTexts
from sidecar.inference.validation import check_text, check_texts
from sidecar.settings import Settings

SETTINGS = Settings(max_texts=3, max_text_bytes=20)


@pytest.mark.parametrize("text", ["", " ", "\t\r\n", "\u00a0\u2003\u3000", "\x1c\x1d"])
def test_white_space_is_no_text(text):
    with pytest.raises(EmptyText) as caught:
        check_texts(["fine", text], SETTINGS)
    assert caught.value.field == "texts[1]"


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "x" * 50 + "\udc80"])
def test_lone_surrogates_are_malformed(text):
    with pytest.raises(MalformedText) as caught:
        check_texts([text], SETTINGS, field="documents")
    assert caught.value.field == "documents[0]"


@pytest.mark.parametrize("text", ["...!?", "a", "\x00\x01", "😀", "שלום", "x" * 20, "é" * 10])
def test_what_is_accepted(text):
    assert check_text(text, SETTINGS, field="query") == len(text.encode())


@pytest.mark.parametrize("text", ["x" * 21, "é" * 11, "😀" * 6])
def test_bytes_are_counted_not_characters(text):
    with pytest.raises(TextTooLarge) as caught:
        check_text(text, SETTINGS, field="query")
    assert caught.value.field == "query"
    assert text not in caught.value.message


def test_ten_megabytes_are_refused():
    with pytest.raises(TextTooLarge, match="10,485,760 bytes"):
        check_texts(["x" * 10 * 1024 * 1024], Settings())


def test_too_many_texts():
    with pytest.raises(TooManyTexts) as caught:
        check_texts(["a"] * 4, SETTINGS)
    assert caught.value.field == "texts"
    assert check_texts(["a"] * 3, SETTINGS) == 3
    assert check_texts([], SETTINGS) == 0


@given(st.text(st.characters(), max_size=30))
def test_every_text_is_sized_or_refused_with_its_position(text):
    usable = text.strip() and not any("\ud800" <= character <= "\udfff" for character in text)
    if usable and len(text.encode()) <= 20:
        assert check_texts(["ok", text], SETTINGS) == 2 + len(text.encode())
    else:
        with pytest.raises(InvalidInput) as caught:
            check_texts(["ok", text], SETTINGS)
        assert caught.value.field == "texts[1]"
