"""`sidecar models pull` and `export`: bundles from checkpoints, on the hub or in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sidecar.bundle import (
    Activation,
    Expansion,
    Pooling,
    Quantization,
    QueryTermFrequency,
    SpecialTokens,
)
from sidecar.cli.models.arguments import (
    AsJson,
    Calibrate,
    License,
    NameOption,
    Quantize,
    QueryModeOption,
    QueryTokens,
    QueryWeights,
    Ratio,
    Replace,
    ScoreOption,
    Source,
    Specials,
    calibration_texts,
    floor_of,
    ratio_rule,
)
from sidecar.cli.models.output import prepare, print_json
from sidecar.cli.models.reports import export_json, print_export, working
from sidecar.domain import ModelKind

__all__ = ["export_model", "pull"]


def pull(
    repository: Annotated[
        str, typer.Argument(metavar="REPO[@REVISION]", help="owner/name on the hub, or a name of the catalogue.")
    ],
    out: Annotated[Path | None, typer.Argument(help="Folder of the new bundle. Default: ./models/NAME.")] = None,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Yes, its licence (non-commercial, or unstated) fits my use.")
    ] = False,
    quantize: Quantize = Quantization.INT8,
    name: NameOption = None,
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a checkpoint from the Hugging Face hub and export it.

    HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and HF_HOME are respected.
    """
    prepare(as_json=as_json, needs=("huggingface_hub", "torch"))
    from sidecar.export.hub import HubReference
    from sidecar.export.pulling import PullOptions, pull_model

    reference = HubReference.parse(repository)
    options = PullOptions(out=out, name=name, quantize=quantize, accept_license=accept_license, replace=replace)
    with working(f"Pulling {reference}", as_json=as_json):
        report = pull_model(reference, options)
    if as_json:
        print_json(
            {**export_json(report.export), "repository": reference.repository, "commit": report.checkpoint.commit}
        )
        return
    print_export(report.export)


def export_model(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT_DIR", help="A Hugging Face checkpoint folder.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the new bundle.")],
    kind: Annotated[ModelKind | None, typer.Option(help="Default: what the checkpoint says.")] = None,
    quantize: Quantize = Quantization.INT8,
    calibrate: Calibrate = None,
    name: NameOption = None,
    license: License = None,
    source: Source = None,
    base_model: Annotated[str | None, typer.Option(help="What the checkpoint was trained from.")] = None,
    pooling: Annotated[Pooling | None, typer.Option(help="How token logits become one weight per term.")] = None,
    activation: Annotated[Activation | None, typer.Option(help="Logit to weight.")] = None,
    expansion: Annotated[Expansion | None, typer.Option(help="Which terms a text may get.")] = None,
    query_mode: QueryModeOption = None,
    query_weights: QueryWeights = None,
    missing_idf: Annotated[float | None, typer.Option(help="Weight of a query term the IDF table lacks.")] = None,
    query_term_frequency: Annotated[
        QueryTermFrequency | None, typer.Option(help="What a term counts that an inference-free query repeats.")
    ] = None,
    lexical_floor: Annotated[
        float | None, typer.Option(help="Add BM25's saturation of a document's own terms, times this (0.7 is usual).")
    ] = None,
    average_length: Annotated[
        float | None,
        typer.Option(help="With --lexical-floor: tokens of an average document of yours. Default: 150."),
    ] = None,
    special_tokens: Specials = SpecialTokens.DROP_ALL,
    document_max_ratio: Ratio = None,
    score_activation: ScoreOption = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens per text. Default: what the checkpoint says.")] = None,
    query_max_tokens: QueryTokens = None,
    tiles: Annotated[int, typer.Option(help="Pieces the vocabulary is cut into: memory and speed only.")] = 16,
    tolerance: Annotated[
        float, typer.Option(help="Largest difference allowed between fp32 graph and checkpoint.")
    ] = 1e-3,
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Make a bundle from a Hugging Face checkpoint folder, and compare its graph with the checkpoint."""
    prepare(as_json=as_json, needs=("torch",))
    from sidecar.export import ExportOptions, export_checkpoint
    from sidecar.export.importing import read_query_weights

    options = ExportOptions(
        kind=kind,
        quantize=quantize,
        name=name,
        license=license,
        source=source,
        base_model=base_model,
        pooling=pooling,
        activation=activation,
        expansion=expansion,
        query_mode=query_mode,
        query_weights=read_query_weights(query_weights) if query_weights else None,
        missing_idf=missing_idf,
        query_term_frequency=query_term_frequency,
        lexical_floor=floor_of(lexical_floor, average_length),
        special_tokens=special_tokens,
        document_pruning=ratio_rule(document_max_ratio),
        score_activation=score_activation,
        max_tokens=max_tokens,
        query_max_tokens=query_max_tokens,
        tiles=tiles,
        tolerance=tolerance,
        calibration=calibration_texts(calibrate),
        replace=replace,
    )
    with working(f"Exporting {checkpoint}", as_json=as_json):
        report = export_checkpoint(checkpoint, out, options)
    if as_json:
        print_json(export_json(report))
        return
    print_export(report)
