"""From a repository on the hub to a bundle in one go, with the catalogue's facts filled in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from sidecar.bundle import Quantization, default_bundle_folder
from sidecar.bundle.catalogue import KnownModel, find_known
from sidecar.bundle.licenses import is_non_commercial, is_stated, spdx
from sidecar.bundle.names import require_name
from sidecar.errors import HubError, UnsupportedCheckpoint
from sidecar.export.exporting import export_checkpoint
from sidecar.export.hub import HubCheckpoint, HubReference, fetch_card, fetch_checkpoint
from sidecar.export.options import ExportOptions, ExportReport
from sidecar.export.placing import require_place
from sidecar.validation.yaml_text import FAILURES

__all__ = ["PullOptions", "PullReport", "pull_model", "read_license"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PullOptions:
    """`out` None: a folder named after the model, where bundles are looked for. `name` None: the repository's name."""

    out: Path | None = None
    name: str | None = None
    quantize: Quantization = Quantization.INT8
    accept_license: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True)
class PullReport:
    """What was fetched and what was made of it."""

    checkpoint: HubCheckpoint
    license: str
    non_commercial: bool
    known: KnownModel | None
    export: ExportReport


def pull_model(reference: HubReference, options: PullOptions) -> PullReport:
    """Fetch the checkpoint and export it.

    Raises HubError (the hub; a licence that was not accepted), UnsupportedCheckpoint, ExportError, ExportMismatch.
    """
    known = find_known(reference.repository)
    if known is not None and known.obstacle is not None:
        raise UnsupportedCheckpoint(f"{known.repository} can't be exported: {known.obstacle}.")
    name = require_name(options.name or reference.repository.partition("/")[2])
    out = options.out or default_bundle_folder() / name
    require_place(out, replace=options.replace)
    if known is not None and not options.accept_license:
        _require_acceptable(reference, known.license)
    card = fetch_card(reference)
    stated = known.license if known is not None else read_license(card.folder / "README.md")
    if not options.accept_license:
        _require_acceptable(reference, stated)
    checkpoint = fetch_checkpoint(HubReference(reference.repository, card.commit))
    report = export_checkpoint(
        checkpoint.folder, out, _export_options(known, checkpoint, name, stated or "unknown", options)
    )
    return PullReport(checkpoint, stated or "unknown", is_non_commercial(stated), known, report)


def read_license(card: Path) -> str:
    """Return the licence that a model card's header names, as an SPDX identifier where there is one; "" for none."""
    from huggingface_hub.repocard import metadata_load

    if not card.is_file():
        return ""
    try:
        header = metadata_load(card)
    except (*FAILURES, yaml.YAMLError):
        return ""
    found = header.get("license") if isinstance(header, dict) else None
    return spdx(found) if isinstance(found, str) else ""


def _require_acceptable(reference: HubReference, license: str) -> None:
    if is_non_commercial(license):
        raise HubError(
            f"{reference.repository} is licensed {license}: NOT for commercial use. If that fits what you do, "
            "say so with --accept-license."
        )
    if not is_stated(license):
        raise HubError(
            f"{reference.repository} states no licence that can be read: look at its page, and if its terms fit what "
            "you do, say so with --accept-license."
        )


def _export_options(
    known: KnownModel | None, checkpoint: HubCheckpoint, name: str, license: str, options: PullOptions
) -> ExportOptions:
    common = ExportOptions(
        name=name, license=license, source=checkpoint.source, quantize=options.quantize, replace=options.replace
    )
    if known is None:
        return common
    return replace(
        common,
        kind=known.kind,
        pooling=known.pooling,
        activation=known.activation,
        query_mode=known.query_mode,
        missing_idf=known.missing_idf,
        special_tokens=known.special_tokens or common.special_tokens,
        score_activation=known.score_activation,
        max_tokens=known.max_tokens,
        query_max_tokens=known.query_max_tokens,
    )
