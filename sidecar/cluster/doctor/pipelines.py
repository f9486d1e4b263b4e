"""Checks of search pipelines: two-phase processors without effect, pipelines that are named and do not exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sidecar.cluster.doctor.evidence import Evidence, listed, nested, number
from sidecar.cluster.doctor.findings import Finding, Severity
from sidecar.domain import JsonObject
from sidecar.engine.versions import NEURAL_SEARCH

__all__ = ["default_pipeline", "hybrid_pipeline", "normalizes", "two_phase"]

TWO_PHASE = "neural_sparse_two_phase_processor"
FUSING = ("normalization-processor", "score-ranker-processor")
DEFAULT_PIPELINE = "index.search.default_pipeline"


def normalizes(pipeline: object) -> bool:
    """Whether a pipeline fuses the parts of a hybrid query."""
    processors = pipeline.get("phase_results_processors") if isinstance(pipeline, Mapping) else None
    return any(isinstance(one, Mapping) and any(name in one for name in FUSING) for one in listed(processors))


def default_pipeline(evidence: Evidence) -> Iterator[Finding]:
    """The index's default search pipeline exists."""
    name = evidence.settings.get(DEFAULT_PIPELINE)
    if name in (None, "_none") or name in evidence.search_pipelines or _unread(evidence):
        return
    yield Finding(
        "default_pipeline",
        Severity.ERROR,
        f"{DEFAULT_PIPELINE} is {name}, and there is no such pipeline.",
        "The setting is accepted whatever it says; every search is refused.",
        "Make the pipeline, or set it to another one, or to _none.",
    )


def two_phase(evidence: Evidence) -> Iterator[Finding]:
    """A two-phase processor stands where it can work."""
    meta = evidence.meta
    default = evidence.settings.get(DEFAULT_PIPELINE)
    for name, pipeline in evidence.search_pipelines.items():
        for processor in listed(nested(pipeline, "request_processors")):
            options = nested(processor, TWO_PHASE)
            if not isinstance(options, Mapping):
                continue
            severity = Severity.WARNING if name == default else Severity.NOTE
            reason = _without_effect(options, None if meta is None else meta.dialect)
            if reason is not None:
                what, action = reason
                yield Finding(
                    "two_phase",
                    severity,
                    f"Pipeline {name} has a two-phase processor that {what}.",
                    "It works on neural_sparse queries on rank_features fields, at the top or in bool.should; elsewhere"
                    " the query stays as it is, without an error, and on seismic fields it is refused.",
                    action,
                )
            elif name == default:
                yield Finding(
                    "two_phase",
                    Severity.NOTE,
                    f"Pipeline {name}, the index's default, searches in two phases.",
                    "Documents that only match light terms disappear from hits and totals; sorting by a field, and more"
                    " than 2,000 hits at a time, are refused.",
                    "Nothing, if that is meant.",
                )


def hybrid_pipeline(evidence: Evidence) -> Iterator[Finding]:
    """Where hybrid queries are possible, something fuses their scores."""
    if evidence.cluster.lacks(NEURAL_SEARCH) is not None or _unread(evidence):
        return
    default = evidence.settings.get(DEFAULT_PIPELINE)
    if normalizes(evidence.search_pipelines.get(str(default))):
        return
    some = sorted(name for name, pipeline in evidence.search_pipelines.items() if normalizes(pipeline))
    yield Finding(
        "hybrid_pipeline",
        Severity.NOTE if some else Severity.WARNING,
        f"{'No default search pipeline' if some else 'No search pipeline'} of the cluster fuses hybrid queries.",
        "A hybrid query without one answers 200 with negative scores in the billions and the same document twice.",
        f"Send ?search_pipeline={some[0]} with hybrid queries." if some else "Run `sidecar setup`, which makes one.",
    )


def _without_effect(options: JsonObject, dialect: str | None) -> tuple[str, str] | None:
    parameters = nested(options, "two_phase_parameter")
    if str(options.get("enabled", "true")).lower() == "false":
        return "is switched off", "Remove it, or enable it."
    if nested(parameters, "prune_type") == "none":
        return "splits off no terms (prune_type: none)", "Give prune_type max_ratio."
    ratio = number(nested(parameters, "prune_ratio"))
    if ratio == 0.0:
        return "splits off no terms (prune_ratio: 0)", "Give prune_ratio 0.4, the default."
    if dialect == "seismic":
        return "is refused for the index's seismic field", "Name another pipeline for this index."
    if dialect is not None and dialect != "neural_sparse":
        return f"does nothing for queries of the dialect {dialect}", "Set up an index with --dialect neural_sparse."
    return None


def _unread(evidence: Evidence) -> bool:
    return any(what == "search pipelines" for what, _ in evidence.unread)
