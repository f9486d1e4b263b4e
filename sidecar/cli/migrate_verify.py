"""`sidecar migrate verify`: whether the new model can take over, told to a person and by an exit code."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sidecar.cli.connections import ClusterAddress, SidecarAddress, with_addresses
from sidecar.cli.options import AllowMissingOption, JsonOption, MigratedIndexOption
from sidecar.cli.output import print_json
from sidecar.domain import WHOLE_TEXT, WindowPolicy, Windows
from sidecar.errors import InvalidInput

if TYPE_CHECKING:
    from sidecar.client import AsyncSidecarClient
    from sidecar.cluster.migrate import Verification
    from sidecar.domain import Query
    from sidecar.engine import Engine
    from sidecar.evaluation.judged import Judgements
    from sidecar.evaluation.side_by_side import SideBySide
    from sidecar.search import Profile

__all__ = ["verify"]

REGRESSIONS = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """What both models are searched for, by which profile, and what is right, where that is known."""

    queries: tuple[Query, ...]
    judgements: Judgements | None
    profile: Profile

    @classmethod
    def read(cls, queries: Path, qrels: Path | None, profile: str) -> Asked:
        """Read the files; raise EvaluationError with the line that is wrong, and ProfileInvalid."""
        from sidecar.evaluation.files import read_judgements
        from sidecar.evaluation.side_by_side import read_queries
        from sidecar.search import load_profile

        judgements = None if qrels is None else read_judgements(qrels)
        return cls(read_queries(queries), judgements, load_profile(profile))


@with_addresses
def verify(
    index: MigratedIndexOption,
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    sample: Annotated[int, typer.Option(min=0, help="Documents that are encoded again, drawn at random.")] = 50,
    changed: Annotated[
        bool, typer.Option("--changed/--no-changed", help="Also compare the hash of every document's text.")
    ] = True,
    allow_missing: AllowMissingOption = 0,
    long_texts: Annotated[
        WindowPolicy, typer.Option(help="As it was said to `start`: what is read of texts beyond the model's length.")
    ] = WHOLE_TEXT.policy,
    queries: Annotated[
        Path | None, typer.Option(help="Searched with both models: one query per line, or BEIR's queries.jsonl.")
    ] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgements of these queries, as in BEIR's qrels/*.tsv.")] = None,
    profile: Annotated[str, typer.Option(help="Profile by which --queries are searched.")] = "sparse",
    min_overlap: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Fail where both models share less of the first ten hits.")
    ] = None,
    max_loss: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Fail where mean nDCG@10 falls by more than this.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Count, compare hashes, encode a sample again, and search with both models. Exit code 3: it must not be swapped.

    What passes is noted in the index: `swap` asks for it.
    """
    from sidecar.cluster.migrate import VerifyOptions, mark_verified
    from sidecar.cluster.migrate import verify as check
    from sidecar.cluster.second_index import find_pair, mark_second_index_verified, verify_second_index

    if queries is None and (qrels, min_overlap, max_loss) != (None, None, None):
        raise InvalidInput("--qrels, --min-overlap and --max-loss are about --queries.", field="queries")
    if max_loss is not None and qrels is None:
        raise InvalidInput("--max-loss needs --qrels.", field="qrels")
    options = VerifyOptions(sample, changed, allow_missing, Windows(long_texts))
    # Read before every document is compared, which may take its time.
    asked = None if queries is None else Asked.read(queries, qrels, profile)

    async def run() -> tuple[Verification, SideBySide | None, list[str]]:
        async with await cluster.connect() as connected, encoder.client() as client:
            second = await find_pair(connected, index)
            verify_it, mark_it = (check, mark_verified)
            if second is not None:
                verify_it, mark_it = (verify_second_index, mark_second_index_verified)
            found = await verify_it(connected, client, index, options)
            searched = found.index if second is None else second.serving.name
            pairs = None
            if asked is not None:
                pairs = await _compared(connected, client, found, searched, asked)
            problems = [*found.problems, *_losses(pairs, min_overlap, max_loss)]
            if not problems:
                await mark_it(connected, found)
            return found, pairs, problems

    found, pairs, problems = asyncio.run(run())
    _print(found, pairs, problems, as_json)
    if problems:
        raise typer.Exit(3)


