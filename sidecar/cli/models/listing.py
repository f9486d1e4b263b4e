"""`sidecar models list`: bundles that are here, or the catalogue of those that could be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sidecar.bundle import STARTERS, Bundle, bundle_folders, installed_bundles
from sidecar.bundle.catalogue import KnownModel, load_catalogue
from sidecar.bundle.licenses import is_non_commercial
from sidecar.cli.models.output import console, human_size, license_text, print_json, queries_of, sizes
from sidecar.domain import JsonObject, ModelKind
from sidecar.errors import BundleError

__all__ = ["list_models"]

DOES = {ModelKind.SPARSE_ENCODER: "encode", ModelKind.CROSS_ENCODER: "rerank"}

WIDE = 110
"""Columns from which the catalogue shows everything."""


def list_models(
    catalogue: Annotated[
        bool, typer.Option("--catalogue", help="List the models that `pull` knows instead of those that are here.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the bundles that can be named, or with --catalogue the models that can be pulled."""
    if catalogue:
        _list_catalogue(as_json=as_json)
    else:
        _list_bundles(as_json=as_json)


def _list_bundles(*, as_json: bool) -> None:
    found = [(path, _open(path)) for path in installed_bundles()]
    if as_json:
        print_json([_bundle_json(path, bundle) for path, bundle in found])
        return
    out = console()
    if not found:
        out.print("No bundle is here. Looked in:")
        for folder in bundle_folders():
            out.print(f"  {escape(str(folder))}", style="dim")
        out.print("`sidecar models pull` fetches one; `sidecar models list --catalogue` shows which.")
        return
    columns = [column for column in COLUMNS if out.width >= column.width_from]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.heading, justify=column.justify, overflow="fold", no_wrap=column.whole)
    for path, bundle in found:
        if isinstance(bundle, BundleError):
            table.add_row(escape(path.name), Text("unusable", style="bold red"))
        else:
            table.add_row(*(column.show(path, bundle) for column in columns))
    out.print(table)
    for path, bundle in found:
        if isinstance(bundle, BundleError):
            out.print(f"\n[bold red]{escape(path.name)}[/]: {escape(bundle.message)}")
    if any(not isinstance(bundle, BundleError) and bundle.manifest.name in STARTERS for _, bundle in found):
        out.print("\n[green]*[/] comes with splade-sidecar; served where nothing else is named", style="dim")


def _name(path: Path, bundle: Bundle) -> Text:
    del path
    name = Text(bundle.manifest.name)
    return name.append(" *", style="green") if bundle.manifest.name in STARTERS else name


def _license(path: Path, bundle: Bundle) -> Text:
    del path
    license = bundle.manifest.license
    return license_text(license, non_commercial=is_non_commercial(license))


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the list of bundles: shown on terminals of `width_from` columns or more."""

    heading: str
    show: Callable[[Path, Bundle], str | Text]
    width_from: int = 0
    justify: Literal["left", "right"] = "left"
    whole: bool = True


COLUMNS = (
    _Column("NAME", _name),
    _Column("DOES", lambda _, bundle: DOES[bundle.manifest.kind]),
    _Column("QUERIES", lambda _, bundle: queries_of(bundle.manifest), 100),
    _Column("NUMBERS", lambda _, bundle: bundle.manifest.quantization.value, 120),
    _Column("TOKENS", lambda _, bundle: f"{bundle.manifest.max_tokens:,}", 120, "right"),
    _Column("SIZE", lambda _, bundle: human_size(sum(sizes(bundle).values())), 0, "right"),
    _Column("FINGERPRINT", lambda _, bundle: bundle.fingerprint[:12]),
    _Column("LICENCE", _license, 0, "left", whole=False),
    _Column("WHERE", lambda path, _: Text(_short(path), style="dim"), 120, "left", whole=False),
)


def _open(path: Path) -> Bundle | BundleError:
    try:
        return Bundle.open(path, verify=False)
    except BundleError as error:
        return error


def _bundle_json(path: Path, bundle: Bundle | BundleError) -> JsonObject:
    if isinstance(bundle, BundleError):
        return {"path": str(path), "error": bundle.message}
    manifest = bundle.manifest
    return {
        "name": manifest.name,
        "kind": manifest.kind.value,
        "fingerprint": bundle.fingerprint,
        "license": manifest.license,
        "non_commercial": is_non_commercial(manifest.license),
        "query_mode": manifest.query_mode.value if manifest.query_mode else None,
        "quantization": manifest.quantization.value,
        "max_tokens": manifest.max_tokens,
        "bytes": sum(sizes(bundle).values()),
        "path": str(path),
    }


def _short(path: Path) -> str:
    try:
        return f"./{path.resolve().relative_to(Path.cwd())}"
    except ValueError:
        return str(path)


def _list_catalogue(*, as_json: bool) -> None:
    known = load_catalogue()
    if as_json:
        print_json(known.model_dump(mode="json"))
        return
    out = console()
    for kind, title in (
        (ModelKind.SPARSE_ENCODER, "Sparse encoders"),
        (ModelKind.CROSS_ENCODER, "Cross-encoders (reranking)"),
    ):
        out.print(f"[bold]{title}[/]")
        out.print(_catalogue_table([model for model in known.models if model.kind is kind], kind, out.width))
        out.print()
    out.print(
        "BEIR-13: mean nDCG@10 over 13 collections. MRR@10: MS MARCO passages, development. DL19: nDCG@10, reranking. "
        "All in percent, as published; `sidecar models inspect NAME` says by whom.",
        style="dim",
    )
    out.print("[bold yellow]NC[/]: not for commercial use; `sidecar models pull` wants --accept-license.", style="dim")
    out.print("[red]x[/]: can't be exported; `sidecar models inspect NAME` says why.", style="dim")


def _catalogue_table(models: list[KnownModel], kind: ModelKind, width: int) -> Table:
    sparse = kind is ModelKind.SPARSE_ENCODER
    wide = width >= WIDE
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("NAME", overflow="fold")
    if wide:
        table.add_column("LICENCE", no_wrap=True)
    table.add_column("SIZE", justify="right", no_wrap=True)
    table.add_column("QUERIES" if sparse else "LANGUAGES", overflow="fold")
    if wide or not sparse:
        table.add_column("MRR@10", justify="right")
    table.add_column("BEIR-13" if sparse else "DL19", justify="right")
    for owner, group in groupby(models, key=lambda model: model.repository.partition("/")[0]):
        table.add_row("", Text(f"{owner}/", style="dim"))
        for model in group:
            row: list[str | Text] = [_mark(model), model.name]
            if wide:
                row.append(model.license)
            row.append(f"{model.parameters:g} M" if model.parameters else "")
            row.append((model.query_mode.value if model.query_mode else "") if sparse else model.languages or "")
            if wide or not sparse:
                row.append(_figure(model.mrr10))
            row.append(_figure(model.beir13 if sparse else model.dl19))
            table.add_row(*row)
    return table


def _mark(model: KnownModel) -> Text:
    mark = Text("NC" if model.non_commercial else "  ", style="bold yellow")
    return mark.append(" x", style="red") if model.obstacle else mark


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
