"""Training without each ingredient in turn: short runs from the same start, judged on the dev splits and held-out text.

The shipped encoder has more steps behind it; what is compared here are runs of one length.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from scripts.starter import folders
from scripts.starter.batches import Batcher
from scripts.starter.checkpoint import Checkpoints, replace_file
from scripts.starter.export import export_sparse
from scripts.starter.loop import Schedule, train
from scripts.starter.recipe import FloorRecipe, SparseRecipe, TeacherRecipe
from scripts.starter.report import Report, report
from scripts.starter.sparse import SparseTrainer
from scripts.starter.student import SparseStudent
from scripts.starter.teacher import Teacher
from scripts.starter.variants import Model
from scripts.starter.workspace import Workspace, base_folder

__all__ = ["ABLATION", "WITH_ALL", "Run", "ablate", "runs"]

ABLATION = "ablation.json"
WITH_ALL = "with everything"


@dataclass(frozen=True, slots=True)
class Run:
    """One training: its name in the table, and the recipes it goes by."""

    name: str
    sparse: SparseRecipe
    teacher: TeacherRecipe
    floor: FloorRecipe

    @property
    def folder(self) -> str:
        """A name for its files."""
        return self.name.replace(" ", "-").replace(",", "")


def runs(steps: int) -> list[Run]:
    """The whole recipe at so many steps, and the same without each ingredient."""
    whole = Run(WITH_ALL, replace(SparseRecipe(), steps=steps), TeacherRecipe(), FloorRecipe())

    def without(name: str, changed: SparseRecipe | TeacherRecipe | FloorRecipe) -> Run:
        match changed:
            case SparseRecipe():
                return replace(whole, name=f"without {name}", sparse=changed)
            case TeacherRecipe():
                return replace(whole, name=f"without {name}", teacher=changed)
            case FloorRecipe():
                return replace(whole, name=f"without {name}", floor=changed)

    sparse, teacher = whole.sparse, whole.teacher
    return [
        whole,
        without("the floor in training", replace(whole.floor, weight=0.0)),
        without("the lexical teacher", replace(teacher, lexical_weight=0.0)),
        without("the labels", replace(teacher, label_bonus=0.0)),
        without("neighbours in a batch", replace(sparse, neighbours=False)),
        without("titles and sentences as queries", replace(sparse, generated_queries=False)),
        without("wordy queries", replace(sparse, padded_share=0.0)),
        without("a higher price of common terms", replace(sparse, dearest_term=1.0)),
        without("a penalty", replace(sparse, penalty_start=0.0, penalty_gain=0.0)),
        without("long passages", replace(sparse, long_every=steps + 1)),
        without("neural queries", replace(sparse, neural_every=steps + 1)),
    ]


def ablate(
    work: Workspace,
    steps: int,
    judged: Sequence[tuple[Path, str]],
    initial: Callable[[Workspace], SparseStudent],
    model_of: Callable[[Workspace, Path], Model],
) -> None:
    """Train and measure every run that has not been measured; results so far are in the work folder."""
    path = work.folder / ABLATION
    found: dict[str, Any] = (
        json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"steps": steps, "runs": {}}
    )
    if found["steps"] != steps:
        raise ValueError(f"{path} is of {found['steps']} steps; remove it, and the folder ablation, to begin anew")
    for run in runs(steps):
        if run.name in found["runs"]:
            continue
        work.progress(f"ablation: {run.name}")
        bundle = _trained(work, run, initial)
        measured: Report = report(work, bundle, model_of(work, bundle), judged)
        found["runs"][run.name] = asdict(measured)
        with replace_file(path) as partial:
            partial.write_text(json.dumps(found, indent=2), encoding="utf-8")


def _trained(work: Workspace, run: Run, initial: Callable[[Workspace], SparseStudent]) -> Path:
    """The bundle of one run, trained from where it was stopped."""
    folder = work.folder / "ablation" / run.folder
    student = initial(work)
    student.floor = run.floor.weight
    whole = work.teacher
    teacher = Teacher(whole.query_vectors, whole.document_vectors, whole.lexical, whole.labels.tolist(), run.teacher)
    batcher = Batcher(work.corpus, teacher, work.document_tokens.lengths, run.sparse)
    train(
        SparseTrainer(student, teacher, batcher, work.texts, run.sparse, run.floor, work.device),
        Schedule(run.sparse.steps, run.sparse.warm_up),
        Checkpoints(folder / "checkpoint.pt"),
        run.sparse.checkpoint_every,
        folder / "curve.jsonl",
        work.progress,
    )
    folders.save_sparse(
        student, work.folding, run.floor, work.texts.average_length, base_folder(), folder / "checkpoint"
    )
    return export_sparse(work, folder / "bundle", checkpoint=folder / "checkpoint")
