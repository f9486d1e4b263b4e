"""Checks of an application's own search body (`sidecar doctor --query FILE`) against what clusters do with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sidecar.cluster.doctor.evidence import Evidence, listed, nested, number
from sidecar.cluster.doctor.findings import Finding, Severity
from sidecar.cluster.doctor.pipelines import DEFAULT_PIPELINE, TWO_PHASE, normalizes
from sidecar.domain import JsonObject, JsonValue, as_object
from sidecar.engine.features import LARGEST_QUERY_WEIGHT
from sidecar.engine.passage_field import scored_field

__all__ = ["hybrid_query", "neural_sparse_query", "passage_query", "rank_feature_query", "two_phase_query"]

DEFAULT_SIZE = 10.0
DEFAULT_K = 10.0


def hybrid_query(evidence: Evidence) -> Iterator[Finding]:
    """A hybrid query has a pipeline that fuses it, and a depth."""
    if evidence.query is None:
        return
    hybrids = [content for _, kind, content in _clauses(evidence.query.get("query"), ()) if kind == "hybrid"]
    if not hybrids:
        return
    if not normalizes(_pipeline(evidence)):
        yield Finding(
            "hybrid_query",
            Severity.ERROR,
            "The hybrid query has no search pipeline that fuses its parts.",
            "It answers 200 with negative scores in the billions and the same document twice.",
            "Name one: ?search_pipeline=NAME, search_pipeline in the body, or index.search.default_pipeline.",
        )
    if any(content.get("pagination_depth") is None for content in hybrids):
        yield Finding(
            "hybrid_query",
            Severity.WARNING,
            "The hybrid query has no pagination_depth.",
            "Each part then gives only `size` documents per shard: the fused scores depend on the page's size, and"
            " `from` is refused.",
            'Add "pagination_depth": 100 beside "queries".',
        )


def neural_sparse_query(evidence: Evidence) -> Iterator[Finding]:
    """neural_sparse clauses stay within the limits, and nothing in them leaks."""
    if evidence.query is None:
        return
    size = number(evidence.query.get("size")) or DEFAULT_SIZE
    for _, kind, content in _clauses(evidence.query.get("query"), ()):
        if kind != "neural_sparse":
            continue
        for clause in content.values():
            weights = [number(weight) for weight in as_object(nested(clause, "query_tokens")).values()]
            if any(weight is None or not 0.0 < weight <= LARGEST_QUERY_WEIGHT for weight in weights):
                yield Finding(
                    "neural_sparse_query",
                    Severity.ERROR,
                    f"A query token has a weight outside (0, {LARGEST_QUERY_WEIGHT:g}].",
                    "One such token fails the whole query.",
                    'Scale all weights by one factor, and give it as "boost", which is not limited.',
                )
            method = nested(clause, "method_parameters")
            if nested(method, "filter") is not None:
                yield Finding(
                    "neural_sparse_query",
                    Severity.ERROR,
                    "A neural_sparse clause has method_parameters.filter.",
                    "In an approximate segment where the filter matches nothing it is ignored: documents that it"
                    " excludes are returned.",
                    "Put the filter into bool.filter around the clause, and raise k.",
                )
            k = number(nested(method, "k")) or DEFAULT_K
            if _is_seismic(evidence) and k < size:
                yield Finding(
                    "neural_sparse_query",
                    Severity.WARNING,
                    f"The search asks for {size:g} documents, an approximate segment gives {k:g} (k).",
                    "Hits, totals and everything behind a filter end there.",
                    f"Set k to at least {size:g}, more with filters.",
                )


def rank_feature_query(evidence: Evidence) -> Iterator[Finding]:
    """rank_feature clauses on the vectors say how they score, and name features that can be found."""
    meta = evidence.meta
    if evidence.query is None or meta is None:
        return
    clauses = [content for _, kind, content in _clauses(evidence.query.get("query"), ()) if kind == "rank_feature"]
    # A clause on another field is the application's own: saturation suits it, and its name may be a path.
    vector = f"{scored_field(meta)}."
    ours = [content for content in clauses if str(content.get("field", "")).startswith(vector)]
    if any(not {"linear", "saturation", "log", "sigmoid"} & set(content) for content in ours):
        yield Finding(
            "rank_feature_query",
            Severity.WARNING,
            "A rank_feature clause names no function.",
            "Saturation is the default, whose sum is no inner product.",
            'Add "linear": {}.',
        )
    if any("." in str(content["field"]).removeprefix(vector) for content in ours):
        yield Finding(
            "rank_feature_query",
            Severity.ERROR,
            "A rank_feature clause asks for a feature with a dot in its name.",
            "The field is split at the last dot: the clause never matches, without an error.",
            "Ask by neural_sparse with query_tokens: in this index, terms keep their dots."
            if meta.dialect == "neural_sparse"
            else 'Write "%2E" for a dot and "%25" for a per cent sign, as `sidecar index` does.',
        )


def passage_query(evidence: Evidence) -> Iterator[Finding]:
    """Clauses on the vectors of passages stand in a nested query, which counts the best passage."""
    meta = evidence.meta
    if evidence.query is None or meta is None or meta.passages is None:
        return
    field = scored_field(meta)
    for way, kind, content in _clauses(evidence.query.get("query"), ()):
        named = str(content.get("field", "")) if kind == "rank_feature" else ",".join(content)
        if kind in {"rank_feature", "neural_sparse"} and named.startswith(field) and "nested" not in way:
            yield Finding(
                "passage_query",
                Severity.ERROR,
                f"A clause on {field} stands outside of a nested query.",
                "The vectors of passages are found only within one: the clause never matches, without an error.",
                f'Put it into {{"nested": {{"path": "{meta.vector_field}", "score_mode": "max", "query": …}}}}.',
            )
            return
    for _, kind, content in _clauses(evidence.query.get("query"), ()):
        if kind == "nested" and content.get("path") == meta.vector_field and content.get("score_mode") != "max":
            yield Finding(
                "passage_query",
                Severity.WARNING,
                f"The nested query on {meta.vector_field} has the score_mode {content.get('score_mode', 'avg')}.",
                "A long document with one passage that answers the question is then averaged down by all the others.",
                'Set "score_mode": "max".',
            )


def two_phase_query(evidence: Evidence) -> Iterator[Finding]:
    """A two-phase processor in front of the query has something to work on."""
    if evidence.query is None:
        return
    processors = listed(nested(_pipeline(evidence), "request_processors"))
    if not any(isinstance(one, Mapping) and TWO_PHASE in one for one in processors):
        return
    sparse = [way for way, kind, _ in _clauses(evidence.query.get("query"), ()) if kind == "neural_sparse"]
    if not any(set(way) <= {"bool.should"} for way in sparse):
        yield Finding(
            "two_phase_query",
            Severity.WARNING,
            "The query's pipeline has a two-phase processor, and the query nothing for it.",
            "It looks at the top and into bool.should only: neural_sparse in bool.must, constant_score or hybrid stays"
            " as it is, without an error.",
            "Move the clause into bool.should with minimum_should_match: 1.",
        )
    elif evidence.query.get("sort") not in (None, "_score", ["_score"]):
        yield Finding(
            "two_phase_query",
            Severity.ERROR,
            "The query sorts by a field, and its pipeline has a two-phase processor.",
            "The cluster refuses the second phase with a sort other than _score.",
            "Name another pipeline, e.g. ?search_pipeline=_none.",
        )


def _pipeline(evidence: Evidence) -> JsonValue:
    """Return the pipeline the query goes through: its own, or the index's default."""
    named = None if evidence.query is None else evidence.query.get("search_pipeline")
    if isinstance(named, Mapping):
        return named
    return evidence.search_pipelines.get(str(named or evidence.settings.get(DEFAULT_PIPELINE)))


def _clauses(query: JsonValue, way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, JsonObject]]:
    """Yield every clause of a query with the places it stands in (`bool.should`, `hybrid`, …)."""
    if not isinstance(query, Mapping):
        return
    for kind, content in query.items():
        body = as_object(content)
        yield way, kind, body
        for place, inner in body.items():
            if kind == "neural_sparse" or place in {"method_parameters", "query_tokens"}:
                continue
            step = f"{kind}.{place}" if kind == "bool" else kind
            for part in inner if isinstance(inner, list | tuple) else (inner,):
                yield from _clauses(part, (*way, step))


def _is_seismic(evidence: Evidence) -> bool:
    return nested(evidence.vector_mapping, "method", "name") == "seismic"
