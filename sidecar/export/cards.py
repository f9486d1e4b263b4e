"""The model card of a bundle: the checkpoint's own, or one that says what was exported and how it was checked."""

from __future__ import annotations

from sidecar.bundle.manifest import ManifestDraft
from sidecar.export.checkpoint.reading import Checkpoint
from sidecar.export.options import CheckResult, ExportOptions

__all__ = ["model_card"]


def model_card(
    checkpoint: Checkpoint, draft: ManifestDraft, options: ExportOptions, fp32: CheckResult, int8: CheckResult | None
) -> str:
    """Return README.md: given by the options, else taken over from the checkpoint, else written here."""
    if options.model_card is not None:
        return options.model_card
    if checkpoint.card.text is not None:
        return checkpoint.card.text
    lines = [
        f"# {draft.name}",
        "",
        f"A {draft.kind.value} bundle for splade-sidecar.",
        "",
        f"- Licence: {draft.license}",
        f"- Source: {draft.source}",
    ]
    if draft.base_model:
        lines.append(f"- Base model: {draft.base_model}")
    lines += [
        f"- Body: {checkpoint.body.family.value}, {checkpoint.body.layers} layers of {checkpoint.body.hidden}",
        f"- Reads up to {draft.max_tokens} tokens; vocabulary of {draft.vocabulary_size}",
    ]
    if draft.query_mode is not None and draft.pooling is not None and draft.activation is not None:
        lines.append(
            f"- Documents: {draft.pooling.value} pooling, {draft.activation.value}; queries: {draft.query_mode.value}"
        )
    if draft.score_activation is not None:
        lines.append(f"- Score: {draft.score_activation.value} of the logit")
    lines += [
        f"- Numbers: {draft.quantization.value}",
        "",
        f"Checked against the checkpoint on {fp32.texts} texts: the fp32 graph differs by at most "
        f"{fp32.largest_difference:.1e} where the largest value is {fp32.largest_weight:.2f}.",
    ]
    if int8 is not None:
        agreement = (
            f"cosine >= {int8.cosine:.4f}"
            if int8.cosine is not None
            else f"rank correlation {int8.rank_correlation:.4f}"
        )
        lines.append(f"The int8 graph differs by at most {int8.largest_difference:.1e} ({agreement}).")
    return "\n".join(lines) + "\n"
