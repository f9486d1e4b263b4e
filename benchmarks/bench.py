"""What every measurement is given: models, texts, sizes, peers, and a place for what it finds on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.checkpoints import Checkpoints, find_checkpoint
from benchmarks.errors import BenchmarkFailed
from benchmarks.results import Measured, Unmeasured
from benchmarks.sizes import Sizes
from benchmarks.texts import Texts
from benchmarks.workers import LOADING_SECONDS, Peers, Worker
from sidecar.bundle import Bundle
from sidecar.server.process import SidecarProcess

__all__ = ["Bench", "Found"]

Found = dict[str, Measured | Unmeasured]
"""What was found, by the row's name."""


@dataclass(slots=True)
class Bench:
    """One run. `figures` and `versions` collect what explains the results; `say` tells whoever waits.

    `rows` are the names of the rows asked for; empty: all.
    """

    sparse: Bundle
    reranker: Bundle
    texts: Texts
    sizes: Sizes
    peers: Peers
    work: Path
    checkpoints: Path | None
    collections: Path | None
    say: Callable[[str], None]
    rows: frozenset[str] = frozenset()
    figures: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def wants(self, row: str) -> bool:
        """Whether the row was asked for: a peer that no such row needs is not started."""
        return not self.rows or row in self.rows

    def checkpoint(self, bundle: Bundle) -> Checkpoints:
        """Return the bundle's weights as peers load them; raises PeerUnavailable where that can't be done."""
        found = find_checkpoint(bundle, self.checkpoints, self.work)
        self.origins[bundle.manifest.name] = found.origin
        return found

    @contextmanager
    def sidecar(self, *bundles: Bundle, **settings: str | int | float | bool) -> Iterator[SidecarProcess]:
        """Run a sidecar that serves the bundles with the run's threads, on defaults otherwise."""
        folders = [bundle.folder for bundle in bundles]
        chosen = {"threads": self.sizes.threads, **settings}
        with SidecarProcess(folders, settings=chosen, startup_timeout=LOADING_SECONDS) as process:
            yield process

    async def start(
        self, stack: AsyncExitStack, wanted: Iterable[tuple[str, Callable[[], Path], int]]
    ) -> tuple[dict[str, Worker], dict[str, str]]:
        """Start peers one after another; return those that work, and why the others don't.

        `wanted` are name, model folder, and tokens the model reads.
        """
        workers: dict[str, Worker] = {}
        missing: dict[str, str] = {}
        for name, folder, max_tokens in wanted:
            self.say(f"loading {name}")
            try:
                worker = stack.enter_context(self.peers.start(name, folder(), max_tokens))
                await worker.ready()
            except BenchmarkFailed as error:
                missing[name] = error.message
                continue
            workers[name] = worker
            self.versions.update({f"{name}: {package}": version for package, version in worker.versions.items()})
        return workers, missing
