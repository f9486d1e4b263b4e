"""The files of test collections: JSON lines as BEIR has them, and judgements as BEIR or TREC writes them.

Each may be packed by gzip, and is then called NAME.gz.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from sidecar.errors import EvaluationError
from sidecar.search.text import well_formed

__all__ = ["Judgements", "file_at", "name_of_split", "read_judgements", "record_id", "records_of"]

Judgements: TypeAlias = Mapping[str, Mapping[str, int]]
"""Grades by query id and document id."""

MAX_GRADE = 1_000_000
"""What evaluates runs keeps a count for every grade up to the largest."""

HEADINGS = frozenset({"score", "grade", "relevance", "rel", "label", "rating", "judgment", "judgement"})
"""What the column of grades is called where a file begins with a header."""

GZIP = ".gz"


def file_at(path: Path) -> Path:
    """Return the file that is read for `path`: itself, or the packed one beside where there is no other."""
    packed = path.with_name(path.name + GZIP)
    return packed if packed.is_file() and not path.is_file() else path


def name_of_split(path: Path) -> str:
    """Return what a file of judgements is called without its endings: `test` of qrels/test.tsv.gz."""
    return Path(path.name.removesuffix(GZIP)).stem


def read_judgements(path: Path) -> Judgements:
    """Read judgements; raise EvaluationError with the line that is wrong, and where nothing is relevant.

    A line has query id, document id and grade with tabs between (BEIR), or query id, iteration, document id and grade
    with white space between (TREC). Grades are whole numbers.
    """
    grades: dict[str, dict[str, int]] = {}
    first = True
    for number, line in _lines(path):
        header, first = first and _is_header(line), False
        if header:
            continue
        found = _judgement(line)
        if found is None:
            raise EvaluationError(
                f"{path}, line {number}: query id, document id and whole-number grade are expected, tabs between, or"
                " the four columns of TREC."
            )
        query, document, grade = found
        if grade > MAX_GRADE:
            raise EvaluationError(f"{path}, line {number}: a grade is at most {MAX_GRADE:,}.")
        if grades.setdefault(query, {}).setdefault(document, grade) != grade:
            raise EvaluationError(f"{path}, line {number}: {document!r} has another grade for {query!r} above.")
    if not grades:
        raise EvaluationError(f"{path} holds no judgement.")
    if not any(grade > 0 for known in grades.values() for grade in known.values()):
        raise EvaluationError(f"{path} holds no grade above 0: where nothing is relevant, nothing can be measured.")
    return grades


def records_of(path: Path) -> Iterator[dict[str, str]]:
    """Yield `_id`, `text` and `title` of documents or queries; raise EvaluationError with the line that is wrong.

    An `_id` that is a whole number is read as its digits, as `sidecar index` does; a `title` that is null, as none.
    """
    for number, line in _lines(path):
        try:
            record = json.loads(line)
        except ValueError:
            raise EvaluationError(f"{path}, line {number}: this is no JSON.") from None
        name = record_id(record)
        if name is None:
            raise EvaluationError(f'{path}, line {number}: an object with an "_id", text or whole number, is expected.')
        text, title = record.get("text"), record.get("title")
        title = "" if title is None else title
        if not isinstance(text, str) or not isinstance(title, str):
            raise EvaluationError(f'{path}, line {number}: "text" (and "title", if any) must be strings.')
        if any(well_formed(one) != one for one in (name, text, title)):
            raise EvaluationError(f"{path}, line {number}: a lone surrogate (\\ud800 … \\udfff) is no text.")
        yield {"_id": name, "text": text, "title": title}


def record_id(record: object) -> str | None:
    """Return the `_id` of what a line holds; None where there is none that is text or a whole number."""
    name = record.get("_id") if isinstance(record, dict) else None
    if isinstance(name, bool) or not isinstance(name, str | int):
        return None
    return str(name)


def _is_header(line: str) -> bool:
    return line.split()[-1].lower() in HEADINGS


def _judgement(line: str) -> tuple[str, str, int] | None:
    """Return query, document and grade; None where the line holds none."""
    parts = line.rstrip("\r\n").split("\t")
    if len(parts) != 3:
        parts = line.split()
        # With any other second column it is no judgement of TREC's, but one of BEIR's with a column too many.
        if len(parts) != 4 or not (parts[1].isdigit() or parts[1].upper() == "Q0"):
            return None
        del parts[1]
    grade = _whole(parts[2])
    return None if grade is None else (parts[0], parts[1], grade)


def _whole(written: str) -> int | None:
    try:
        return int(written)
    except ValueError:
        pass
    try:
        # Tables that had a gap once are written with a fraction: 1.0.
        number = float(written)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers from 1; raise EvaluationError for an unreadable file."""
    file = file_at(path)
    try:
        # Some tools begin a file with a byte order mark.
        with (
            gzip.open(file, "rt", encoding="utf-8-sig")
            if file.suffix == GZIP
            else file.open(encoding="utf-8-sig") as lines
        ):
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line
    except FileNotFoundError:
        raise EvaluationError(f"{path} is missing.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise EvaluationError(f"{file} can't be unpacked: it is cut off or damaged, or no gzip file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{file} can't be read: {error}.") from None
