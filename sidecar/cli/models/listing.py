"""`sidecar models list`: bundles that are here, or the catalogue of those that could be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from sidecar.bundle import STARTERS, Bundle, bundle_folders, installed_bundles
from sidecar.bundle.catalogue import KnownModel, load_catalogue
from sidecar.bundle.licenses import is_non_commercial
from sidecar.cli.models.output import console, human_size, license_text, print_json, queries_of, sizes
from sidecar.domain import JsonObject, ModelKind
from sidecar.errors import BundleError

__all__ = ["list_models"]


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
            out.print(f"  {folder}", style="dim")
        out.print("`sidecar models pull` fetches one; `sidecar models list --catalogue` shows which.")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("NAME", "KIND", "QUERIES", "NUMBERS", "TOKENS", "SIZE", "LICENCE", "FINGERPRINT", "WHERE"):
        table.add_column(
            heading,
            justify="right" if heading in ("TOKENS", "SIZE") else "left",
            overflow="fold",
            no_wrap=heading in ("NAME", "FINGERPRINT", "SIZE"),
        )
    for path, bundle in found:
        where = Text(_short(path), style="dim")
        if isinstance(bundle, BundleError):
            table.add_row(path.name, Text("unusable", style="bold red"), "", "", "", "", "", "", where)
            continue
        manifest = bundle.manifest
        name = Text(manifest.name)
        if manifest.name in STARTERS:
            name.append(" *", style="green")
        table.add_row(
            name,
            manifest.kind.value,
            queries_of(manifest),
            manifest.quantization.value,
            f"{manifest.max_tokens:,}",
            human_size(sum(sizes(bundle).values())),
            license_text(manifest.license, non_commercial=is_non_commercial(manifest.license)),
            bundle.fingerprint[:12],
            where,
        )
    out.print(table)
    for path, bundle in found:
        if isinstance(bundle, BundleError):
            out.print(f"\n[bold red]{path.name}[/]: {bundle.message}")
    if any(not isinstance(bundle, BundleError) and bundle.manifest.name in STARTERS for _, bundle in found):
        out.print("\n[green]*[/] comes with splade-sidecar; served where nothing else is named", style="dim")


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
        out.print(_catalogue_table([model for model in known.models if model.kind is kind], kind))
        out.print()
    out.print(
        "BEIR-13: mean nDCG@10 over 13 collections. MRR@10: MS MARCO passages, development. DL19: nDCG@10, reranking. "
        "All in percent, as published; `sidecar models inspect NAME` says by whom.",
        style="dim",
    )
    out.print("[bold yellow]NC[/]: not for commercial use; `sidecar models pull` wants --accept-license.", style="dim")
    out.print("[red]x[/]: can't be exported; `sidecar models inspect NAME` says why.", style="dim")


def _catalogue_table(models: list[KnownModel], kind: ModelKind) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("", width=1)
    table.add_column("REPOSITORY", overflow="fold")
    table.add_column("LICENCE", no_wrap=True)
    table.add_column("PARAMETERS", justify="right", no_wrap=True)
    sparse = kind is ModelKind.SPARSE_ENCODER
    table.add_column("QUERIES" if sparse else "LANGUAGES", no_wrap=sparse)
    table.add_column("MRR@10", justify="right")
    table.add_column("BEIR-13" if sparse else "DL19", justify="right")
    for model in models:
        table.add_row(
            Text("x", style="red") if model.obstacle else "",
            model.repository,
            Text("NC  ", style="bold yellow") + Text(model.license, style="yellow")
            if model.non_commercial
            else model.license,
            f"{model.parameters:g} M" if model.parameters else "",
            (model.query_mode.value if model.query_mode else "") if sparse else model.languages or "",
            _figure(model.mrr10),
            _figure(model.beir13 if sparse else model.dl19),
        )
    return table


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
