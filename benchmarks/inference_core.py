"""Measures the inference core's choices on one sparse-encoder bundle: `python benchmarks/inference_core.py BUNDLE`.

Each measurement runs in a process of its own. CPU seconds are reported next to wall seconds: on a shared machine only
the former compare. Variants take turns, round by round, and the median round counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import structlog

from sidecar.bundle import Bundle
from sidecar.domain import Lane, Side
from sidecar.inference import InferenceService
from sidecar.inference.buckets import Buckets
from sidecar.settings import Settings

SENTENCE = "how do i parse command line arguments in python with the argparse module of its standard library"


def session(bundle: Bundle, *, arena: bool, pattern: bool, spin: bool, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = arena
    options.enable_mem_pattern = pattern
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    return onnxruntime.InferenceSession(bundle.file("model.onnx"), options, providers=["CPUExecutionProvider"])


def feeds(made: onnxruntime.InferenceSession, count: int, length: int) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(length).integers(1_000, 20_000, (count, length))
    values = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    kinds = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
    return {port.name: values[port.name].astype(kinds[port.type]) for port in made.get_inputs()}


def timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def take_turns(variants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median wall and CPU seconds of each variant."""
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for work in variants.values():
        work()
    for _ in range(rounds):
        for name, work in variants.items():
            seen[name].append(timed(work))
    return {
        name: (statistics.median(wall for wall, _ in each), statistics.median(cpu for _, cpu in each))
        for name, each in seen.items()
    }


