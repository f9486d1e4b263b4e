"""What an index may be asked to become, and the JSON files behind it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from sidecar.cluster import IndexSpec, encoder_of_index, pick_encoder
from sidecar.cluster.documents import source_text, text_hash, write_action
from sidecar.cluster.templates import existing_template, index_template, mappings_folder
from sidecar.domain import ModelInfo, ModelKind, Pruning, PruningType, SparseVector
from sidecar.engine import IndexMeta, dialect_named
from sidecar.errors import FingerprintMismatch, InvalidInput, UnknownModel, UnsupportedEngine, WrongModelKind

NAMES = {"content": "content", "splade": "splade", "splade_hash": "splade_hash"}


def model(name: str = "starter", *, default: bool = True, kind: ModelKind = ModelKind.SPARSE_ENCODER) -> ModelInfo:
    fingerprint = text_hash(name) * 2
    pruning = Pruning(PruningType.MAX_RATIO, 0.1)
    return ModelInfo(name, kind, fingerprint, "Apache-2.0", 512, 100, "int8", default, document_pruning=pruning)


def test_the_files_are_what_is_sent() -> None:
    file = orjson.loads((mappings_folder() / "rank_features" / "index.json").read_bytes())
    assert index_template("rank_features", NAMES, ("title", "text")) == file
    existing = orjson.loads((mappings_folder() / "rank_features" / "existing.json").read_bytes())
    assert existing_template("rank_features", NAMES) == existing


def test_every_json_file_of_the_folder_is_valid() -> None:
    files = sorted(Path(mappings_folder()).rglob("*.json"))
    assert files
    for file in files:
        assert isinstance(orjson.loads(file.read_bytes()), dict)


def test_names_of_ones_own_take_the_place_of_ours() -> None:
    names = {"content": "words", "splade": "vec", "splade_hash": "vec_hash"}
    properties = index_template("rank_features", names, ("headline", "body", "tags"))["mappings"]["properties"]
    assert set(properties) == {"headline", "body", "tags", "words", "vec", "vec_hash"}
    assert all(properties[name]["copy_to"] == "words" for name in ("headline", "body", "tags"))
    assert properties["vec"] == {"type": "rank_features"}
    assert set(existing_template("rank_features", names)["properties"]) == {"vec", "vec_hash"}


def test_one_source_field_may_be_the_lexical_field() -> None:
    names = {**NAMES, "content": "body"}
    properties = index_template("rank_features", names, ("body",))["mappings"]["properties"]
    assert properties["body"] == {"type": "text", "analyzer": "english"}
    assert set(properties) == {"body", "splade", "splade_hash"}


def test_a_dialect_without_files_is_refused() -> None:
    with pytest.raises(UnsupportedEngine):
        index_template("seismic-2", NAMES, ("text",))


def test_the_record_follows_from_the_model() -> None:
    meta = IndexSpec("articles", model(), source_fields=("a", "b")).meta("rank_features")
    assert meta.fingerprint == model().fingerprint
    assert (meta.bundle, meta.lexical_field, meta.source_fields) == ("starter", "content", ("a", "b"))
    assert meta.pruning == Pruning(PruningType.MAX_RATIO, 0.1)


@pytest.mark.parametrize(
    "change",
    [
        {"source_fields": ()},
        {"source_fields": ("a", "a")},
        {"source_fields": ("a.b",)},
        {"source_fields": ("splade",)},
        {"lexical_field": "splade"},
        {"vector_field": "x", "hash_field": "x"},
        {"vector_field": "a.b"},
        {"source_fields": ("Product name",)},
        {"source_fields": ("",)},
        {"source_fields": ("t*",)},
        {"source_fields": ("text\n",)},
        {"vector_field": "v" * 256},
        {"hash_field": "a,b"},
        {"lexical_field": "all words"},
    ],
)
def test_a_wish_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        IndexSpec("articles", model(), **change)


def test_the_lexical_field_of_a_new_index_is_none_of_several_source_fields() -> None:
    IndexSpec("articles", model(), source_fields=("a",), lexical_field="a").require_copies()
    IndexSpec("articles", model(), source_fields=("a", "b"), lexical_field="c").require_copies()
    for fields, lexical in ((("title", "content"), None), (("a", "b"), "b")):
        with pytest.raises(InvalidInput, match="one of several"):
            IndexSpec("articles", model(), source_fields=fields, lexical_field=lexical).require_copies()


def test_an_index_is_set_up_for_a_sparse_encoder() -> None:
    with pytest.raises(WrongModelKind):
        IndexSpec("articles", model(kind=ModelKind.CROSS_ENCODER))


def test_which_encoder_is_meant() -> None:
    served = (model("cross", kind=ModelKind.CROSS_ENCODER), model("a", default=False), model("b"))
    assert pick_encoder(served).name == "b"
    assert pick_encoder(served, "a").name == "a"
    assert pick_encoder(served[:2]).name == "a"
    for name, models in (("cross", served), ("nobody", served), (None, served[:1])):
        with pytest.raises(UnknownModel):
            pick_encoder(models, name)


def test_the_encoder_of_an_index_is_found_by_its_fingerprint() -> None:
    served = (model("a", default=False), model("b"))
    meta = IndexMeta(fingerprint=served[0].fingerprint, bundle="a")
    assert encoder_of_index(served, meta, "i").name == "a"
    with pytest.raises(FingerprintMismatch):
        encoder_of_index(served, meta, "i", "b")
    with pytest.raises(FingerprintMismatch):
        encoder_of_index(served[1:], meta, "i")


META = IndexMeta(fingerprint="ab" * 32, bundle="starter", source_fields=("title", "text"))
DIALECT = dialect_named("rank_features")


def test_the_text_is_the_source_fields_joined() -> None:
    fields = {"title": " A ", "text": ["b", "", "c"], "other": "x"}
    assert source_text("1", fields, META) == "A b c"
    assert source_text("1", {"title": None, "text": 7}, META) == ""


def test_the_hash_is_of_the_text_alone() -> None:
    assert text_hash("a") != text_hash("b")
    assert text_hash("a") == "ca978112ca1bbdcafac231b39a23dc4d"


def test_what_is_written_is_the_whole_document() -> None:
    vector = SparseVector((3,), (1.5,), ("u.s.",))
    action = write_action(
        "i", "1", {"title": "T", "n": 1, "splade": "old", "splade_hash": "x"}, "T", vector, META, DIALECT
    )
    assert action.document == {
        "title": "T",
        "n": 1,
        "splade": {"u%2Es%2E": 1.5, "_splade_abababababababab": 1.0},
        "splade_hash": text_hash("T"),
    }


def test_a_document_without_text_has_no_vector_field() -> None:
    action = write_action("i", "1", {"title": ""}, "", None, META, DIALECT)
    assert action.document == {"title": "", "splade_hash": text_hash("")}
