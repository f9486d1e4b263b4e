"""Which layer a sampled stack counts for."""

import pytest

from benchmarks.profiling import OTHER, layer_of, shares

PRUNING = "pooling, floor, pruning"
OUTER = "_bootstrap (threading.py:1002);run (asyncio/runners.py:118)"


@pytest.mark.parametrize(
    ("stack", "layer"),
    [
        (f"{OUTER};run (onnxruntime/capi/onnxruntime_inference_collection.py:287)", "graph (onnxruntime)"),
        (f"{OUTER};ids_of_all (sidecar/inference/tokens.py:91)", "tokenizer"),
        (f"{OUTER};deliver (sidecar/inference/vectors.py:88);prune (sidecar/inference/pruning.py:40)", PRUNING),
        (f"{OUTER};deliver (sidecar/inference/vectors.py:88);sort (numpy/core.py:1)", PRUNING),
        (f"{OUTER};_work (sidecar/inference/scheduler.py:200)", "batches and scheduler"),
        (f"{OUTER};write_encode_response (sidecar/contract/answers.py:31)", "protobuf"),
        (f"{OUTER};Encode (sidecar/server/grpc/encoder.py:50)", "gRPC"),
        (f"{OUTER};select (selectors.py:468)", "event loop"),
        ("main (elsewhere.py:1)", OTHER),
    ],
)
def test_the_innermost_known_frame_decides(stack: str, layer: str) -> None:
    assert layer_of(stack) == layer


def test_shares_add_up_and_descend() -> None:
    found = shares(
        [
            f"{OUTER};run (onnxruntime/capi/session.py:1) 60",
            f"{OUTER};run (onnxruntime/capi/session.py:2) 15",
            f"{OUTER};select (selectors.py:468) 5",
            "main (elsewhere.py:1) 20",
        ]
    )
    assert found == {"graph (onnxruntime)": 0.75, OTHER: 0.2, "event loop": 0.05}
    assert list(found.values()) == sorted(found.values(), reverse=True)
