"""The core's one door: models by name, texts checked, calls handed on. Knows no transport."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import structlog

from sidecar.bundle import Bundle
from sidecar.domain import EncodeResult, Lane, ModelInfo, ModelKind, Pruning, RerankResult, Side, Windows
from sidecar.errors import FingerprintMismatch, SettingsInvalid, UnknownModel, WrongModelKind
from sidecar.inference.content_cache import CacheFigures
from sidecar.inference.cpu import available_cpus
from sidecar.inference.cross_model import CrossEncoderModel
from sidecar.inference.models import Host, model_info
from sidecar.inference.scheduler import SchedulerFigures
from sidecar.inference.sparse_model import SparseModel
from sidecar.inference.validation import check_text, check_texts
from sidecar.settings import Settings

__all__ = ["InferenceService"]

log = structlog.get_logger(__name__)

TOKENISING_THREADS = 2

DEFAULT_WINDOWS = Windows()


class InferenceService:
    """Encodes and reranks with every bundle it was loaded with.

    Usage:
        service = InferenceService.load([Bundle.open(find_bundle("my-encoder"))], Settings())
        service.warm_up()
        result = await service.encode(["a text"], side=Side.QUERY)
        service.close()

    Deadlines are absolute seconds of `time.monotonic()`. Cancelling a call drops what of it has not started.
    """

    def __init__(self, models: Sequence[SparseModel | CrossEncoderModel], host: Host) -> None:
        self._models = {model.bundle.manifest.name: model for model in models}
        self._host = host
        self._infos: dict[str, ModelInfo] = {}
        seen: set[ModelKind] = set()
        for model in models:
            kind = model.bundle.manifest.kind
            info = model_info(model.bundle, is_default=kind not in seen)
            self._infos[info.name] = info
            seen.add(kind)

    @classmethod
    def load(cls, bundles: Sequence[Bundle], settings: Settings) -> Self:
        """Load every bundle; the first of each kind is what calls get that name no model.

        Raises BundleCorrupt where a bundle's files do not fit together, SettingsInvalid where two have one name.
        """
        names = [bundle.manifest.name for bundle in bundles]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SettingsInvalid(f"Two bundles are called {twice[0]}; names must differ.", field="models")
        threads = settings.threads or available_cpus()
        host = Host(settings, threads, ThreadPoolExecutor(TOKENISING_THREADS, thread_name_prefix="tokenise"))
        models: list[SparseModel | CrossEncoderModel] = []
        try:
            for bundle in bundles:
                sparse = bundle.manifest.kind is ModelKind.SPARSE_ENCODER
                models.append(SparseModel(bundle, host) if sparse else CrossEncoderModel(bundle, host))
        except BaseException:
            _close(models, host, grace=0.0)
            raise
        log.info("models loaded", models=names, threads=threads, threads_from="settings" if settings.threads else "cpu")
        return cls(models, host)

    @property
    def threads(self) -> int:
        """Threads of each model: so many batches of it run at once, or one batch on all of them."""
        return self._host.threads

    @property
    def providers(self) -> tuple[str, ...]:
        """Where the graphs run, in order of preference."""
        return self._host.settings.providers

    def models(self) -> tuple[ModelInfo, ...]:
        """Describe the served models, in the order they were loaded."""
        return tuple(self._infos.values())

    def figures(self) -> dict[str, SchedulerFigures]:
        """Return what each model's scheduler is at; inference-free query encoders have none."""
        return {name: model.scheduler.figures() for name, model in self._models.items() if model.scheduler is not None}

    def cache_figures(self) -> dict[str, dict[str, CacheFigures]]:
        """Return what each reranker's caches are at, by model and cache."""
        rerankers = (model for model in self._models.values() if isinstance(model, CrossEncoderModel))
        return {model.bundle.manifest.name: model.caches() for model in rerankers}

    def warm_up(self) -> None:
        """Run every length bucket of every model; blocks. Raises InferenceFailed where a graph does not work."""
        for model in self._models.values():
            model.warm_up()

    async def encode(
        self,
        texts: Sequence[str],
        *,
        side: Side = Side.DOCUMENT,
        model: str | None = None,
        pruning: Pruning | None = None,
        windows: Windows = DEFAULT_WINDOWS,
        lane: Lane = Lane.INTERACTIVE,
        return_terms: bool = False,
        expected_fingerprint: str | None = None,
        deadline: float | None = None,
    ) -> EncodeResult:
        """Encode texts to sparse vectors, in the order of the texts.

        `pruning` None takes the manifest's rule for the side: for queries usually none. A text that leaves no token
        gets an empty vector. Raises UnknownModel, WrongModelKind, FingerprintMismatch, TooManyTexts, EmptyText,
        MalformedText, TextTooLarge, TextTooLong, Overloaded, DeadlineExceeded, InferenceFailed, NotReady.
        """
        chosen = self._find(model, ModelKind.SPARSE_ENCODER, expected_fingerprint)
        if not isinstance(chosen, SparseModel):
            raise AssertionError("Sparse encoders are SparseModels. This is a bug.")
        encodings, timings = await chosen.encode(
            texts,
            size=check_texts(texts, self._host.settings),
            side=side,
            pruning=pruning,
            windows=windows,
            lane=lane,
            return_terms=return_terms,
            deadline=deadline,
        )
        return EncodeResult(encodings, chosen.bundle.manifest.name, chosen.bundle.fingerprint, timings)

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        model: str | None = None,
        windows: Windows = DEFAULT_WINDOWS,
        lane: Lane = Lane.RERANK,
        expected_fingerprint: str | None = None,
        deadline: float | None = None,
    ) -> RerankResult:
        """Score every document against the query; descending by score, ties by position.

        Raises what `encode` raises; fields are `query` and `documents[i]`.
        """
        chosen = self._find(model, ModelKind.CROSS_ENCODER, expected_fingerprint)
        if not isinstance(chosen, CrossEncoderModel):
            raise AssertionError("Cross-encoders are CrossEncoderModels. This is a bug.")
        settings = self._host.settings
        size = check_text(query, settings, field="query") + check_texts(documents, settings, field="documents")
        results, timings = await chosen.rerank(
            query, documents, size=size, windows=windows, lane=lane, deadline=deadline
        )
        return RerankResult(results, chosen.bundle.manifest.name, chosen.bundle.fingerprint, timings)

    def close(self, grace: float = 0.0) -> None:
        """Refuse new calls with NotReady, give queued work `grace` seconds per model, reject the rest; blocks."""
        _close(tuple(self._models.values()), self._host, grace)

    def _find(self, name: str | None, kind: ModelKind, fingerprint: str | None) -> SparseModel | CrossEncoderModel:
        if name is None or name == "":
            name = next((info.name for info in self._infos.values() if info.kind is kind), None)
            if name is None:
                raise UnknownModel(f"No {kind} is served here.", field="model")
        if name not in self._models:
            # The name is the caller's own word, and not repeated.
            raise UnknownModel(f"No such model. Served here: {', '.join(self._models)}.", field="model")
        found = self._models[name]
        if found.bundle.manifest.kind is not kind:
            raise WrongModelKind(f"Model {name} is a {found.bundle.manifest.kind}; a {kind} is needed.", field="model")
        if fingerprint and fingerprint != found.bundle.fingerprint:
            raise FingerprintMismatch(
                f"Model {name} has the fingerprint {found.bundle.fingerprint[:16]}…, not the expected one: what was "
                "encoded before came from another model. Encode it again, or serve that model.",
                field="expected_fingerprint",
            )
        return found


def _close(models: Sequence[SparseModel | CrossEncoderModel], host: Host, grace: float) -> None:
    for model in models:
        model.close(grace)
    host.pool.shutdown(wait=False, cancel_futures=True)
