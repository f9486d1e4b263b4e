"""`sidecar models import`: a bundle from a ready ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from sidecar.bundle import Activation, Bundle, Pooling, SpecialTokens
from sidecar.cli.models.arguments import (
    AsJson,
    NameOption,
    QueryModeOption,
    QueryTokens,
    QueryWeights,
    Ratio,
    Replace,
    ScoreOption,
    Source,
    Specials,
    ratio_rule,
)
from sidecar.cli.models.output import prepare, print_json
from sidecar.cli.models.reports import bundle_json, print_made, working
from sidecar.domain import ModelKind

__all__ = ["import_model"]


def import_model(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="A ready graph.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the new bundle.")],
    tokenizer: Annotated[Path, typer.Option(help="tokenizer.json of the model.")],
    kind: Annotated[ModelKind, typer.Option(help="What the model does.")],
    license: Annotated[str, typer.Option("--license", help="Licence of the weights, as an SPDX identifier.")],
    name: NameOption = None,
    source: Source = None,
    query_weights: QueryWeights = None,
    input_ids: Annotated[str | None, typer.Option(help="The graph's input of that meaning. Default: found.")] = None,
    attention_mask: Annotated[str | None, typer.Option(help="Likewise.")] = None,
    token_type_ids: Annotated[str | None, typer.Option(help="Likewise.")] = None,
    output: Annotated[str | None, typer.Option(help="The graph's output to read. Default: found.")] = None,
    output_kind: Annotated[
        Literal["weights", "token_weights", "token_logits", "score_logits"] | None,
        typer.Option(help="What the output holds; refused where its shape says otherwise. Default: by its shape."),
    ] = None,
    pooling: Annotated[Pooling, typer.Option(help="How token logits become one weight per term.")] = Pooling.MAX,
    activation: Annotated[Activation, typer.Option(help="Logit to weight.")] = Activation.LOG1P_RELU,
    query_mode: QueryModeOption = None,
    missing_idf: Annotated[float, typer.Option(help="Weight of a query term that the IDF table lacks.")] = 1.0,
    special_tokens: Specials = SpecialTokens.DROP_ALL,
    document_max_ratio: Ratio = None,
    score_activation: ScoreOption = None,
    max_tokens: Annotated[int, typer.Option(help="Tokens per text, special ones included.")] = 512,
    query_max_tokens: QueryTokens = None,
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Make a bundle from a ready ONNX file, after running it to see what it gives."""
    prepare(as_json=as_json, needs=("onnx",))
    from sidecar.export.importing import ImportOptions, import_onnx
    from sidecar.export.ports import PortNames

    options = ImportOptions(
        name=name or out.resolve().name,
        kind=kind,
        license=license,
        tokenizer=tokenizer,
        query_weights=query_weights,
        source=source,
        max_tokens=max_tokens,
        query_max_tokens=query_max_tokens,
        ports=PortNames(input_ids, attention_mask, token_type_ids, output, output_kind),
        pooling=pooling,
        activation=activation,
        query_mode=query_mode,
        missing_idf=missing_idf,
        special_tokens=special_tokens,
        document_pruning=ratio_rule(document_max_ratio),
        score_activation=score_activation,
        replace=replace,
    )
    with working(f"Importing {model}", as_json=as_json):
        report = import_onnx(model, out, options)
    bundle = Bundle.open(report.folder, verify=False)
    if as_json:
        print_json({**bundle_json(bundle), "warnings": list(report.warnings)})
        return
    for warning in report.warnings:
        Console(stderr=True).print(f"[bold yellow]note:[/] {escape(warning)}", highlight=False, soft_wrap=True)
    print_made(bundle)
