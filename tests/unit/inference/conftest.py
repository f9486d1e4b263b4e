"""A service over graphs whose arithmetic is known."""

import pytest

from sidecar.inference import InferenceService
from sidecar.settings import Settings
from tests.unit.inference.graphs import cross_bundle, sparse_bundle

IDF = {"w1": 2.0, "w2": 0.5}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    root = tmp_path_factory.mktemp("bundles")
    return [
        sparse_bundle(root / "sparse", document_pruning={"type": "top_k", "value": 5}),
        cross_bundle(root / "cross"),
        sparse_bundle(root / "idf", name="arithmetic-idf", query_weights=IDF),
        sparse_bundle(root / "queries", name="queries-only", kind="none", query_weights=IDF),
        cross_bundle(root / "plain", name="plain-cross", typed=False, score_activation="identity"),
    ]


@pytest.fixture(scope="module", params=[1, 3], ids=["one_thread", "three_threads"])
def service(bundles, request):
    made = InferenceService.load(bundles, Settings(threads=request.param, max_text_bytes=5_000))
    made.warm_up()
    yield made
    made.close()
