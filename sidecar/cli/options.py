"""Options that mean the same in several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from sidecar.domain import WindowPolicy

__all__ = [
    "AllowMissingOption",
    "DryRunOption",
    "IdFieldOption",
    "JsonOption",
    "LargestWeightOption",
    "LongTextsOption",
    "MaxTextBytesOption",
    "MigratedIndexOption",
    "PatienceOption",
    "RateOption",
    "ServedModelOption",
    "SlicesOption",
    "SummaryJsonOption",
    "UnencodedLettersOption",
    "one_name",
]


def one_name(value: str | None) -> str | None:
    """Return the name of an index that is written to; raise InvalidInput where it may stand for several."""
    from sidecar.engine import require_one_name

    if value is not None:
        require_one_name(value)
    return value


AllowMissingOption: TypeAlias = Annotated[
    int, typer.Option("--allow-missing", min=0, help="Documents that may lack the new vector, being written just now.")
]
DryRunOption: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Print the requests and send nothing.")]
IdFieldOption: TypeAlias = Annotated[
    str, typer.Option("--id-field", help="Field or column that holds the document's id.")
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LargestWeightOption: TypeAlias = Annotated[
    float | None,
    typer.Option("--largest-weight", help="The encoder's largest weight, for the quantisation of the dialect seismic."),
]
LongTextsOption: TypeAlias = Annotated[
    WindowPolicy,
    typer.Option("--long-texts", help="Texts beyond the model's length: read the head, all in windows, or refuse."),
]
MaxTextBytesOption: TypeAlias = Annotated[
    int,
    typer.Option(
        "--max-text-bytes", min=1, help="Longer texts go to the dead letters; the sidecar has a limit of its own."
    ),
]
MigratedIndexOption: TypeAlias = Annotated[
    str, typer.Option("--index", callback=one_name, help="The index; an alias of exactly one index will do.")
]
PatienceOption: TypeAlias = Annotated[
    float, typer.Option("--patience", help="Seconds that cluster or sidecar may be away.")
]
RateOption: TypeAlias = Annotated[float | None, typer.Option("--rate", help="Documents written per second, at most.")]
ServedModelOption: TypeAlias = Annotated[
    str | None, typer.Option("--model", help="Sparse encoder at the sidecar; default: the one it serves by default.")
]
SlicesOption: TypeAlias = Annotated[
    int, typer.Option("--slices", help="Parts in which the index is read side by side.")
]
SummaryJsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
UnencodedLettersOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--dead-letters", help="File for what can't be encoded. Default: dead-letters-INDEX-TIME.jsonl"),
]
