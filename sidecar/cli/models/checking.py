"""`sidecar models inspect` and `verify`: what a bundle is, and whether it is whole and works."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sidecar.bundle import Bundle, Expansion, Manifest, find_bundle
from sidecar.bundle.catalogue import KnownModel, find_known, load_catalogue
from sidecar.bundle.licenses import is_non_commercial
from sidecar.cli.models.output import (
    card_summary,
    console,
    facts,
    human_size,
    license_text,
    prepare,
    print_json,
    queries_of,
    sizes,
)
from sidecar.domain import JsonObject, ModelKind, Side
from sidecar.errors import BundleNotFound

if TYPE_CHECKING:
    from sidecar.inference import InferenceService

__all__ = ["inspect_model", "verify_model"]

SAMPLE = "hello world"
SAMPLE_DOCUMENTS = ("Hello, world!", "The weather is fine today.")

Name = Annotated[str, typer.Argument(metavar="NAME|PATH", help="A bundle's name, its folder or its .zip file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def inspect_model(name: Name, as_json: AsJson = False) -> None:
    """Show a bundle: its manifest, fingerprint, files and card; or what the catalogue knows of a model."""
    try:
        path = find_bundle(name)
    except BundleNotFound:
        known = find_known(name)
        if known is None:
            raise
        _inspect_known(known, as_json=as_json)
        return
    bundle = Bundle.open(path, verify=False)
    if as_json:
        print_json(
            {
                "path": str(path),
                "fingerprint": bundle.fingerprint,
                "non_commercial": is_non_commercial(bundle.manifest.license),
                "manifest": bundle.manifest.model_dump(mode="json", exclude_none=True),
                "bytes": sizes(bundle),
                "card": card_summary(bundle.folder),
            }
        )
        return
    _print_bundle(bundle, str(path))


def _print_bundle(bundle: Bundle, path: str) -> None:
    manifest = bundle.manifest
    out = console()
    out.print(f"[bold]{manifest.name}[/]  {manifest.kind.value}")
    summary = card_summary(bundle.folder)
    if summary:
        out.print(Text(summary))
    out.print()
    table = facts()
    table.add_row("fingerprint", bundle.fingerprint)
    table.add_row("where", escape(path))
    table.add_row("licence", license_text(manifest.license, non_commercial=is_non_commercial(manifest.license)))
    table.add_row("source", escape(manifest.source))
    if manifest.base_model:
        table.add_row("base model", escape(manifest.base_model))
    tokens = f"{manifest.max_tokens:,}"
    if manifest.query_max_tokens:
        tokens += f" (queries {manifest.query_max_tokens:,})"
    table.add_row("tokens", tokens)
    table.add_row("vocabulary", f"{manifest.vocabulary_size:,}")
    table.add_row("numbers", manifest.quantization.value)
    if manifest.kind is ModelKind.CROSS_ENCODER:
        table.add_row("score", manifest.score_activation.value if manifest.score_activation else "")
    else:
        table.add_row("weights", _weights_of(manifest))
        table.add_row("queries", queries_of(manifest))
        for side, rule in (("documents", manifest.document_pruning), ("queries", manifest.query_pruning)):
            if rule is not None:
                table.add_row(f"pruning, {side}", f"{rule.type.value} {rule.value:g}")
        table.add_row("special tokens", manifest.special_tokens.value if manifest.special_tokens else "")
        if manifest.observed_max_weight:
            table.add_row("largest weight", f"{manifest.observed_max_weight:g}")
    if manifest.graph is not None:
        inputs = (manifest.graph.input_ids, manifest.graph.attention_mask, manifest.graph.token_type_ids)
        table.add_row("graph takes", escape(", ".join(name for name in inputs if name)))
        table.add_row("graph gives", escape(f"{manifest.graph.output} ({manifest.graph.output_kind})"))
    out.print(table)
    out.print()
    files = Table(box=None, header_style="bold", pad_edge=False)
    files.add_column("FILE")
    files.add_column("SIZE", justify="right")
    files.add_column("SHA256", style="dim")
    for name, size in sizes(bundle).items():
        files.add_row(escape(name), human_size(size), f"{manifest.files[name][:16]}…")
    out.print(files)


def _weights_of(manifest: Manifest) -> str:
    terms = "the text's own terms" if manifest.expansion is Expansion.OWN_TERMS else "any term of the vocabulary"
    activation = manifest.activation.value if manifest.activation else ""
    pooling = manifest.pooling.value if manifest.pooling else ""
    return f"{activation}, {pooling} over tokens, {terms}"


def _inspect_known(known: KnownModel, *, as_json: bool) -> None:
    if as_json:
        print_json({"catalogue": known.model_dump(mode="json", exclude_none=True)})
        return
    out = console()
    out.print(f"[bold]{known.repository}[/]  {known.kind.value}, not here yet")
    if known.note:
        out.print(known.note)
    out.print()
    table = facts()
    table.add_row("licence", license_text(known.license, non_commercial=known.non_commercial))
    for label, value in (
        ("architecture", known.architecture),
        ("parameters", f"{known.parameters:g} million" if known.parameters else None),
        ("languages", known.languages),
        ("vocabulary", f"{known.vocabulary_size:,}" if known.vocabulary_size else None),
        ("tokens", f"{known.max_tokens:,}" if known.max_tokens else None),
        ("tokens of a query", f"{known.query_max_tokens:,}" if known.query_max_tokens else None),
        ("activation", known.activation),
        ("pooling", known.pooling),
        ("queries", known.query_mode),
        ("missing IDF", known.missing_idf),
        ("special tokens", known.special_tokens),
        ("score", known.score_activation),
        ("pruning, documents", f"max_ratio {known.document_max_ratio:g}" if known.document_max_ratio else None),
        ("ceilings of sparse_vector", _ceilings(known)),
        ("BEIR-13 nDCG@10", _percent(known.beir13)),
        ("MS MARCO MRR@10", _percent(known.mrr10)),
        ("TREC DL19 nDCG@10", _percent(known.dl19)),
    ):
        if value is not None:
            table.add_row(label, str(value))
    for position, source in enumerate(known.sources):
        text = load_catalogue().sources[source].replace("<repository>", known.repository)
        table.add_row("sources" if position == 0 else "", text)
    out.print(table)
    out.print()
    if known.obstacle:
        out.print(f"[red]It can't be exported[/]: {known.obstacle}.")
        return
    if known.gated:
        out.print("Its conditions must be accepted on its page on the hub first, and HF_TOKEN set.")
    flag = " --accept-license" if known.non_commercial else ""
    out.print(f"sidecar models pull {known.repository}{flag}", style="bold")


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f} %"


def _ceilings(known: KnownModel) -> str | None:
    if known.ceiling_ingest is None or known.ceiling_search is None:
        return None
    return f"ingest {known.ceiling_ingest:g}, search {known.ceiling_search:g}"


@dataclass(frozen=True, slots=True)
class _Trial:
    description: str
    seconds: float


def verify_model(
    name: Name,
    run: Annotated[bool, typer.Option(help="Also load the graph and encode a text (needs the extra `server`).")] = True,
    as_json: AsJson = False,
) -> None:
    """Check every file against its sha256, then load the bundle as the server does and encode a text."""
    prepare(as_json=as_json)
    path = find_bundle(name)
    started = time.perf_counter()
    bundle = Bundle.open(path)
    hashed = time.perf_counter() - started
    trial = _run(bundle) if run else None
    if as_json:
        result: dict[str, JsonObject | str | float | bool | None] = {
            "name": bundle.manifest.name,
            "fingerprint": bundle.fingerprint,
            "files": len(bundle.manifest.files),
            "bytes": sum(sizes(bundle).values()),
            "hash_seconds": round(hashed, 4),
            "ran": trial is not None,
            "result": trial.description if trial else None,
        }
        print_json(result)
        return
    out = console()
    total = human_size(sum(sizes(bundle).values()))
    ok = Text("ok", style="bold green")
    table = Table.grid(padding=(0, 2))
    table.add_row(ok, "manifest", f"{bundle.manifest.name}, fingerprint {bundle.fingerprint}")
    table.add_row(ok, "files", f"{len(bundle.manifest.files)} match their sha256, {total} in {hashed:.2f} s")
    if trial is not None:
        table.add_row(ok, "run", f"{escape(trial.description)}, in {trial.seconds * 1_000:.1f} ms")
    out.print(table)


def _run(bundle: Bundle) -> _Trial:
    from sidecar.inference import InferenceService
    from sidecar.settings import load_settings

    service = InferenceService.load([bundle], load_settings())
    try:
        started = time.perf_counter()
        description = asyncio.run(_encode(service, bundle))
        return _Trial(description, time.perf_counter() - started)
    finally:
        service.close()


async def _encode(service: InferenceService, bundle: Bundle) -> str:
    if bundle.manifest.kind is ModelKind.CROSS_ENCODER:
        result = await service.rerank(SAMPLE, SAMPLE_DOCUMENTS)
        scores = ", ".join(f"{SAMPLE_DOCUMENTS[one.index]!r} {one.score:.3f}" for one in result.results)
        return f"{SAMPLE!r}: {scores}"
    parts: list[str] = []
    for side in (Side.DOCUMENT, Side.QUERY):
        if side is Side.DOCUMENT and bundle.manifest.graph is None:
            continue
        encoding = (await service.encode([SAMPLE], side=side, return_terms=True)).encodings[0]
        heaviest = ", ".join(f"{term} {weight:.2f}" for term, weight in list(encoding.vector.by_term().items())[:3])
        parts.append(f"{side.value} {SAMPLE!r}: {len(encoding.vector)} terms ({heaviest})")
    return "; ".join(parts)