async def _compared(
    engine: Engine,
    client: AsyncSidecarClient,
    found: Verification,
    searched: str,
    asked: Asked,
) -> SideBySide:
    """Search the candidate's index, and `searched`, which is another one where there is a second."""
    from sidecar.evaluation.side_by_side import DEPTH, side_by_side
    from sidecar.search import AsyncSearcher, SearchResult

    before = AsyncSearcher(engine, client, asked.profile, index=searched)
    after = AsyncSearcher(engine, client, asked.profile, index=found.index, fingerprint=found.candidate.fingerprint)

    async def by_active(text: str) -> SearchResult:
        return await before.search(text, size=DEPTH)

    async def by_candidate(text: str) -> SearchResult:
        return await after.search(text, size=DEPTH)

    return await side_by_side(asked.queries, by_active, by_candidate, asked.judgements)


def _losses(pairs: SideBySide | None, min_overlap: float | None, max_loss: float | None) -> list[str]:
    problems: list[str] = []
    if pairs is None:
        return problems
    if min_overlap is not None and pairs.overlap < min_overlap:
        problems.append(f"Both models share {pairs.overlap:.2f} of the first ten hits, less than {min_overlap:g}.")
    if max_loss is not None and pairs.ndcg is not None and pairs.ndcg[0] - pairs.ndcg[1] > max_loss:
        problems.append(
            f"Mean nDCG@10 falls from {pairs.ndcg[0]:.4f} to {pairs.ndcg[1]:.4f}, by more than {max_loss:g}."
        )
    return problems


def _print(found: Verification, pairs: SideBySide | None, problems: list[str], as_json: bool) -> None:
    if as_json:
        print_json(_figures(found, pairs, problems))
        return
    console, errors = Console(), Console(stderr=True)
    candidate, counts, sample = found.candidate, found.counts, found.sample
    changed = "not compared" if found.changed is None else str(found.changed)
    lines = [
        f"{found.index}: {candidate.bundle} ({candidate.fingerprint[:16]}) in {candidate.vector_field}",
        f"documents {counts.documents}: with vector {counts.with_vector}, without text {counts.without_text}, missing"
        f" {counts.missing}, changed {changed}",
        f"sample {sample.compared}: largest difference {sample.largest_difference:.2g} of the largest weight,"
        f" {len(sample.differing)} beyond what is allowed",
    ]
    if pairs is not None:
        lines.append(f"queries {len(pairs.pairs)}: overlap@10 {pairs.overlap:.3f}")
        if pairs.ndcg is not None:
            lines.append(f"nDCG@10 {pairs.ndcg[0]:.4f} -> {pairs.ndcg[1]:.4f}")
        lines += [
            f"  {pair.change:+.3f}  {pair.query.id}  {pair.query.text}" for pair in pairs.regressions(REGRESSIONS)
        ]
    for line in lines:
        console.print(escape(line), highlight=False, soft_wrap=True)
    for problem in problems:
        errors.print(f"[bold red]no:[/] {escape(problem)}", highlight=False, soft_wrap=True)
    if not problems:
        errors.print("Nothing speaks against `sidecar migrate swap`.", highlight=False)


def _figures(found: Verification, pairs: SideBySide | None, problems: list[str]) -> dict[str, object]:
    figures: dict[str, object] = {
        "index": found.index,
        "fingerprint": found.candidate.fingerprint,
        **asdict(found.counts),
        "changed": found.changed,
        "sample": asdict(found.sample),
        "problems": problems,
    }
    if pairs is not None:
        figures |= {
            "overlap": pairs.overlap,
            "ndcg": pairs.ndcg,
            "regressions": [
                {"query": pair.query.id, "change": pair.change, "overlap": pair.overlap}
                for pair in pairs.regressions(REGRESSIONS)
            ],
        }
    return figures
