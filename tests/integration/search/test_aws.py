"""Everything through a proxy that checks signatures as AWS does, before a real cluster."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import httpx
import orjson
import pytest
import trustme

from sidecar.client import AsyncSidecarClient
from sidecar.engine import BulkAction, Engine
from sidecar.errors import EngineRejected, EngineUnavailable
from sidecar.search import AsyncSearcher
from sidecar.server.process import SidecarProcess
from tests.integration.search.gateways import QUERY
from tests.support import aws
from tests.support.aws import Account, Gate, gate
from tests.support.shell import Shell

pytestmark = pytest.mark.integration

KEY, SECRET, TOKEN = "AKIDTESTS", "a-secret/with+signs", "session-token-of-the-tests"

REGION = "eu-central-1"

IDS = ("plain", "a/b", "50%", "100%25", "x:y z", "ä+ö", "q?u#e", "a;b=c&d", "wild*,card", "tilde~!'()")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The keys of this test, and no others that this machine may have."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))


@pytest.fixture
async def domain(opensearch) -> AsyncIterator[Gate]:
    async with gate(opensearch.url, {KEY: Account(SECRET, TOKEN)}) as found:
        yield found


@pytest.fixture
async def signed(domain: Gate) -> AsyncIterator[Engine]:
    async with await Engine.connect(domain.url, aws_region=REGION) as connected:
        yield connected


async def test_a_life_of_an_index(
    domain: Gate, engine: Engine, search_sidecar: SidecarProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SIDECAR_ENGINE_AWS_REGION", REGION)
    shell = Shell(tmp_path, domain.url, search_sidecar.target)
    index = "signed-life"
    lines = [{"_id": name, "title": f"the wolf {n}", "text": f"a wolf near river {n}"} for n, name in enumerate(IDS)]
    (tmp_path / "wolves.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "wolf river"}\n')
    (tmp_path / "judged.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta/b\t1\nq\t50%\t1\n")
    judged = ("--queries", "queries.jsonl", "--qrels", "judged.tsv", "--latency-queries", "1")
    told = []
    try:
        told.append(await shell.run("setup", "--index", index))
        told.append(await shell.run("index", "wolves.jsonl", "--index", index, "--json"))
        assert orjson.loads(told[-1].stdout)["written"] == len(IDS)
        told.append(await shell.run("search", "wolf near river", "--index", index, "--json", "--explain"))
        answer = json.loads(told[-1].stdout)
        assert {hit["id"] for hit in answer["hits"]} == set(IDS)
        assert answer["degraded"] is None
        await engine.bulk([BulkAction(index, "new one", {"title": "", "text": "a bear"})], refresh=True)
        told.append(await shell.run("reconcile", "--index", index, "--json", "--slices", "2"))
        assert orjson.loads(told[-1].stdout)["written"] == 1
        told.append(await shell.run("evaluate", "--index", index, *judged, "--profiles", "lexical,hybrid+rerank"))
        assert "nDCG@10" in told[-1].stdout
        told.append(await shell.run("doctor", "--index", index, code=None))
        told.append(await shell.run("teardown", "--index", index, "--delete-documents"))
        assert not await engine.index_exists(index)
    finally:
        await engine.delete_index(index, missing_ok=True)
    assert not {401, 403} & set(domain.statuses), domain.seen
    assert {"PUT", "POST", "GET", "DELETE"} <= {method for method, *_ in domain.seen}
    assert not [headers for headers in domain.headers if "content-encoding" in headers]
    for done in told:
        assert SECRET not in done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize("document", IDS)
async def test_every_id_is_signed_as_it_travels(domain: Gate, signed: Engine, document: str) -> None:
    index = "signed-ids"
    try:
        await signed.create_index(index, {})
        (item,) = await signed.bulk([BulkAction(index, document, {"n": 1}, routing="r o+u/t")], refresh=True)
        assert item.written
        path = domain.seen[-1][1]
        assert path == "/_bulk?refresh=wait_for"
        found = await signed.read("GET", f"/{index}/_doc/{quote(document, safe='')}", {"routing": "r o+u/t"})
        assert found["_id"] == document
        assert "?routing=r%20o%2Bu%2Ft" in domain.seen[-1][1]
    finally:
        await signed.delete_index(index, missing_ok=True)
    assert set(domain.statuses) <= {200, 201}, domain.seen


async def test_a_large_bulk_is_signed_whole(domain: Gate, signed: Engine) -> None:
    index = "signed-bulk"
    try:
        await signed.create_index(index, {})
        actions = [BulkAction(index, str(n), {"text": "wolf " * 2_000}) for n in range(400)]
        assert all(item.written for item in await signed.bulk(actions, refresh=True))
        assert await signed.count(index) == 400
    finally:
        await signed.delete_index(index, missing_ok=True)
    assert not domain.statuses[403]


@pytest.mark.parametrize(
    ("region", "service", "told"),
    [("eu-west-1", "es", "region or service"), (REGION, "aoss", "region or service")],
)
async def test_another_region_or_service(domain: Gate, region: str, service: str, told: str) -> None:
    with pytest.raises(EngineRejected, match=told) as caught:
        await Engine.connect(domain.url, aws_region=region, aws_service=service)
    assert caught.value.status == 403
    assert domain.seen == [("GET", "/", 403)], "a refusal is not repeated"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("AWS_SECRET_ACCESS_KEY", "quartz", "secret key is not that"),
        ("AWS_ACCESS_KEY_ID", "AKIDNOBODY", "does not know the credentials"),
        ("AWS_SESSION_TOKEN", "quartz", "does not know the credentials"),
    ],
)
async def test_other_keys(domain: Gate, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(EngineRejected, match=told) as caught:
        await Engine.connect(domain.url, aws_region=REGION)
    assert value not in caught.value.message
    assert len(domain.seen) == 1


async def test_over_tls_as_everywhere(opensearch, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    speaking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(speaking)
    async with gate(opensearch.url, {KEY: Account(SECRET, TOKEN)}, tls=speaking) as domain:
        with pytest.raises(EngineUnavailable, match="known authority"):
            await Engine.connect(domain.url, aws_region=REGION, timeout=5.0)
        assert domain.seen == []
        for trust in ({"ca_certificates": tmp_path / "ca.pem"}, {"verify_certificates": False}):
            async with await Engine.connect(domain.url, aws_region=REGION, **trust) as engine:
                assert (await engine.read("GET", "/_cluster/health"))["status"]
    assert domain.statuses == {200: 4}
    with pytest.raises(EngineRejected, match="can't be set up"):
        await Engine.connect("https://127.0.0.1:9", aws_region=REGION, ca_certificates=tmp_path / "none.pem")
    with pytest.raises(EngineUnavailable, match="No cluster answers"):
        await Engine.connect("http://127.0.0.1:9", aws_region=REGION, timeout=2.0)


async def test_no_keys_and_no_request(domain: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(EngineRejected, match="no credentials"):
        await Engine.connect(domain.url, aws_region=REGION)
    assert domain.seen == []


async def test_a_clock_that_is_wrong(domain: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "LONGEST_SKEW", -1.0)
    with pytest.raises(EngineRejected, match="clock"):
        await Engine.connect(domain.url, aws_region=REGION)


async def test_without_a_signature_it_is_said_how_to_sign(domain: Gate) -> None:
    with pytest.raises(EngineRejected, match="name the region"):
        await Engine.connect(domain.url)


async def test_keys_that_are_rotated_in_a_file(domain: Gate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)

    def keep(key: str, secret: str, token: str) -> None:
        lines = (f"aws_access_key_id = {key}", f"aws_secret_access_key = {secret}", f"aws_session_token = {token}")
        (tmp_path / "aws-credentials").write_text("\n".join(("[default]", *lines, "")))

    keep(KEY, SECRET, TOKEN)
    async with await Engine.connect(domain.url, aws_region=REGION) as engine:
        domain.accounts[KEY].expired = True
        with pytest.raises(EngineRejected, match="have expired"):
            await engine.read("GET", "/_cluster/health")
        keep("AKIDNEXT", "next", "next-token")
        domain.accounts["AKIDNEXT"] = Account("next", "next-token")
        domain.seen.clear()
        answers = await asyncio.gather(*(engine.read("GET", "/_cluster/health") for _ in range(6)))
        assert all(answers)
        assert domain.statuses[200] == 6
        assert domain.statuses[403] <= 6
        domain.seen.clear()
        await engine.read("GET", "/_cluster/health")
        assert domain.statuses == {200: 1}, "the new keys are kept"


async def test_a_search_of_every_stage(domain: Gate, signed: Engine, world, client: AsyncSidecarClient) -> None:
    result = await AsyncSearcher(signed, client, "hybrid-rrf+rerank", index=world.index).search(QUERY, explain=True)
    assert result.hits[0].why
    assert result.degraded is None
    assert set(domain.statuses) == {200}
    assert all("connection" not in headers["authorization"].lower() for headers in domain.headers)


async def test_a_collection_of_serverless(opensearch, world, client: AsyncSidecarClient) -> None:
    accounts = {KEY: Account(SECRET, TOKEN)}
    async with gate(opensearch.url, accounts, service="aoss", serverless=True) as collection:
        async with await Engine.connect(collection.url, aws_region=REGION, aws_service="aoss") as engine:
            assert (engine.info.title, engine.info.version, engine.dialect.name) == ("OpenSearch", "2", "rank_features")
            result = await AsyncSearcher(engine, client, "hybrid+rerank", index=world.index).search(QUERY)
            assert result.hits
            assert result.degraded is None
        with pytest.raises(EngineRejected, match="aoss:APIAccessAll"):
            await Engine.connect(collection.url, aws_region="eu-west-1", aws_service="aoss")
    assert collection.seen[0] == ("GET", "/", 404)


async def test_the_search_service_signs(domain: Gate, world, models: list[Path]) -> None:
    settings = {
        "threads": 1,
        "search_engine": domain.url,
        "search_indices": world.index,
        "search_aws_region": REGION,
        "log_level": "debug",
    }
    with SidecarProcess(models, settings=settings) as process:
        asked = {"index": world.index, "text": QUERY, "profile": "hybrid-rrf+rerank", "preference": "session 1/ä"}
        async with httpx.AsyncClient(base_url=process.http_url, timeout=60.0, trust_env=False) as http:
            async with asyncio.timeout(30.0):
                while (found := await http.post("/v1/search", json=asked)).status_code != 200:
                    await asyncio.sleep(0.2)
            about = (await http.get(f"{process.admin_url}/buildinfo")).text
            domain.accounts.clear()
            refused = await http.post("/v1/search", json=asked)
        log = process.log_text()
    assert found.json()["hits"]
    searches = [target for _, target, status in domain.seen if "_search" in target and status == 200]
    assert searches
    assert all(target.endswith("?preference=session%201%2F%C3%A4") for target in searches)
    assert (refused.status_code, refused.json()["reason"]) == (502, "ENGINE_REJECTED")
    assert "does not know the credentials" in log
    for text in (found.text, about, log, refused.text):
        assert SECRET not in text
        assert TOKEN not in text
        assert KEY not in text
