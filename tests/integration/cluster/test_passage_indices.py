"""Setting passages up: on new and existing indices, beside a second model, through the command, on other clusters."""

from __future__ import annotations

import orjson
import pytest

from sidecar.cli.main import main
from sidecar.client import AsyncSidecarClient
from sidecar.cluster import (
    DeadLetters,
    IndexSpec,
    pick_encoder,
    set_up,
    tear_down,
)
from sidecar.cluster.connectors import ConnectorSpec
from sidecar.cluster.migrate import Candidate, start
from sidecar.cluster.second_index import (
    CopyRun,
    mark_second_index_verified,
    start_second_index,
    swap_indices,
    verify_second_index,
)
from sidecar.cluster.spec import PASSAGE_FIELD
from sidecar.engine import Engine, PassageRule, dialect_of
from sidecar.errors import FingerprintMismatch, InvalidInput
from sidecar.server.process import SidecarProcess
from tests.support.dialects import any_model
from tests.support.migration import NEW, OLD
from tests.support.nodes import Node
from tests.support.passages import MODEL, RULE, documents, prepare, put, reconcile, require_passages
from tests.support.second_index import Names

pytestmark = pytest.mark.integration


@pytest.fixture
async def prepared(engine: Engine, client: AsyncSidecarClient, index_name: str) -> str:
    await prepare(engine, client, index_name)
    return index_name


async def test_set_up_twice_changes_nothing_and_other_values_are_refused(
    engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    encoder = pick_encoder(await client.models(), MODEL)
    again = await set_up(engine, IndexSpec(prepared, encoder, vector_field=PASSAGE_FIELD, passages=RULE))
    assert again.requests == ()
    with pytest.raises(InvalidInput, match="passages"):
        await set_up(engine, IndexSpec(prepared, encoder, vector_field=PASSAGE_FIELD))
    other = PassageRule(RULE.words, RULE.stride, 3)
    with pytest.raises(InvalidInput, match="passages"):
        await set_up(engine, IndexSpec(prepared, encoder, vector_field=PASSAGE_FIELD, passages=other))


async def test_what_can_t_be_done_with_passages_says_what_can(
    engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    encoder = pick_encoder(await client.models(), MODEL)
    with pytest.raises(InvalidInput, match="--connector"):
        IndexSpec("x", encoder, passages=RULE, connector=ConnectorSpec("http://127.0.0.1:1"))
    with pytest.raises(InvalidInput, match="--into"):
        await start(engine, prepared, Candidate(any_model()))


async def test_a_second_index_for_another_model_has_the_same_passages(
    engine: Engine, both: AsyncSidecarClient, names: Names
) -> None:
    """Copied, kept true, verified by encoding passages anew, and switched to."""
    held = documents(15)
    encoder = pick_encoder(await both.models(), OLD)
    await set_up(engine, IndexSpec(names.first, encoder, vector_field=PASSAGE_FIELD, passages=RULE))
    await engine.send("POST", "/_aliases", {"actions": [{"add": {"index": names.first, "alias": names.alias}}]})
    await put(engine, names.alias, held)
    assert (await reconcile(engine, both, names.alias)).written == 15
    await start_second_index(engine, names.alias, names.second, pick_encoder(await both.models(), NEW))
    with DeadLetters(None) as letters:
        assert (await CopyRun(engine, both, names.alias, letters).run()).written == 15
        found = await verify_second_index(engine, both, names.alias)
        assert found.passed, found.problems
        assert found.sample.compared == 15
        await mark_second_index_verified(engine, found)
        await swap_indices(engine, both, names.alias, letters)
    meta = await engine.index_meta(names.alias)
    assert (meta.bundle, meta.passages) == (NEW, RULE)
    await require_passages(engine, both, names.alias, ["d0", "d14"], NEW)


async def test_an_alias_over_both_kinds_is_refused(engine: Engine, client: AsyncSidecarClient, prepared: str) -> None:
    other, alias = f"{prepared}-whole", f"{prepared}-alias"
    encoder = pick_encoder(await client.models(), MODEL)
    await set_up(engine, IndexSpec(other, encoder, vector_field=PASSAGE_FIELD))
    try:
        add = [{"add": {"index": name, "alias": alias}} for name in (prepared, other)]
        await engine.send("POST", "/_aliases", {"actions": add})
        with pytest.raises(FingerprintMismatch, match="passages"):
            await engine.index_meta(alias)
    finally:
        await engine.delete_index(other)


async def test_an_index_that_exists_gets_passages_and_loses_them_again(
    engine: Engine, client: AsyncSidecarClient, index_name: str
) -> None:
    await engine.create_index(index_name, {"mappings": {"properties": {"text": {"type": "text"}}}})
    await put(engine, index_name, documents(5))
    encoder = pick_encoder(await client.models(), MODEL)
    fields = {"source_fields": ("text",), "lexical_field": "text", "vector_field": PASSAGE_FIELD}
    spec = IndexSpec(index_name, encoder, passages=RULE, **fields)
    await set_up(engine, spec)
    assert (await reconcile(engine, client, index_name)).written == 5
    await require_passages(engine, client, index_name, ["d0", "d4"])
    await tear_down(engine, index_name, vectors=True)
    assert await engine.get(index_name, "d4") == documents(5)["d4"]


def test_the_command_sets_passages_up(
    opensearch: Node, sidecar_process: SidecarProcess, index_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reached = ["--engine", opensearch.url, "--sidecar", sidecar_process.target, "--index", index_name]
    for wrong in (
        ["--passage-words", "30"],
        ["--passages", "--passage-stride", "200"],
        ["--passages", "--passage-limit", "0"],
        ["--passages", "--connector", "http://127.0.0.1:8080"],
    ):
        with pytest.raises(SystemExit):
            main(["setup", *reached, *wrong, "--dry-run"])
        assert "assage" in capsys.readouterr().err
    with pytest.raises(SystemExit) as done:
        main(["setup", *reached, "--passages", "--passage-words", "31", "--dry-run"])
    assert not done.value.code
    sent = capsys.readouterr().out
    body = orjson.loads(sent.split("\n", 1)[1])
    assert body["mappings"]["properties"][PASSAGE_FIELD]["type"] == "nested"
    assert body["mappings"]["_meta"]["splade_sidecar"]["passages"] == {"words": 31, "stride": 15, "limit": 64}


async def test_clusters_that_know_no_linear_function_have_passages_too(
    elasticsearch: Node, client: AsyncSidecarClient, index_name: str
) -> None:
    """Elasticsearch 7.10: the dialect rank_features_saturation."""
    async with await Engine.connect(elasticsearch.url) as engine:
        await prepare(engine, client, index_name)
        await put(engine, index_name, documents(8))
        assert (await reconcile(engine, client, index_name)).written == 8
        await require_passages(engine, client, index_name, ["d0", "d7"])
        assert (await engine.index_meta(index_name)).dialect == "rank_features_saturation"
        meta = await engine.index_meta(index_name)
        vector = (await client.encode(["lion"], model=MODEL, return_terms=True)).encodings[0].vector
        query = dialect_of(meta).sparse_query(meta.vector_field, vector)
        assert (await engine.search(index_name, {"query": query})).hits
