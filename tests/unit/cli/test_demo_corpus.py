"""The demo's corpus is on every machine that has a Python."""

from __future__ import annotations

import pytest
from rich.console import Console

from sidecar.cli.demo.corpus import MINIMUM_CHARACTERS, SKIPPED_PACKAGES, standard_library_docstrings
from sidecar.cli.demo.session import read_corpus, steps
from sidecar.domain import Document
from sidecar.errors import InvalidInput


@pytest.fixture(scope="module")
def corpus() -> list[Document]:
    return list(standard_library_docstrings())


def test_it_has_thousands_of_documents_with_distinct_ids(corpus: list[Document]) -> None:
    assert len(corpus) > 3_000
    assert len({document.id for document in corpus}) == len(corpus)


@pytest.mark.parametrize("name", ["argparse", "json.dumps", "pathlib.Path", "itertools.chain", "builtins.sorted"])
def test_it_covers_modules_in_python_and_in_c(corpus: list[Document], name: str) -> None:
    (document,) = [document for document in corpus if document.id == name]
    text = document.fields["text"]
    assert isinstance(text, str)
    assert len(text) >= MINIMUM_CHARACTERS


def test_every_document_is_public_valid_text_of_a_known_kind(corpus: list[Document]) -> None:
    for document in corpus:
        assert set(document.fields) == {"title", "text", "kind", "module"}
        assert document.fields["kind"] in {"module", "class", "function", "method"}
        assert not any(part.startswith("_") for part in document.id.split("."))
        assert not set(document.id.split(".")[:1]) & SKIPPED_PACKAGES
        str(document.fields["text"]).encode("utf-8")


def test_modules_that_are_named_are_read_alone_and_as_among_all(corpus: list[Document]) -> None:
    named = list(standard_library_docstrings(["json", "itertools", "http.client"]))
    assert named == [one for one in corpus if one.fields["module"] in {"http.client", "itertools"} or _in_json(one)]
    assert {"json.decoder", "itertools", "http.client"} < {str(one.fields["module"]) for one in named}
    assert named == list(standard_library_docstrings(["json", "itertools", "http.client"]))


def _in_json(document: Document) -> bool:
    return document.id == "json" or document.id.startswith("json.")


@pytest.mark.parametrize("names", [["no_such_module"], ["jso"], ["encodings"], ["argparse.ArgumentParser"]])
def test_modules_that_are_none_are_told(names: list[str]) -> None:
    with steps(Console(quiet=True)) as progress, pytest.raises(InvalidInput, match=f"no docstrings in {names[0]}"):
        read_corpus(progress, names)
