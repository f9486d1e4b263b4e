"""Which of a foreign graph's inputs and outputs is what, found by running it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from sidecar.bundle.manifest import GraphPorts
from sidecar.domain import ModelKind
from sidecar.errors import UnsupportedCheckpoint

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["GraphOutput", "OutputKind", "PortNames", "TrialRun", "choose_inputs", "open_session", "trial_inputs"]

OutputKind: TypeAlias = Literal["weights", "token_weights", "token_logits", "score_logits"]
Ids: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float32]

INTEGERS: dict[str, type[np.signedinteger]] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}

PREFERRED_OUTPUTS = ("weights", "output", "logits", "scores", "token_weights")


@dataclass(frozen=True, slots=True)
class PortNames:
    """Names that the importing person gave; None: find out."""

    input_ids: str | None = None
    attention_mask: str | None = None
    token_type_ids: str | None = None
    output: str | None = None
    output_kind: OutputKind | None = None


@dataclass(frozen=True, slots=True)
class GraphOutput:
    """What the chosen output is, and the width of its last axis."""

    name: str
    kind: OutputKind
    width: int


def open_session(model: Path) -> InferenceSession:
    """Load a graph for a trial; raise UnsupportedCheckpoint where onnxruntime can't."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 2
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UnsupportedCheckpoint(f"onnxruntime can't load {model.name}: {_first_line(error)}") from error


def choose_inputs(session: InferenceSession, names: PortNames) -> tuple[str, str | None, str | None]:
    """Return the names of input ids, attention mask and token types (None: the graph has none).

    Raises UnsupportedCheckpoint for an input that nobody would feed, or that takes no integers.
    """
    inputs = {port.name: port.type for port in session.get_inputs()}
    ids = _named(inputs, names.input_ids, r"(^|_)(input_?)?ids?(_|$|\.)|^input$|^tokens$", "input ids")
    mask = _named(inputs, names.attention_mask, r"mask", "attention mask")
    types = _named(inputs, names.token_type_ids, r"type|segment", "token types")
    if ids is None:
        raise UnsupportedCheckpoint(f"No input of the graph looks like input ids: {_listed(inputs)}. Name it.")
    unknown = set(inputs) - {ids, mask, types}
    if unknown:
        raise UnsupportedCheckpoint(
            f"The graph wants inputs that a sidecar does not have: {_listed(sorted(unknown))}. It has input ids, "
            "attention mask and token types."
        )
    wrong = sorted(name for name, kind in inputs.items() if kind not in INTEGERS)
    if wrong:
        raise UnsupportedCheckpoint(f"The graph's inputs must be int64 or int32: {_listed(wrong)} are not.")
    return ids, mask, types


def _named(inputs: Mapping[str, str], given: str | None, pattern: str, what: str) -> str | None:
    if given is not None:
        if given not in inputs:
            raise UnsupportedCheckpoint(f"The graph has no input {given!r} for the {what}: it has {_listed(inputs)}.")
        return given
    others = r"mask|type|segment"
    found = [
        name
        for name in inputs
        if re.search(pattern, name.lower()) and (what != "input ids" or not re.search(others, name.lower()))
    ]
    if len(found) > 1:
        raise UnsupportedCheckpoint(f"Several inputs of the graph could be the {what}: {_listed(found)}. Name one.")
    return found[0] if found else None


def trial_inputs(rows: Sequence[Sequence[int]], padding_id: int, ports: GraphPorts) -> dict[str, Ids]:
    """Pad token ids to one [batch, length] array per input of the graph."""
    length = max(len(row) for row in rows)
    ids = np.full((len(rows), length), padding_id, dtype=np.int64)
    mask = np.zeros((len(rows), length), dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    fed: dict[str, Ids] = {ports.input_ids: ids}
    if ports.attention_mask is not None:
        fed[ports.attention_mask] = mask
    if ports.token_type_ids is not None:
        fed[ports.token_type_ids] = np.zeros_like(ids)
    return fed


@dataclass(frozen=True, slots=True)
class TrialRun:
    """A graph that can be run on token ids, to see what comes out."""

    session: InferenceSession
    ports: GraphPorts
    padding_id: int

    def run(self, rows: Sequence[Sequence[int]], output: str) -> Floats:
        """Return the output for these token ids as float32; raise UnsupportedCheckpoint where it fails."""
        try:
            fed = trial_inputs(rows, self.padding_id, self.ports)
            types = {port.name: INTEGERS[port.type] for port in self.session.get_inputs()}
            (found,) = self.session.run([output], {name: array.astype(types[name]) for name, array in fed.items()})
        except Exception as error:
            shape = (len(rows), max(len(row) for row in rows))
            raise UnsupportedCheckpoint(
                f"The graph does not run on a batch of shape {shape}: {_first_line(error)}"
            ) from error
        if not isinstance(found, np.ndarray) or found.dtype.kind != "f":
            raise UnsupportedCheckpoint(f"The output {output!r} holds no floating-point numbers.")
        return found.astype(np.float32)

    def find_output(self, rows: Sequence[Sequence[int]], names: PortNames, kind: ModelKind) -> GraphOutput:
        """Choose the output and tell from its shape what it is; `rows` are at least two texts."""
        name = self._choose_output(names.output)
        shape = self.run(rows, name).shape
        batch, length = len(rows), max(len(row) for row in rows)
        if shape[:1] != (batch,):
            raise UnsupportedCheckpoint(f"The output {name!r} has shape {shape} for {batch} texts: no row per text.")
        found = _kind_of(shape, length, kind)
        declared = names.output_kind
        if found is None or (declared is not None and declared != found):
            raise UnsupportedCheckpoint(
                f"The output {name!r} has shape {shape} for {batch} texts of {length} tokens: that is no "
                f"{declared or _expected(kind)}."
            )
        return GraphOutput(name, found, int(shape[-1]))

    def _choose_output(self, given: str | None) -> str:
        outputs = [str(port.name) for port in self.session.get_outputs()]
        if given is not None:
            if given not in outputs:
                raise UnsupportedCheckpoint(f"The graph has no output {given!r}: it has {_listed(outputs)}.")
            return given
        if len(outputs) == 1:
            return outputs[0]
        preferred = [name for name in PREFERRED_OUTPUTS if name in outputs]
        if len(preferred) != 1:
            raise UnsupportedCheckpoint(f"The graph has several outputs: {_listed(outputs)}. Name one.")
        return preferred[0]


def _kind_of(shape: tuple[int, ...], length: int, kind: ModelKind) -> OutputKind | None:
    if kind is ModelKind.CROSS_ENCODER:
        return "score_logits" if len(shape) == 2 and shape[1] in (1, 2) else None
    if len(shape) == 2:
        return "token_weights" if shape[1] == length else "weights"
    if len(shape) == 3 and shape[1] == length:
        return "token_logits" if shape[2] > 1 else "token_weights"
    return None


def _expected(kind: ModelKind) -> str:
    if kind is ModelKind.CROSS_ENCODER:
        return "cross-encoder's output ([batch, 1] or [batch, 2])"
    return "sparse encoder's output ([batch, vocabulary], [batch, length], [batch, length, 1 or vocabulary])"


def _listed(names: Mapping[str, str] | Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
