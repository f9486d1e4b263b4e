"""YAML that somebody wrote: whatever is wrong with it, the place is told, and no other error gets through."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.validation.yaml_text import place_of, read_yaml

TAGS = ("binary", "bool", "float", "int", "map", "merge", "null", "omap", "pairs", "seq", "set", "str", "timestamp")


@given(st.sampled_from([*TAGS, "value", "python/object", "nobody-s"]), st.text(alphabet="0159+-_.:eTZ=ynotruefals ~"))
@example("timestamp", "foo")
@example("timestamp", "2001-99-99")
@example("bool", "foo")
@example("int", "")
@example("float", "")
@example("int", "9" * 5_000)
def test_a_value_is_made_or_its_place_is_told(tag: str, value: str) -> None:
    told = _told(f"first: 1\nsecond: !!{tag} '{value}'\n")
    assert told is None or told.startswith(" at line 2, column 9: ")


def _told(text: str) -> str | None:
    """Return where the text is wrong, or None: it is read."""
    try:
        content, _ = read_yaml(text)
    except yaml.YAMLError as error:
        return place_of(error)
    assert isinstance(content, dict)
    assert content.keys() == {"first", "second"}
    return None


def test_a_value_within_others_is_the_one_that_is_named() -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        read_yaml("a:\n  - b: {c: 1, d: !!bool maybe}\n")
    assert place_of(caught.value) == " at line 2, column 18: the value is no bool"
    assert place_of(caught.value, problem=False) == " at line 2, column 18"


def test_what_is_no_text_has_a_character_and_what_has_no_place_none() -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        read_yaml("name: \x01")
    assert place_of(caught.value, problem=False) == " at character 7"
    assert place_of(yaml.YAMLError("lost")) == ""


def test_it_reads_what_the_safe_loader_reads() -> None:
    text = "a: &one [1, 2.5, yes, ~, 2001-01-01]\nb: *one\nc: {<<: {d: text}, e: !!set {x, y}}\n"
    content, node = read_yaml(text)
    assert content == yaml.safe_load(text)
    assert isinstance(node, yaml.MappingNode)
    assert [key.start_mark.line for key, _ in node.value] == [0, 1, 2]
    assert read_yaml("") == (None, None)
