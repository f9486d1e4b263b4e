"""The training loop both students share: schedule, log, curve, checkpoints."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from scripts.starter.checkpoint import Checkpoints

LOG_EVERY = 20


class Trainer(Protocol):
    """One kind of training: `step` computes the loss of a step and leaves the gradients in the model."""

    @property
    def model(self) -> torch.nn.Module: ...

    @property
    def optimiser(self) -> torch.optim.Optimizer: ...

    def step(self, step: int) -> dict[str, float]:
        """Gradients of one step; what is worth logging."""
        ...

    def extra_state(self) -> dict[str, Any]:
        """What a checkpoint needs besides model and optimiser."""
        ...

    def restore(self, extra: dict[str, Any]) -> None:
        """Take back what `extra_state` gave."""
        ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """Learning-rate factor: linear warm-up over a share of the steps, then linear decay to 0."""

    steps: int
    warm_up: float

    def factor(self, step: int) -> float:
        """The factor of a step, in [0, 1]."""
        rising = max(1, round(self.steps * self.warm_up))
        if step < rising:
            return (step + 1) / rising
        return max(0.0, (self.steps - step) / max(1, self.steps - rising))


def train(
    trainer: Trainer,
    schedule: Schedule,
    checkpoints: Checkpoints,
    every: int,
    curve: Path,
    progress: Callable[[str], None],
    stop_at: int | None = None,
) -> None:
    """Train from the checkpoint, if there is one, to the end or to `stop_at`.

    A checkpoint is written each `every` steps and at the end; averages of each LOG_EVERY steps are appended to
    `curve` (JSON lines).
    """
    start, extra = checkpoints.load(trainer.model, trainer.optimiser)
    if extra:
        trainer.restore(extra)
        progress(f"going on at step {start} of {schedule.steps}")
    rates = [group["initial"] for group in trainer.optimiser.param_groups]
    sums: dict[str, float] = {}
    began = time.monotonic()
    end = schedule.steps if stop_at is None else min(stop_at, schedule.steps)
    for step in range(start, end):
        for group, rate in zip(trainer.optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * schedule.factor(step)
        trainer.optimiser.zero_grad(set_to_none=True)
        for name, value in trainer.step(step).items():
            sums[name] = sums.get(name, 0.0) + value / LOG_EVERY
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
        trainer.optimiser.step()
        done = step + 1
        if done % LOG_EVERY == 0:
            elapsed = time.monotonic() - began
            left = elapsed / (done - start) * (schedule.steps - done)
            _log(curve, {"step": done, "seconds": round(elapsed, 1)} | sums, left, schedule.steps, progress)
            sums.clear()
        if done % every == 0 or done == end:
            checkpoints.save(done, trainer.model, trainer.optimiser, trainer.extra_state())


def _log(curve: Path, row: dict[str, float], left: float, steps: int, progress: Callable[[str], None]) -> None:
    curve.parent.mkdir(parents=True, exist_ok=True)
    with curve.open("a", encoding="utf-8") as target:
        target.write(json.dumps(row) + "\n")
    values = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name not in ("step", "seconds"))
    progress(f"step {row['step']} of {steps}: {values}; about {left / 60:.0f} minutes left")
