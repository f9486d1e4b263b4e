"""Files that are whole or absent, and checkpoints from which training goes on as if it had never stopped."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A path to write to; it takes the final name only when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    yield partial
    os.replace(partial, path)


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The one checkpoint file of a training run.

    Batches are a function of (seed, step) and dropout is off, so the step is the data position and the whole
    random state.
    """

    path: Path

    def save(self, step: int, model: torch.nn.Module, optimiser: torch.optim.Optimizer, extra: dict[str, Any]) -> None:
        """`step` is the next step to take."""
        state = {"step": step, "model": model.state_dict(), "optimiser": optimiser.state_dict(), "extra": extra}
        with replace_file(self.path) as partial:
            torch.save(state, partial)

    def load(self, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> tuple[int, dict[str, Any]]:
        """Fill model and optimiser; the next step and the extra state, or (0, {}) where nothing was saved yet."""
        if not self.path.exists():
            return 0, {}
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        return state["step"], state["extra"]
