"""Every row of the benchmark: what is measured, in which unit, and what it has to be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from benchmarks.errors import BenchmarkFailed

__all__ = ["GROUPS", "ROWS", "Bound", "Goal", "Row", "chosen_rows"]


class Bound(StrEnum):
    """On which side of a goal a value has to be."""

    AT_LEAST = ">="
    AT_MOST = "<="
    BELOW = "<"


@dataclass(frozen=True, slots=True)
class Goal:
    """What a row's value has to be; written as `>= 0.95`."""

    bound: Bound
    value: float

    def holds(self, value: float) -> bool:
        """Whether `value` is on the right side."""
        match self.bound:
            case Bound.AT_LEAST:
                return value >= self.value
            case Bound.AT_MOST:
                return value <= self.value
            case Bound.BELOW:
                return value < self.value

    def __str__(self) -> str:
        return f"{self.bound} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report, called `group.measure`. `goal` None: shown, because it explains another row."""

    name: str
    unit: str
    meaning: str
    goal: Goal | None = None

    @property
    def group(self) -> str:
        """The rows of a group are measured together."""
        return self.name.partition(".")[0]


def _at_least(value: float) -> Goal:
    return Goal(Bound.AT_LEAST, value)


def _at_most(value: float) -> Goal:
    return Goal(Bound.AT_MOST, value)


ROWS: tuple[Row, ...] = (
    Row("encode.documents", "documents/s", "the sidecar over a gRPC stream"),
    Row("encode.of_bare_loop", "ratio", "documents/s, sidecar / the bare graph in ideal batches", _at_least(0.95)),
    Row("encode.over_torch", "ratio", "documents/s, sidecar / sentence-transformers, torch fp32", _at_least(5.0)),
    Row("encode.over_st_onnx", "ratio", "documents/s, sidecar / sentence-transformers, ONNX backend", _at_least(3.0)),
    Row("encode.over_fastembed", "ratio", "documents/s, sidecar / fastembed", _at_least(3.0)),
    Row("encode.over_naive", "ratio", "documents/s, sidecar / onnxruntime with a naive export"),
    Row("encode.python_share", "share", "part of the threads' time in which they ran no graph"),
    Row("memory.sidecar", "MiB", "peak of the serving process while it encodes"),
    Row("memory.of_worst", "ratio", "peak, sidecar / the largest peer's", _at_most(0.25)),
    Row("memory.of_best", "ratio", "peak, sidecar / the smallest peer's", Goal(Bound.BELOW, 1.0)),
    Row("query.inside_p50", "ms", "an inference-free query, inside the server", _at_most(0.2)),
    Row("query.grpc_p50", "ms", "an inference-free query, over gRPC", _at_most(1.5)),
    Row("query.grpc_p99", "ms", "an inference-free query, over gRPC"),
    Row("rerank.p50", "ms", "reranking passages never seen before, over gRPC"),
    Row("rerank.over_torch", "ratio", "p50, sentence-transformers CrossEncoder (torch) / sidecar", _at_least(4.0)),
    Row("rerank.over_flashrank", "ratio", "p50, FlashRank on the same graph / sidecar", _at_least(1.5)),
    Row("rerank.over_st_onnx", "ratio", "p50, sentence-transformers CrossEncoder (ONNX backend) / sidecar"),
    Row("rerank.over_infinity", "ratio", "p50, infinity (torch) / sidecar"),
    Row("rerank.seen_before", "ratio", "p50, with the documents' tokens cached / the first time"),
    Row("overhead.added_p50", "ms", "what transport and batching add to one text's inference", _at_most(1.0)),
    Row("interference.p99", "ratio", "interactive queries' p99 while a bulk stream saturates / idle", _at_most(2.0)),
    Row("interference.busy_loops_p99", "ratio", "the same beside loops of the lowest priority on all cores / idle"),
    Row("interference.inference_p99", "ratio", "the same for interactive texts that need the graph"),
    Row("indexing.share", "ratio", "documents/s end to end / min(encoding, bulk writing)", _at_least(0.9)),
    Row("indexing.documents", "documents/s", "end to end"),
    Row("indexing.reconcile_share", "ratio", "the same for reconcile, of documents without vectors", _at_least(0.9)),
    Row("backfill.memory", "ratio", "peak of the reconcile process, 50,000 documents / 2,000", _at_most(1.1)),
    Row("search.p50", "ratio", "p50, sparse / BM25, same node and documents", _at_most(1.1)),
    Row("search.p99", "ratio", "p99, sparse / BM25, same node and documents", _at_most(1.1)),
    Row("search.floor_p50", "ratio", "p50, sparse with the lexical floor / BM25", _at_most(1.25)),
    Row("search.floor_p99", "ratio", "p99, sparse with the lexical floor / BM25", _at_most(1.25)),
    Row("search.two_phase_p50", "ratio", "p50, sparse in two phases / BM25"),
    Row("search.pruned_p50", "ratio", "p50, sparse with pruned queries / BM25"),
    Row("search.counted_p50", "ratio", "p50, sparse with total hits counted / not counted"),
    Row("search.source_size", "ratio", "index size, vector kept in _source / excluded"),
    Row("search.source_p50", "ratio", "p50 of 10 hits with their fields, vector kept in _source / excluded"),
    Row("soak.growth", "ratio", "resident memory at the end of the soak / after its first tenth", _at_most(1.05)),
)
"""In the order in which they are shown."""

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(row.group for row in ROWS))


def chosen_rows(names: tuple[str, ...]) -> tuple[Row, ...]:
    """Return the rows that `names`, of rows or of groups, stand for; all of them for none. Raises BenchmarkFailed."""
    if not names:
        return ROWS
    known = {row.name for row in ROWS} | set(GROUPS)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BenchmarkFailed(f"There is no row {unknown[0]!r}; `sidecar bench --list` shows them all.")
    return tuple(row for row in ROWS if row.name in names or row.group in names)