def budgets(bundle: Bundle, threads: int) -> None:
    """Padded tokens per batch: what a token costs."""
    made = session(bundle, arena=True, pattern=False, spin=False, threads=threads)
    for length in (64, 128, 256):
        batches = {str(budget): feeds(made, budget // length, length) for budget in (256, 512, 1_024, 2_048, 4_096)}
        results = take_turns({name: partial(made.run, None, batch) for name, batch in batches.items()}, rounds=9)
        for name, (wall, cpu) in results.items():
            rate, cost = int(name) / wall, cpu / int(name) * 1e6
            print(f"length {length:4} budget {name:>5}: {rate:8.0f} tokens/s, {cost:6.1f} CPU µs/token")


def overhead_of_a_run(bundle: Bundle, threads: int) -> None:
    """What a run costs before its first token: the intercept over the number of tokens."""
    made = session(bundle, arena=True, pattern=False, spin=False, threads=threads)
    shapes = {
        f"{count}x{length}": (count, length) for count, length in [(1, 8), (1, 16), (1, 32), (1, 64), (2, 64), (4, 64)]
    }
    batches = {name: feeds(made, *shape) for name, shape in shapes.items()}
    results = take_turns({name: partial(made.run, None, batch) for name, batch in batches.items()}, rounds=31)
    for name, (wall, cpu) in results.items():
        print(f"run {name:5}: wall {wall * 1e3:7.2f} ms, CPU {cpu * 1e3:7.2f} ms")


def side_by_side(bundle: Bundle, threads: int) -> None:
    """One-thread runs on all threads at once against runs on all threads one after another, by length and budget."""
    narrow = session(bundle, arena=True, pattern=False, spin=False, threads=1)
    wide = session(bundle, arena=True, pattern=False, spin=False, threads=threads)
    with ThreadPoolExecutor(threads) as pool:

        def beside(batch: dict[str, np.ndarray], runs: int) -> None:
            for done in [pool.submit(narrow.run, None, batch) for _ in range(runs)]:
                done.result()

        def in_turn(batch: dict[str, np.ndarray], runs: int) -> None:
            for _ in range(runs):
                wide.run(None, batch)

        for length in (64, 96, 128, 256):
            variants: dict[str, Callable[[], object]] = {}
            runs: dict[str, int] = {}
            for budget in (256, 512, 1_024):
                batch = feeds(narrow, budget // length, length)
                count = threads * max(1, 4_096 // (budget * threads))
                for name, work in (("side by side", beside), ("in turn", in_turn)):
                    variants[f"{budget:5} {name}"] = partial(work, batch, count)
                    runs[f"{budget:5} {name}"] = count * (budget // length) * length
            for name, (wall, _) in take_turns(variants, rounds=9).items():
                print(f"length {length:4} budget {name:18}: {runs[name] / wall:8.0f} tokens/s")


def one_text(bundle: Bundle, threads: int) -> None:
    """One text and nothing beside it: on one thread and on all."""
    made = {
        count: session(bundle, arena=True, pattern=False, spin=False, threads=count) for count in sorted({1, threads})
    }
    for length in (16, 32, 64, 128, 160, 192, 224, 256, 320, 384, 448, 512):
        if length <= bundle.manifest.max_tokens:
            batch = feeds(made[1], 1, length)
            turns = {str(count): partial(each.run, None, batch) for count, each in made.items()}
            walls = {name: wall for name, (wall, _) in take_turns(turns, rounds=21).items()}
            print(f"one text of {length:4}: " + ", ".join(f"{n} threads {w * 1e3:7.2f} ms" for n, w in walls.items()))


def switches(bundle: Bundle, threads: int) -> None:
    """Arena, memory pattern, spinning: time of one typical batch and one query."""
    variants = {
        "chosen (arena)": {"arena": True, "pattern": False, "spin": False},
        "arena off": {"arena": False, "pattern": False, "spin": False},
        "with pattern": {"arena": True, "pattern": True, "spin": False},
        "with spinning": {"arena": True, "pattern": False, "spin": True},
    }
    for count, length in ((8, 128), (1, 16)):
        made = {name: session(bundle, threads=threads, **flags) for name, flags in variants.items()}
        batch = feeds(next(iter(made.values())), count, length)
        results = take_turns({name: partial(each.run, None, batch) for name, each in made.items()}, rounds=21)
        for name, (wall, cpu) in results.items():
            print(f"{count}x{length} {name:22}: wall {wall * 1e3:7.2f} ms, CPU {cpu * 1e3:7.2f} ms")


def memory(bundle: Bundle, flags: dict[str, bool], bucketed: bool, shapes: int = 60) -> None:
    """Resident memory after random shapes of at most 1,024 padded tokens."""
    made = session(bundle, threads=1, spin=False, **flags)
    random = np.random.default_rng(5)
    buckets = Buckets(512)
    for _ in range(shapes):
        length = int(random.integers(4, 513))
        length = buckets.of(length) if bucketed else length
        made.run(None, feeds(made, int(random.integers(1, max(2, 1_024 // length + 1))), length))
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{flags} bucketed={bucketed} shapes={shapes}: resident {resident / 2**20:.0f} MiB, peak {peak / 2**10:.0f} MiB"
    )


def service(bundle: Bundle, threads: int) -> None:
    """The core around a bare session: one query, one typical batch, a thousand documents; tokenising a megabyte."""
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    core = InferenceService.load([bundle], Settings(threads=threads))
    core.warm_up()
    made = session(bundle, arena=True, pattern=False, spin=False, threads=1)
    query = SENTENCE[:48]
    document = " ".join([SENTENCE] * 6)

    async def measure() -> None:
        for name, texts, shape in (("one query", [query], (1, 16)), ("8 documents", [document] * 8, (8, 128))):
            batch = feeds(made, *shape)
            walls: dict[str, list[float]] = {"bare": [], "core": [], "inference": []}
            cpus: dict[str, list[float]] = {"bare": [], "core": []}
            for _ in range(41):
                wall, cpu = timed(partial(made.run, None, batch))
                walls["bare"].append(wall)
                cpus["bare"].append(cpu)
                started, cpu = time.perf_counter(), time.process_time()
                result = await core.encode(texts)
                walls["core"].append(time.perf_counter() - started)
                walls["inference"].append(result.timings.inference_us / 1e6)
                cpus["core"].append(time.process_time() - cpu)
            middle = {key: statistics.median(each) * 1e3 for key, each in walls.items()}
            cpu_middle = {key: statistics.median(each) * 1e3 for key, each in cpus.items()}
            print(f"{name}: wall ms {middle}, CPU ms {cpu_middle}, terms {len(result.encodings[0].vector)}")
        started = time.perf_counter()
        result = await core.encode([document] * 200, lane=Lane.BULK)
        tokens = sum(encoding.tokens for encoding in result.encodings)
        print(f"200 documents: {tokens / (time.perf_counter() - started):.0f} tokens/s, {result.timings}")
        started = time.perf_counter()
        result = await core.encode([(document + " ") * 1_000], side=Side.DOCUMENT)
        print(f"one text of {len(document) * 1_000:,} bytes: {result.timings}")

    asyncio.run(measure())
    core.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="budgets,overhead,side_by_side,one_text,switches,service,memory")
    parser.add_argument("--memory", default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    bundle = Bundle.open(given.bundle, verify=False)
    if given.memory is not None:
        memory(bundle, **json.loads(given.memory))
        return
    print(f"onnxruntime {onnxruntime.__version__}, {given.threads} threads, {bundle.manifest.name}")
    parts: dict[str, Callable[[], None]] = {
        "budgets": lambda: budgets(bundle, given.threads),
        "overhead": lambda: overhead_of_a_run(bundle, given.threads),
        "side_by_side": lambda: side_by_side(bundle, given.threads),
        "one_text": lambda: one_text(bundle, given.threads),
        "switches": lambda: switches(bundle, given.threads),
        "service": lambda: service(bundle, given.threads),
    }
    for name in given.only.split(","):
        if name in parts:
            parts[name]()
    if "memory" in given.only.split(","):
        for flags in (
            {"arena": False, "pattern": False},
            {"arena": True, "pattern": False},
            {"arena": True, "pattern": True},
        ):
            for bucketed in (True, False):
                order = json.dumps({"flags": flags, "bucketed": bucketed})
                subprocess.run([sys.executable, __file__, str(given.bundle), "--memory", order], check=True)


if __name__ == "__main__":
    main()
