"""Reconciling an index with every model that it keeps vectors of: two while it is migrated, else one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sidecar.cluster.mirror.copying import CopyRun
from sidecar.cluster.mirror.pair import Pair, find_pair
from sidecar.cluster.reconcile.frame import Run, VectorRun
from sidecar.cluster.reconcile.run import ReconcileRun
from sidecar.cluster.reconcile.summary import ReconcileSummary
from sidecar.engine import MigrationRecord
from sidecar.errors import DocumentsNotWritten, FingerprintMismatch, InvalidInput, UnknownModel

__all__ = ["ReconcileEvery"]

Tell = Callable[[str], None]
"""Called with one sentence for the operator."""


@dataclass(eq=False, repr=False)
class ReconcileEvery(Run):
    """Brings the searched model's field up to date, then the field of the model that is rolled out or kept.

    Models are told apart by their fingerprints: a swap in the middle changes nothing of what has to be done. `model`
    narrows the choice for the searched one only. `tell` hears of a second model once. Where the migration goes into a
    second index, that index is kept as a copy of the searched one.
    """

    model: str | None = field(default=None, kw_only=True)
    tell: Tell | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._told: set[str] = set()
        self._models: dict[tuple[str, str | None], ReconcileRun] = {}
        self._copies: dict[tuple[str, str], CopyRun] = {}
        self._unserved: FingerprintMismatch | UnknownModel | None = None

    @property
    def summary(self) -> ReconcileSummary:
        """What is done so far, for all models together."""
        return sum((run.summary for run in self._all()), ReconcileSummary())

    @property
    def load_visible(self) -> bool:
        """Whether this user may see how busy the nodes are; where not, only refused writes slow the run down."""
        return all(run.load_visible for run in self._all())

    def stop(self) -> None:
        """End the run soon: nothing more is read, what is under way is written."""
        super().stop()
        for run in self._all():
            run.stop()

    def require_done(self) -> None:
        """Raise DocumentsNotWritten where something was left, as `run` does at its end.

        A model that the sidecar does not serve is reported then, too, or, following, was only told of: the other one
        must not be left behind for it.
        """
        reasons: list[str] = []
        for run in self._all():
            try:
                run.require_done()
            except DocumentsNotWritten as left:
                reasons.append(left.message)
        if reasons:
            raise DocumentsNotWritten(" ".join(dict.fromkeys(reasons)))
        if self._unserved is not None:
            raise self._unserved

    async def look(self) -> None:
        """Go through the index once for every model, and through its copy where there is one."""
        active, others = await self._kept()
        # Alone, the model is that of the index at every moment, also if somebody sets it up anew.
        await self._look_for(self.index, active if others else None, self.model)
        self._unserved = None
        for name, fingerprint in others.items():
            if self._stopping.is_set():
                return
            self._say(f"{name} is being migrated: both of its models are brought up to date.")
            try:
                await self._look_for(name, fingerprint, None)
            except (FingerprintMismatch, UnknownModel) as error:
                self._say(error.message)
                self._unserved = None if self.options.follow else error
        pair = await find_pair(self.engine, self.index)
        if pair is not None and not self._stopping.is_set():
            await self._copy(pair)

    async def _copy(self, pair: Pair) -> None:
        """Bring the other index of a migration up to date, unless it is just being made, deleted, or switched to."""
        record = pair.record
        if pair.first is None or pair.second is None or record.switching is not None:
            self._say(f"{record.alias} has no second index, or is being switched: see `sidecar migrate status`.")
            return
        self._say(f"{record.alias} is being migrated: {pair.other.name} is kept as a copy of {pair.serving.name}.")
        run = self._copies.get((record.first, record.second))
        if run is None:
            run = self._copies[(record.first, record.second)] = CopyRun(
                self.engine,
                self.sidecar,
                record.alias,
                self.dead_letters,
                self.options,
                progress=self.progress,
            )
        try:
            await run.look()
        except (FingerprintMismatch, UnknownModel) as error:
            self._say(error.message)
            self._unserved = None if self.options.follow else error
        except InvalidInput:
            if await find_pair(self.engine, self.index) is not None:
                raise
            # The migration ended meanwhile.

    async def _look_for(self, index: str, fingerprint: str | None, model: str | None) -> None:
        run = self._models.get((index, fingerprint))
        if run is None:
            run = self._models[(index, fingerprint)] = ReconcileRun(
                self.engine,
                self.sidecar,
                index,
                self.dead_letters,
                self.options,
                model=model,
                fingerprint=fingerprint,
                progress=self.progress,
            )
        if self._stopping.is_set():
            run.stop()
        try:
            await run.look()
        except FingerprintMismatch:
            active, others = await self._kept()
            if fingerprint is None or fingerprint in (active, others.get(index)):
                raise
            # The migration ended meanwhile: nothing is to be kept for this model any more.

    async def _kept(self) -> tuple[str, dict[str, str]]:
        """Return the searched model, and the second one of each index behind the name that has one."""
        active = (await self.engine.index_meta(self.index)).fingerprint
        found: dict[str, str] = {}
        for name, mapping in (await self.engine.mappings(self.index)).items():
            migration = MigrationRecord.parse(name, mapping.get("_meta"))
            if migration is not None and migration.kept is not None:
                found[name] = migration.kept.fingerprint
        return active, found

    def _all(self) -> list[VectorRun]:
        return [*self._models.values(), *self._copies.values()]

    def _say(self, sentence: str) -> None:
        if self.tell is not None and sentence not in self._told:
            self._told.add(sentence)
            self.tell(sentence)
