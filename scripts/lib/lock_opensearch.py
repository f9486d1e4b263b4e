"""Resolves the local OpenSearch's dependencies anew and rewrites sidecar/engine/local/opensearch.lock.json.

The same for the Elasticsearch that tests run, tests/support/elasticsearch.lock.json. Arguments: only these lock files.

Run it after changing `roots` there. Native QUIC libraries of netty are left out: nothing here speaks QUIC.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import jgo

ROOT = Path(__file__).resolve().parents[2]
LOCKS = (
    ROOT / "sidecar" / "engine" / "local" / "opensearch.lock.json",
    ROOT / "tests" / "support" / "elasticsearch.lock.json",
)


def write_lock(path: Path) -> None:
    """Resolve the roots of the lock file at `path` and write what they need into it."""
    lock = json.loads(path.read_text())
    artifacts = [artifact for artifact in jgo.resolve("+".join(lock["roots"])) if not artifact.classifier]
    jars = sorted(
        {
            (artifact.groupId, artifact.artifactId, artifact.version): {
                "group": artifact.groupId,
                "artifact": artifact.artifactId,
                "version": artifact.version,
                "sha256": hashlib.sha256(artifact.resolve().read_bytes()).hexdigest(),
            }
            for artifact in artifacts
        }.items()
    )
    rows = ",\n".join("    " + json.dumps(jar) for _, jar in jars)
    roots = ",\n".join("    " + json.dumps(root) for root in lock["roots"])
    main_class = json.dumps(lock["main_class"])
    path.write_text(f'{{\n  "main_class": {main_class},\n  "roots": [\n{roots}\n  ],\n  "jars": [\n{rows}\n  ]\n}}\n')
    print(f"{path.name}: {len(jars)} jars")


if __name__ == "__main__":
    for path in [Path(argument) for argument in sys.argv[1:]] or LOCKS:
        write_lock(path)
