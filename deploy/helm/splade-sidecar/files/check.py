"""What `helm test` runs: waits until the sidecar serves, then has each of its models do its work once."""

import os
import sys
import time
from pathlib import Path

from sidecar.client import SidecarClient
from sidecar.domain import ModelKind
from sidecar.errors import SidecarUnavailable

PATIENCE_SECONDS = 120.0
TEXT = "Airflow separates, lift drops."

ca = os.environ.get("SIDECAR_CA")
given = ca is not None and Path(ca).exists()
if ca is not None and not given:
    print(f"there is no {ca} (tls.caKey): public authorities are trusted")
deadline = time.monotonic() + PATIENCE_SECONDS

with SidecarClient(
    os.environ["SIDECAR_TARGET"],
    token=os.environ.get("SIDECAR_AUTH_TOKEN"),
    root_certificates=Path(ca).read_bytes() if given else None,
    tls=ca is not None,
) as sidecar:
    while True:
        try:
            models = sidecar.models()
            break
        except SidecarUnavailable as error:
            if time.monotonic() > deadline:
                sys.exit(f"nobody answers: {error}")
            time.sleep(2.0)
    for model in models:
        if model.kind is ModelKind.CROSS_ENCODER:
            ranking = sidecar.rerank("wing stall", ["Mucus in the lungs.", TEXT], model=model.name)
            print(f"{model.name}: {len(ranking.results)} documents reranked")
        else:
            encoded = sidecar.encode([TEXT], model=model.name)
            print(f"{model.name}: {len(encoded.encodings[0].vector)} terms")
print(f"{len(models)} models answer")
