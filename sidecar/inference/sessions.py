"""One onnxruntime session: options chosen for a sidecar, batches padded, outputs checked."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import structlog

from sidecar.bundle.manifest import GraphPorts
from sidecar.errors import BundleCorrupt, SettingsInvalid
from sidecar.inference.calls import Item
from sidecar.inference.providers import RUNTIME_NAMES, check_running, runtime_providers
from sidecar.settings import Provider

__all__ = ["OnnxSession"]

log = structlog.get_logger(__name__)

Floats = npt.NDArray[np.float32]

ARENA_LOCK = threading.Lock()
"""The runtime refuses a second arena of one kind, and a cache alone would let two threads through at once."""

PROBE_TOKENS = 16

TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


@functools.cache
def share_arena() -> None:
    """Register the arena that all sessions of this process take their buffers from; once, whoever comes first.

    Each session would else keep one of its own, as large as its largest runs, though they never all run at once.
    """
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, None)


class OnnxSession:
    """A model's graph, ready to run batches of items; several threads may do so at once.

    With one thread a run computes in the thread that calls it; with more, the session has a pool that its runs share.
    """

    def __init__(
        self,
        path: Path,
        ports: GraphPorts,
        *,
        name: str,
        threads: int,
        pad_id: int,
        arena: bool = True,
        providers: Sequence[Provider] = ("cpu",),
    ) -> None:
        """Load the graph for `threads` threads on the `providers`, by preference.

        Raises BundleCorrupt where it is no graph with the manifest's ports, or one that does not run; SettingsInvalid
        for a provider that is not there, does not start or does not run the graph.

        `arena` keeps the runtime's buffers from one run to the next, in one arena for all sessions of the process: less
        time, and hardly more memory as long as no run is much larger than the others. Spinning is off: waiting threads
        would take the cores from the other model and the tokenizer. See docs/decisions/inference.md for what was
        measured.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.enable_cpu_mem_arena = arena
        if arena:
            with ARENA_LOCK:
                share_arena()
            options.add_session_config_entry("session.use_env_allocators", "1")
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        wanted = runtime_providers(providers)
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
        except Exception as error:
            raise BundleCorrupt(f"{path.name} is no graph that onnxruntime loads: {type(error).__name__}.") from None
        check_running(providers, self._session.get_providers())
        self._ports = ports
        self._pad_id = pad_id
        self._types = {port.name: TYPES.get(port.type) for port in self._session.get_inputs()}
        self._check_ports(path)
        self._probe(path, providers)
        log.info(
            "session created",
            model=name,
            runtime=onnxruntime.__version__,
            intra_op_threads=threads,
            spinning=False,
            arena=arena,
            providers=self._session.get_providers(),
        )

    def run(self, items: Sequence[Item]) -> Floats:
        """Run one batch, padded on the right to the longest bucket among the items; return the graph's output."""
        length = max(item.tokens for item in items)
        feeds = {self._ports.input_ids: self._array(self._ports.input_ids, (len(items), length), self._pad_id)}
        for name in (self._ports.attention_mask, self._ports.token_type_ids):
            if name is not None:
                feeds[name] = self._array(name, (len(items), length), 0)
        for row, item in enumerate(items):
            end = len(item.ids)
            feeds[self._ports.input_ids][row, :end] = item.ids
            if self._ports.attention_mask is not None:
                feeds[self._ports.attention_mask][row, :end] = 1
            if self._ports.token_type_ids is not None:
                feeds[self._ports.token_type_ids][row, item.second : end] = 1
        (output,) = self._session.run([self._ports.output], feeds)
        return np.asarray(output, dtype=np.float32)

    def _probe(self, path: Path, providers: Sequence[Provider]) -> None:
        """Run the graph once: a provider may take a graph that it then can't run."""
        ids = np.full(PROBE_TOKENS, self._pad_id, dtype=np.int32)
        try:
            self.run([Item(ids, slot=0, tokens=PROBE_TOKENS, second=PROBE_TOKENS)] * 2)
        except Exception as error:
            if providers[0] == "cpu":
                raise BundleCorrupt(f"{path.name} loads and does not run: {type(error).__name__}.") from None
            raise SettingsInvalid(
                f"onnxruntime's {RUNTIME_NAMES[providers[0]]} takes {path.name} and does not run it"
                f" ({type(error).__name__}): set providers to cpu, or export the model with --quantize fp32.",
                field="providers",
            ) from None

    def _array(self, name: str, shape: tuple[int, int], value: int) -> npt.NDArray[np.signedinteger]:
        return np.full(shape, value, dtype=self._types[name])

    def _check_ports(self, path: Path) -> None:
        wanted = {self._ports.input_ids, self._ports.attention_mask, self._ports.token_type_ids} - {None}
        if wanted != set(self._types):
            raise BundleCorrupt(
                f"{path.name} has the inputs {sorted(self._types)} and the manifest names {sorted(map(str, wanted))}."
            )
        strange = [name for name, kind in self._types.items() if kind is None]
        if strange:
            raise BundleCorrupt(f"{path.name}: the inputs {sorted(strange)} are no integers.")
        if self._ports.output not in {port.name for port in self._session.get_outputs()}:
            raise BundleCorrupt(f"{path.name} has no output {self._ports.output}, which the manifest names.")
