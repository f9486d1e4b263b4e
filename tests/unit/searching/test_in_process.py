"""The models of the process, as a search asks for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.bundle import Bundle
from sidecar.domain import Lane, ModelKind, Side, WindowPolicy, Windows
from sidecar.errors import DeadlineExceeded, FingerprintMismatch, ModelMissing, UnknownModel
from sidecar.inference import InferenceService
from sidecar.search.ports import Sidecar
from sidecar.server import metrics
from sidecar.server.searching import InProcessSidecar
from sidecar.settings import Settings

TEXTS = ["a cat by the river", "the weather in the city"]


@pytest.fixture
def sidecar(service: InferenceService) -> Sidecar:
    return InProcessSidecar(service)


def counted(name: str, **labels: str) -> float:
    families = text_string_to_metric_families(metrics.render().decode())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


async def test_it_encodes_as_the_service_does(service: InferenceService, sidecar: Sidecar) -> None:
    before = counted("sidecar_texts_total", method="search")
    for model in service.models():
        if model.kind is not ModelKind.SPARSE_ENCODER:
            continue
        mine = await sidecar.encode(
            TEXTS, side=Side.QUERY, model=model.name, return_terms=True, expected_fingerprint=model.fingerprint
        )
        theirs = await service.encode(TEXTS, side=Side.QUERY, model=model.name, return_terms=True)
        assert mine.encodings == theirs.encodings
        assert (mine.model, mine.fingerprint) == (model.name, model.fingerprint)
    assert counted("sidecar_texts_total", method="search") == before + 2 * len(TEXTS)


async def test_it_scores_as_the_service_does(service: InferenceService, sidecar: Sidecar) -> None:
    windows = Windows(WindowPolicy.SLIDE, max_windows=2)
    mine = await sidecar.rerank("a cat", TEXTS, windows=windows)
    assert mine.results == (await service.rerank("a cat", TEXTS, windows=windows)).results
    assert await sidecar.models() == service.models()


async def test_lanes_are_those_of_a_query_and_of_a_reranking(
    service: InferenceService, sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes: list[Lane] = []

    def watching(ask: Callable) -> Callable:
        async def asked(*given, lane: Lane, **more):
            lanes.append(lane)
            return await ask(*given, lane=lane, **more)

        return asked

    for name in ("encode", "rerank"):
        monkeypatch.setattr(service, name, watching(getattr(service, name)))
    await sidecar.encode(TEXTS, side=Side.QUERY)
    await sidecar.rerank("a cat", TEXTS)
    assert lanes == [Lane.INTERACTIVE, Lane.RERANK]


async def test_a_timeout_is_a_deadline(sidecar: Sidecar) -> None:
    with pytest.raises(DeadlineExceeded):
        await sidecar.rerank("a cat", TEXTS, timeout=0.0)


async def test_what_the_service_refuses_is_refused(sidecar: Sidecar) -> None:
    with pytest.raises(UnknownModel):
        await sidecar.encode(TEXTS, side=Side.QUERY, model="nobody")
    with pytest.raises(FingerprintMismatch):
        await sidecar.encode(TEXTS, side=Side.QUERY, expected_fingerprint="0" * 64)


async def test_a_kind_of_model_that_is_not_there_at_all_is_told_as_such(
    tiny_idf_bundle: Path, tiny_cross_encoder_bundle: Path
) -> None:
    for path, missing in ((tiny_idf_bundle, "cross-encoder"), (tiny_cross_encoder_bundle, "sparse-encoder")):
        alone = InferenceService.load([Bundle.open(path)], Settings(threads=1))
        sidecar = InProcessSidecar(alone)
        asked = sidecar.encode(TEXTS, side=Side.QUERY) if "sparse" in missing else sidecar.rerank("a cat", TEXTS)
        try:
            with pytest.raises(ModelMissing, match=missing):
                await asked
        finally:
            alone.close()
