"""The real inference service, with tiny models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.bundle import Bundle
from sidecar.inference import InferenceService
from sidecar.settings import Settings


@pytest.fixture(scope="session")
def service(
    tiny_sparse_bundle: Path, tiny_idf_bundle: Path, tiny_cross_encoder_bundle: Path
) -> Iterator[InferenceService]:
    bundles = [Bundle.open(path) for path in (tiny_idf_bundle, tiny_sparse_bundle, tiny_cross_encoder_bundle)]
    service = InferenceService.load(bundles, Settings(threads=1))
    yield service
    service.close()
