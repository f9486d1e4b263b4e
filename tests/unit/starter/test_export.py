"""What the starter bundles' int8 weights are rounded by."""

from scripts.starter.corpus import Document
from scripts.starter.export import calibration_texts


def documents(source: str, count: int, *, held_out: bool = False) -> list[Document]:
    return [Document(f"{source} {number}", source, held_out) for number in range(count)]


def test_every_source_calibrates_with_the_same_number_of_passages_spread_over_it() -> None:
    chosen = calibration_texts([*documents("large", 1_000), *documents("small", 8)], of_each=4)
    assert chosen == ("large 0", "large 250", "large 500", "large 750", "small 0", "small 2", "small 4", "small 6")


def test_a_source_with_fewer_gives_all_it_has() -> None:
    assert calibration_texts(documents("tiny", 3), of_each=4) == ("tiny 0", "tiny 1", "tiny 2")


def test_sources_that_are_mixed_are_told_apart() -> None:
    mixed = [row for pair in zip(documents("a", 6), documents("b", 6), strict=True) for row in pair]
    assert calibration_texts(mixed, of_each=2) == ("a 0", "a 3", "b 0", "b 3")


def test_held_out_passages_calibrate_nothing() -> None:
    rows = [*documents("a", 4), *documents("kept", 4, held_out=True)]
    assert calibration_texts(rows, of_each=4) == ("a 0", "a 1", "a 2", "a 3")


def test_never_more_than_asked_for() -> None:
    for count in range(1, 40):
        assert len(calibration_texts(documents("a", count), of_each=4)) <= 4
