"""Arguments that several of this group's commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from sidecar.bundle import LexicalFloor, PruningRule, Quantization, QueryMode, ScoreActivation, SpecialTokens
from sidecar.domain import PruningType
from sidecar.errors import InvalidInput
from sidecar.validation import first_invalid

__all__ = [
    "AsJson",
    "Calibrate",
    "License",
    "NameOption",
    "Quantize",
    "QueryModeOption",
    "QueryTokens",
    "QueryWeights",
    "Ratio",
    "Replace",
    "ScoreOption",
    "Source",
    "Specials",
    "calibration_texts",
    "floor_of",
    "ratio_rule",
]

USUAL_LENGTH = 150.0
"""Tokens of an average document, where nobody says how many."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Replace = Annotated[bool, typer.Option("--replace", help="Overwrite a bundle that lies there already.")]
NameOption = Annotated[str | None, typer.Option("--name", help="The bundle's name. Default: the folder's.")]
Quantize = Annotated[
    Quantization, typer.Option(help="Number format of the matrix products: int8 is smaller and faster, fp32 exact.")
]
Calibrate = Annotated[
    Path | None,
    typer.Option("--calibrate", help="With int8: a file of texts, one a line, that its weights are rounded by."),
]
License = Annotated[str | None, typer.Option("--license", help="Licence of the weights, as an SPDX identifier.")]
Source = Annotated[str | None, typer.Option("--source", help="Where the weights come from, in a few words.")]
QueryWeights = Annotated[
    Path | None, typer.Option("--query-weights", help="JSON of token -> weight (IDF): queries need no graph then.")
]
QueryModeOption = Annotated[QueryMode | None, typer.Option(help="How queries are encoded.")]
Specials = Annotated[SpecialTokens, typer.Option(help="What happens to [CLS], [SEP], [PAD] in documents.")]
ScoreOption = Annotated[ScoreActivation | None, typer.Option(help="Cross-encoder logit to score.")]
QueryTokens = Annotated[int | None, typer.Option(help="Tokens read of a query. Default: as of a document.")]
Ratio = Annotated[
    float | None,
    typer.Option(
        "--document-max-ratio",
        help="Documents keep terms from this share of their largest weight on. Default: all of a graph's; a"
        " checkpoint's from 0.1 on, where it does not say how many.",
    ),
]


def calibration_texts(path: Path | None) -> tuple[str, ...]:
    """Return the lines of a --calibrate file that hold something; none where it was not given. Raises InvalidInput."""
    if path is None:
        return ()
    try:
        texts = tuple(line for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} can't be read as text: {error}.", field="calibrate") from None
    if not texts:
        raise InvalidInput(f"{path} holds no text: give one a line, a hundred passages or so.", field="calibrate")
    return texts


def floor_of(weight: float | None, average_length: float | None) -> LexicalFloor | None:
    """Return the floor of a --lexical-floor; None: not given. Raises InvalidInput."""
    if weight is None:
        if average_length is not None:
            raise InvalidInput(
                "--average-length is about the lexical floor: add --lexical-floor (0.7 is usual), or leave it out.",
                field="average_length",
            )
        return None
    try:
        return LexicalFloor(weight=weight, average_length=USUAL_LENGTH if average_length is None else average_length)
    except ValidationError as error:
        problem = first_invalid(error)
        raise InvalidInput(f"--lexical-floor with --average-length: {problem.what}.", field="lexical_floor") from None


def ratio_rule(value: float | None) -> PruningRule | None:
    """Return the rule of a --document-max-ratio; 0 keeps everything, None: not given. Raises InvalidInput."""
    if value is None:
        return None
    if not 0.0 <= value < 1.0:
        raise InvalidInput("--document-max-ratio must be in [0, 1).", field="document_max_ratio")
    return PruningRule(type=PruningType.MAX_RATIO, value=value) if value > 0 else PruningRule()
