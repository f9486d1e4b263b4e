"""Measures what the exporter's graph gains: `python -m benchmarks.export_graphs CHECKPOINT [--json OUT]`.

CHECKPOINT is a masked-LM folder, or a sentence-transformers router. Each graph runs in a process of its own, on one
thread; tokens per CPU second are reported, because on a shared machine wall seconds say little. `naive` is SPLADE by
the book, as a traced graph would have it: activation over [batch, length, vocabulary], then the maximum. `per batch`
is onnxruntime's own dynamic quantisation (per channel, one activation scale for the whole batch) of the tiled graph.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto

from benchmarks.naive_graph import add_naive_logits
from sidecar.bundle import Quantization
from sidecar.export import ExportOptions
from sidecar.export.checking import compare, make_samples
from sidecar.export.checkpoint import Checkpoint, read_checkpoint
from sidecar.export.graph.builder import GraphBuilder
from sidecar.export.graph.building import build_graph
from sidecar.export.recipe import make_recipe

SHAPES = ((1, 16), (8, 128), (32, 128))


def naive_graph(checkpoint: Checkpoint, logarithms: int) -> GraphBuilder:
    builder = GraphBuilder("naive")
    value = builder.node("Relu", add_naive_logits(builder, checkpoint))
    for _ in range(logarithms):
        value = builder.node("Log", builder.node("Add", value, builder.scalar(1.0)))
    mask = builder.node("Cast", builder.node("Unsqueeze", "attention_mask", builder.integers(2)), to=TensorProto.FLOAT)
    pooled = builder.node("ReduceMax", builder.node("Mul", value, mask), builder.integers(1), keepdims=0)
    builder.output("weights", pooled, checkpoint.rows)
    return builder


def quantized_per_batch(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    options = onnxruntime.SessionOptions()
    # Folds the transposed tiles into constants, which is what the quantiser looks for.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target.with_suffix(".folded"))
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    quantize_dynamic(
        target.with_suffix(".folded"),
        target,
        per_channel=True,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gather"],
    )


def measure(path: Path) -> dict[str, float]:
    """Tokens per CPU second for every shape, and peak resident megabytes; meant for a process of its own."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found: dict[str, float] = {}
    for batch, length in SHAPES:
        ids = np.random.default_rng(length).integers(1_000, 20_000, (batch, length))
        mask = np.ones_like(ids)
        mask[:, -3:] = 0
        seconds = []
        for _ in range(3):
            started = time.process_time()
            session.run(None, {"input_ids": ids, "attention_mask": mask})
            seconds.append(time.process_time() - started)
        found[f"{batch}x{length}"] = round(batch * length / min(seconds))
    # The kernel's high-water mark of this program alone; getrusage would bring the parent's along.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    found["peak_mb"] = round(int(peak.split()[1]) / 1024)
    found["file_mb"] = round(path.stat().st_size / 1e6, 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.checkpoint)))
        return
    checkpoint, options = read_checkpoint(arguments.checkpoint), ExportOptions()
    recipe = make_recipe(checkpoint, options)
    logarithms = 2 if recipe.activation is not None and recipe.activation.value == "log1p_log1p_relu" else 1
    samples = make_samples(checkpoint, recipe, options)
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        paths = {name: Path(scratch) / f"{name}.onnx" for name in ("naive", "tiled", "int8", "per batch")}
        naive_graph(checkpoint, logarithms).save(paths["naive"])
        build_graph(checkpoint, recipe, Quantization.FP32, 16).save(paths["tiled"])
        build_graph(checkpoint, recipe, Quantization.INT8, 16).save(paths["int8"])
        quantized_per_batch(paths["tiled"], paths["per batch"])
        for name, path in paths.items():
            command = [sys.executable, __file__, str(path), "--measure"]
            results[name] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            check = compare(path, samples, recipe)
            results[name] |= {"largest_difference": check.largest_difference, "lowest_cosine": check.cosine or 0.0}
            print(name, results[name], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
