"""The client library against real servers: the synchronous twin, threads, TLS, and nobody at home."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import trustme

from sidecar.bundle import Bundle
from sidecar.client import AsyncSidecarClient, SidecarClient
from sidecar.domain import Side
from sidecar.errors import EmptyText, SidecarError, SidecarUnavailable, UnknownModel
from sidecar.inference import InferenceService
from sidecar.server.grpc import GrpcServer
from sidecar.server.process import SidecarProcess
from sidecar.settings import load_settings

pytestmark = pytest.mark.integration


@pytest.fixture
def client(sidecar_process: SidecarProcess) -> Iterator[SidecarClient]:
    with SidecarClient(sidecar_process.target, timeout=60.0) as client:
        yield client


@pytest.fixture
def nobody() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


async def test_the_twins_give_the_same(sidecar_process: SidecarProcess) -> None:
    texts = ["some text", "what the document says"]
    async with AsyncSidecarClient(sidecar_process.target, timeout=60.0) as asynchronous:
        expected = await asynchronous.encode(texts, side=Side.QUERY, return_terms=True)
        ranking = await asynchronous.rerank("what", texts)
        models = await asynchronous.models()
    with SidecarClient(sidecar_process.target, timeout=60.0) as client:
        assert client.target == sidecar_process.target
        assert client.encode(texts, side=Side.QUERY, return_terms=True).encodings == expected.encodings
        assert client.rerank("what", texts).results == ranking.results
        assert client.rerank_batch([("what", texts)])[0].results == ranking.results
        assert client.models() == models
        assert client.model(models[0].name) == models[0]
        assert client.health()


def test_errors_come_through_the_portal_as_they_are(client: SidecarClient) -> None:
    with pytest.raises(EmptyText) as raised:
        client.encode(["fine", ""])
    assert raised.value.field == "texts[1]"
    with pytest.raises(UnknownModel):
        client.model("nope")


def test_a_synchronous_stream_reads_its_source_in_the_callers_thread(client: SidecarClient) -> None:
    import threading

    threads = set()

    def source() -> Iterator[list[str]]:
        for number in range(25):
            threads.add(threading.current_thread())
            yield ["", "fine"] if number == 7 else [f"text {number}", "another"]

    outcomes = list(client.encode_stream(source(), in_flight=4))
    assert threads == {threading.current_thread()}
    assert sorted(outcome.position for outcome in outcomes) == list(range(25))
    assert [outcome.position for outcome in outcomes if outcome.error is not None] == [7]


def test_a_synchronous_stream_may_be_left_early(client: SidecarClient) -> None:
    outcomes = client.encode_stream([["some text"]] * 1_000)
    next(outcomes)
    outcomes.close()
    assert client.health()


def test_a_client_is_shared_by_threads(client: SidecarClient) -> None:
    expected = client.encode(["some text"]).encodings[0].vector.term_ids
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: client.encode(["some text"]), range(40)))
    assert all(result.encodings[0].vector.term_ids == expected for result in results)


def test_clients_come_and_go(sidecar_process: SidecarProcess) -> None:
    with SidecarClient(sidecar_process.target) as outer:
        for _ in range(3):
            with SidecarClient(sidecar_process.target) as inner:
                assert inner.health(timeout=30.0)
        assert outer.health(timeout=30.0)
    again = SidecarClient(sidecar_process.target)
    assert again.health(timeout=30.0)
    again.close()
    again.close()


def test_nobody_at_home_is_said_quickly(nobody: str) -> None:
    begin = time.monotonic()
    with SidecarClient(nobody) as client:
        with pytest.raises(SidecarUnavailable, match=nobody):
            client.encode(["some text"])
        with pytest.raises(SidecarUnavailable):
            client.health()
        with pytest.raises(SidecarUnavailable):
            list(client.encode_stream([["some text"]], resumptions=1))
    assert time.monotonic() - begin < 20.0


async def test_a_closed_client_says_so(sidecar_process: SidecarProcess) -> None:
    client = AsyncSidecarClient(sidecar_process.target)
    assert await client.health(timeout=30.0)
    await client.close()
    await client.close()
    with pytest.raises(SidecarUnavailable, match="closed"):
        await client.health()


async def test_what_is_no_sidecar_is_not_taken_for_one() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with AsyncSidecarClient(f"127.0.0.1:{port}") as client:
        with pytest.raises(SidecarError, match="is it a sidecar"):
            await client.encode(["some text"])
    await server.stop(None)


async def test_tls_with_a_certificate_authority_of_ones_own(tiny_sparse_bundle: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("sidecar.test")
    credentials = grpc.ssl_server_credentials(
        [(certificate.private_key_pem.bytes(), b"".join(blob.bytes() for blob in certificate.cert_chain_pems))]
    )
    settings = load_settings(grpc_port=0, threads=1, auth_token="secret")
    service = InferenceService.load([Bundle.open(tiny_sparse_bundle)], settings)
    server = GrpcServer(service, settings, credentials=credentials)
    target = f"127.0.0.1:{await server.start()}"
    try:
        trusted = authority.cert_pem.bytes()
        async with AsyncSidecarClient(
            target, root_certificates=trusted, server_name="sidecar.test", token="secret", timeout=30.0
        ) as client:
            assert (await client.encode(["some text"])).encodings
        for wrong in (
            AsyncSidecarClient(target, root_certificates=stranger.cert_pem.bytes(), server_name="sidecar.test"),
            AsyncSidecarClient(target, root_certificates=trusted, server_name="other.test"),
            AsyncSidecarClient(target, tls=True, server_name="sidecar.test"),
            AsyncSidecarClient(target),
        ):
            async with wrong:
                with pytest.raises(SidecarUnavailable):
                    await wrong.encode(["some text"])
    finally:
        await server.stop(1.0)
        service.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    sidecar_process: SidecarProcess, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    # Port 9 is for what is to be discarded: nobody answers there.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    target = sidecar_process.target.replace("127.0.0.1", host)
    with SidecarClient(target, timeout=60.0) as client:
        assert client.encode(["some text"]).encodings
