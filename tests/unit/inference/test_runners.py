"""Which sessions a model gets, by its bundle, the threads and the provider."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import structlog

from sidecar.domain import Lane
from sidecar.errors import InferenceFailed
from sidecar.inference import InferenceService, models
from sidecar.inference import sessions as session_module
from sidecar.inference.buckets import Buckets
from sidecar.inference.models import ARENA_TOKENS, WIDE_MODEL_TOKENS, Host, load_runners, load_tokenizer, warm_up
from sidecar.inference.workers import Runners
from sidecar.settings import Settings
from tests.unit.inference.graphs import cross_bundle, sparse_bundle


@pytest.fixture
def sessions(monkeypatch):
    """The thread counts of the sessions that are created, none of which is real."""
    created: list[int] = []

    class Session:
        def __init__(self, path, ports, *, name, threads, pad_id, arena, providers):
            created.append(threads)

    monkeypatch.setattr(models, "OnnxSession", Session)
    return created


def loaded(bundle, threads: int, **settings):
    with ThreadPoolExecutor(1) as pool:
        host = Host(Settings(**settings), threads, pool)
        return load_runners(bundle, load_tokenizer(bundle, host), host, lambda session: lambda batch: [])


def test_one_thread_needs_one_session(tmp_path, sessions):
    runners = loaded(sparse_bundle(tmp_path, max_tokens=512), 1)
    assert (sessions, runners.workers, runners.wide) == ([1], 1, None)


def test_every_thread_runs_batches_of_its_own(tmp_path, sessions):
    runners = loaded(cross_bundle(tmp_path), 3)
    assert (sessions, runners.workers, runners.wide) == ([1], 3, None)


@pytest.mark.parametrize(("max_tokens", "wide"), [(256, False), (WIDE_MODEL_TOKENS, True), (ARENA_TOKENS, True)])
def test_models_that_read_long_texts_can_run_one_on_every_thread(tmp_path, sessions, max_tokens, wide):
    runners = loaded(sparse_bundle(tmp_path, max_tokens=max_tokens), 4)
    assert (sessions, runners.workers) == ([1, 4] if wide else [1], 4)
    assert (runners.wide is not None) is wide


@pytest.mark.parametrize("manifest", [{"max_tokens": ARENA_TOKENS + 1}, {"kind": "token_logits"}])
def test_graphs_that_may_need_much_memory_run_one_batch_at_a_time(tmp_path, sessions, manifest):
    runners = loaded(sparse_bundle(tmp_path, **manifest), 4)
    assert (sessions, runners.workers, runners.wide) == ([4], 1, None)


@pytest.mark.parametrize("provider", ["cuda", "openvino"])
def test_beside_a_device_one_worker_is_enough(tmp_path, sessions, provider):
    runners = loaded(sparse_bundle(tmp_path, max_tokens=512), 4, providers=(provider, "cpu"))
    assert (sessions, runners.workers, runners.wide) == ([4], 1, None)


def test_services_loaded_at_once_share_one_arena(tmp_path):
    """The runtime refuses to register a second one."""
    bundle, together = sparse_bundle(tmp_path), Barrier(4)
    session_module.share_arena.cache_clear()
    registered = []

    def load():
        together.wait(timeout=30.0)
        service = InferenceService.load([bundle], Settings(threads=1))
        service.warm_up()
        service.close()

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as pool:
        patch.setattr(
            session_module.onnxruntime,
            "create_and_register_allocator",
            lambda *given: (time.sleep(0.05), registered.append(given)),
        )
        for loading in [pool.submit(load) for _ in range(4)]:
            loading.result()
    assert len(registered) == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_warming_up_takes_all_the_memory_that_full_batches_need(tmp_path, workers):
    """Every bucket alone; then as many of the longest, shortest and typical texts as the budget holds, on all."""
    longest, budget = 200, 512
    lengths = Buckets(longest).lengths
    together = Barrier(workers)
    alone, full, rates = [], [], []

    def run(items):
        shape = (items[0].tokens, len(items))
        if len(alone) < len(lengths):
            alone.append(shape)
        else:
            together.wait(timeout=30.0)  # for the other workers, which run the same
            full.append(shape)
        return [None] * len(items)

    class Rate:
        def record(self, tokens, seconds):
            rates.append((tokens, seconds > 0))

    with ThreadPoolExecutor(1) as pool:
        tokenizer = load_tokenizer(sparse_bundle(tmp_path), Host(Settings(), workers, pool))
        warm_up(Runners(run, workers), Rate(), tokenizer, longest=longest, budget=budget)
    assert alone == [(length, 1) for length in lengths]
    assert full == [shape for shape in ((200, 2), (8, 64), (128, 4)) for _ in range(workers)]
    assert rates == [(128 * 4 * workers, True)]


def test_a_graph_that_reads_less_than_its_manifest_says_is_told_before_it_serves(tmp_path):
    def run(items):
        if items[0].tokens > 64:
            raise RuntimeError("Status Message: indices element out of data bounds")
        return [None] * len(items)

    with ThreadPoolExecutor(1) as pool:
        tokenizer = load_tokenizer(sparse_bundle(tmp_path), Host(Settings(), 1, pool))
        with pytest.raises(InferenceFailed, match=r"1 x 80 tokens \(RuntimeError\): does it read as many"):
            warm_up(Runners(run), None, tokenizer, longest=128, budget=512)


async def test_threads_do_not_change_what_is_said_of_a_text(tmp_path):
    bundle = sparse_bundle(tmp_path, max_tokens=512)
    texts = [" ".join(f"w{(number * step) % 59}" for number in range(400)) for step in (3, 5)]
    answers = []
    for threads in (1, 2):
        with structlog.testing.capture_logs() as logs:
            service = InferenceService.load([bundle], Settings(threads=threads))
        created = [line["intra_op_threads"] for line in logs if line["event"] == "session created"]
        assert created == ([1] if threads == 1 else [1, 2])
        try:
            service.warm_up()
            lone = [(await service.encode([text])).encodings[0].vector for text in texts]
            bulk = (await service.encode(texts * 20, lane=Lane.BULK)).encodings
            assert [encoding.vector for encoding in bulk] == lone * 20
            answers.append(lone)
        finally:
            service.close()
    assert answers[0] == answers[1]
