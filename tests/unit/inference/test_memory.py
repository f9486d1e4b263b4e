"""Memory stays bounded whatever shapes arrive."""

import resource
import tracemalloc
from pathlib import Path

import numpy as np

from sidecar.bundle import Bundle
from sidecar.domain import Lane
from sidecar.inference import InferenceService
from sidecar.inference.buckets import Buckets
from sidecar.inference.calls import Item
from sidecar.inference.models import Host
from sidecar.inference.sparse_model import SparseModel
from sidecar.settings import Settings
from tests.unit.inference.graphs import sparse_bundle, table


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_variety_of_shapes_does_not_add_up(tiny_sparse_bundle):
    """Three hundred shapes of at most 1,024 padded tokens; a runtime that kept a block for each would hold gigabytes.

    At 1,024 tokens one tensor of this model's feed-forward layer alone has 0.5 MB.
    """
    model = SparseModel(Bundle.open(tiny_sparse_bundle), Host(Settings(threads=1), 1, pool=None))
    try:
        model.warm_up()
        random = np.random.default_rng(3)
        buckets = Buckets(128)

        def run() -> None:
            tokens = buckets.of(int(random.integers(3, 129)))
            count = int(random.integers(1, 1_024 // tokens + 1))
            ids = random.integers(5, 100, tokens).astype(np.int32)
            model._runners.narrow([Item(ids, slot, tokens, tokens) for slot in range(count)])

        for _ in range(50):
            run()
        before = resident()
        for _ in range(250):
            run()
        assert resident() - before < 32 * 2**20
    finally:
        model.close(0.0)


async def test_results_hold_their_terms_and_nothing_more(tmp_path):
    """Ten thousand encodings of a few terms: dense rows kept by accident would be 2.5 MB more for each thousand."""
    service = InferenceService.load(
        [sparse_bundle(tmp_path, matrix=table() - 4.0)], Settings(threads=1, max_batch_tokens=256)
    )
    try:
        await service.encode(["w1"])
        tracemalloc.start()
        result = await service.encode(["w1 w2", "w3"] * 5_000, lane=Lane.BULK)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        service.close()
    assert len(result.encodings) == 10_000
    assert held < 10_000 * 1_000
    assert peak < 10_000 * 4_000
