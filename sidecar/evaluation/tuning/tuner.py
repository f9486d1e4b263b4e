"""Tuning a profile on judged queries: search and rerank once, compute every setting, choose, check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sidecar.client import AsyncSidecarClient
from sidecar.engine import CollectionFrequencies, Engine
from sidecar.errors import EvaluationError
from sidecar.evaluation.collection import Collection
from sidecar.evaluation.environment import environment
from sidecar.evaluation.live_index import LiveIndex
from sidecar.evaluation.measures import COMPARED, MEASURES
from sidecar.evaluation.report import ModelReport
from sidecar.evaluation.target import Target, patient
from sidecar.evaluation.temporary_index import indexed_collection
from sidecar.evaluation.tuning.choice import Validation, validated
from sidecar.evaluation.tuning.curves import curves_of
from sidecar.evaluation.tuning.evidence import Gatherer
from sidecar.evaluation.tuning.grid import Grid, grid_of
from sidecar.evaluation.tuning.outcomes import Outcomes, tops_of
from sidecar.evaluation.tuning.replay import first_ranking
from sidecar.evaluation.tuning.report import FoldChoice, TuningReport
from sidecar.evaluation.tuning.settings import AxisValue, FirstStageSetting, Setting, setting_of, tuned
from sidecar.search import Profile
from sidecar.search.candidates import Place
from sidecar.search.identity import DocumentKey

__all__ = ["FEW_QUERIES", "Tuned", "Tuner", "TuningPlan"]

FEW_QUERIES = 30
"""With fewer, no gain of a size that occurs is told from chance."""

LARGEST_DEPTH = 1_000
"""What a profile may rerank."""


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """What is tuned: the values of `profile` that `grid_of` varies, by `measure`; `name` is the tuned profile's.

    `force`: the chosen values are taken also where their gain is not beyond chance. `model`: by which a collection is
    indexed. `max_depth`: how many documents a setting may rerank; None: as many as the profile does.

    Raises EvaluationError for a measure that is none, fewer than two folds, and a depth that the profile can't have;
    ProfileInvalid for a name that no profile can have.
    """

    profile: Profile
    name: str
    measure: str = COMPARED
    folds: int = 5
    seed: int = 0
    force: bool = False
    model: str | None = None
    max_depth: int | None = None

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise EvaluationError(f"{self.measure!r} is no measure: one of {', '.join(MEASURES)}.")
        if self.folds < 2:
            raise EvaluationError("At least two folds are needed: one that chooses, and one that checks.")
        if self.max_depth is not None:
            self._require_depth(self.max_depth)
        # A name that no profile can have is told of before anything is searched.
        tuned(self.profile, setting_of(self.profile), self.name)

    def _require_depth(self, deepest: int) -> None:
        name, candidates = self.profile.name, self.profile.candidates
        if self.profile.rerank is None:
            raise EvaluationError(f"The profile {name} reranks nothing: --max-depth is for one that does.")
        limit = min(candidates, LARGEST_DEPTH)
        if not 1 <= deepest <= limit:
            raise EvaluationError(
                f"The profile {name} can rerank 1 to {limit:,} documents, of its {candidates:,} candidates: name a"
                " smaller --max-depth, or a profile with more candidates."
            )

    @property
    def size(self) -> int:
        """How many hits the measure looks at."""
        return int(self.measure.rpartition("@")[2])


@dataclass(frozen=True, slots=True)
class Tuned:
    """The tuned profile, what it is worth, and its answers to the judged queries (ids, by query id)."""

    profile: Profile
    report: TuningReport
    rankings: Mapping[str, tuple[str, ...]]


class Tuner:
    """Tunes one profile on one cluster and one sidecar. `say` as `Experiment` has it."""

    def __init__(
        self,
        engine: Engine,
        sidecar: AsyncSidecarClient,
        plan: TuningPlan,
        say: Callable[[str, int, int], None] = lambda _line, _done, _total: None,
    ) -> None:
        self._engine = engine
        self._sidecar = sidecar
        self._plan = plan
        self._say = say

    async def tune_collection(self, collection: Collection) -> Tuned:
        """Index the collection, tune on the split that was read, and delete the index again."""
        async with indexed_collection(
            self._engine,
            self._sidecar,
            collection,
            model=self._plan.model,
            progress=lambda summary: self._say(
                f"{collection.name}: indexing", summary.written, len(collection.documents)
            ),
        ) as indexed:
            target = Target(collection, indexed.name, indexed.meta, collection.own_documents)
            _, frequencies = await self._engine.index_record(indexed.name)
            missing = (collection.missing_documents, collection.queries_missing_relevant)
            return await self._tuned(target, frequencies, missing, index=None)

    async def tune_index(self, live: LiveIndex) -> Tuned:
        """Tune on an index that exists, which is only read."""
        missing = (len(live.missing), live.queries_missing_relevant)
        return await self._tuned(live.target, live.frequencies, missing, index=live.target.index)

    async def _tuned(
        self, target: Target, frequencies: CollectionFrequencies | None, missing: tuple[int, int], index: str | None
    ) -> Tuned:
        plan, judged = self._plan, target.judged
        grid = grid_of(plan.profile, frequencies=frequencies is not None, max_depth=plan.max_depth)
        gatherer = Gatherer(
            self._engine, self._sidecar, target, patient(plan.profile), max(plan.size + 1, grid.deepest)
        )
        outcomes = Outcomes(grid, plan.measure, judged.judgements)
        pairs = 0
        for number, query in enumerate(judged.queries):
            self._say(f"{judged.name}: {plan.profile.name}", number, len(judged.queries))
            searches = await gatherer.searches(query, grid.idf_shares)
            firsts = {
                first: first_ranking(searches.lists[first.collection_idf], first, plan.profile.candidates)
                for first in grid.firsts
            }
            heads = _heads(firsts, grid)
            read = await gatherer.read(query, searches, heads)
            pairs += len({key for one in heads.values() for key in one})
            own = target.own_documents.get(query.id)
            outcomes.add(query, tops_of(grid, firsts, read, plan.profile.rerank, own, plan.size))
        self._say(f"{judged.name}: choosing", len(judged.queries), len(judged.queries))
        validation = validated(grid, outcomes.values(), outcomes.queries, plan.folds, plan.seed)
        report = await self._report(target, grid, outcomes, validation, gatherer.fingerprint)
        notes = _notes(plan, len(judged.queries), judged.split, frequencies is not None, index)
        written = validation.final if plan.force or report.beyond_chance else 0
        report = report.model_copy(
            update={
                "index": index,
                "missing_documents": missing[0],
                "queries_missing_relevant": missing[1],
                "pairs": pairs,
                "notes": notes,
                "wrote": "chosen" if written == validation.final and report.changed else "start",
            }
        )
        profile = tuned(plan.profile, grid.settings[written], plan.name)
        return Tuned(profile, report, outcomes.rankings(written))

    async def _report(
        self, target: Target, grid: Grid, outcomes: Outcomes, validation: Validation, reranker: str | None
    ) -> TuningReport:
        plan, judged, values = self._plan, target.judged, outcomes.values()
        used = {target.meta.fingerprint, reranker}
        return TuningReport(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            environment=environment(),
            engine=f"{self._engine.info.distribution} {self._engine.info.version}",
            measured_on=judged.name,
            split=judged.split,
            queries=len(judged.queries),
            missing_documents=0,
            queries_missing_relevant=0,
            measure=plan.measure,
            profile=plan.profile.name,
            models=tuple(
                ModelReport(name=one.name, kind=one.kind, fingerprint=one.fingerprint, quantization=one.quantization)
                for one in await self._sidecar.models()
                if one.fingerprint in used
            ),
            settings=len(grid.settings),
            pairs=0,
            seed=plan.seed,
            start=_tuned_axes(grid, grid.start),
            chosen=_tuned_axes(grid, grid.settings[validation.final]),
            start_mean=float(values[0].mean()),
            held_out_mean=sum(validation.held_out) / len(validation.held_out),
            chosen_mean=float(values[validation.final].mean()),
            against_start=validation.comparison,
            error=validation.error,
            folds=tuple(
                FoldChoice(queries=validation.folds.count(fold), setting=_tuned_axes(grid, grid.settings[choice]))
                for fold, choice in enumerate(validation.choices)
            ),
            curves=curves_of(grid, values, validation.final),
            wrote="start",
        )


def _heads(firsts: Mapping[FirstStageSetting, list[Place]], grid: Grid) -> dict[float, set[DocumentKey]]:
    """Return what the reranker has to read, whatever the setting, by `collection_idf`."""
    heads: dict[float, set[DocumentKey]] = {share: set() for share in grid.idf_shares}
    for first, ranking in firsts.items():
        heads[first.collection_idf].update(place.key for place in ranking[: grid.deepest])
    return heads


def _tuned_axes(grid: Grid, setting: Setting) -> dict[str, AxisValue]:
    return {axis: value for axis, value in setting.axes().items() if axis in grid.axes}


def _notes(plan: TuningPlan, queries: int, split: str, frequencies: bool, index: str | None) -> tuple[str, ...]:
    notes: list[str] = []
    if queries < FEW_QUERIES:
        notes.append(
            f"{queries} judged queries are few: a gain has to be large to be told from chance. Judge {FEW_QUERIES} at"
            " the least."
        )
    if split == "test":
        notes.append(
            "The split is called test. What is tuned on it can't be measured on it any more: tune on another one."
        )
    if plan.profile.sparse is not None and not frequencies:
        counted = f"`sidecar frequencies --index {index}` counts them" if index else "its encoder looks no queries up"
        notes.append(f"collection_idf is not tuned: the index has no document frequencies; {counted}.")
    if plan.profile.summed_in_cluster:
        notes.append("The fusion is not tuned: the profile leaves the sum to the cluster (normalization: none).")
    return tuple(notes)
