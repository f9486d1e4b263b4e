"""What each command looks like when it is typed: the examples at the end of its help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["EXAMPLES"]

EXAMPLES: Mapping[str, Sequence[str]] = {
    "": (
        "sidecar demo",
        "sidecar serve",
        "sidecar setup --index articles",
        "sidecar index articles.jsonl --index articles",
        'sidecar search "why does an aeroplane lose lift" --index articles',
    ),
    "demo": (
        "sidecar demo",
        'sidecar demo "how do I parse command line arguments"',
        'sidecar demo --modules http,urllib,socket "what did the server say"',
    ),
    "serve": (
        "sidecar serve",
        "sidecar serve --config settings.yaml --check-config",
        "sidecar serve --models encoder-v2,reranker-v2 --threads 4",
    ),
    "opensearch up": ("sidecar opensearch up --path ./data",),
    "setup": (
        "sidecar setup --index articles --dry-run",
        "sidecar setup --index products --source-field name --lexical-field all_words",
        "sidecar setup --index handbook --passages",
    ),
    "index": (
        "sidecar index articles.jsonl --index articles",
        "sidecar index products.csv more.csv --index products --id-field sku",
        "zcat dump.gz | sidecar index - --index articles --json",
    ),
    "reconcile": (
        "sidecar reconcile --index articles",
        "sidecar reconcile --index articles --follow --rate 200",
        """sidecar reconcile --index articles --where '{"term": {"lang": "en"}}'""",
    ),
    "retry": ("sidecar retry dead-letters-articles-20261121T101500.jsonl",),
    "frequencies": ("sidecar frequencies --index articles",),
    "encode-corpus": (
        "sidecar encode-corpus corpus.jsonl --out vectors --workers 4",
        "sidecar encode-corpus --from-index articles --index articles-2",
    ),
    "doctor": (
        "sidecar doctor --index articles --sidecar 127.0.0.1:50051",
        "sidecar doctor --index articles --query body.json --json",
    ),
    "teardown": ("sidecar teardown --index articles --vectors --dry-run",),
    "search": (
        'sidecar search "wing stall" --index articles --profile hybrid --explain',
        """sidecar search "lift" --index articles --filter '{"term": {"year": 1962}}'""",
        'sidecar search "lift" --index articles --profile products.yaml --json',
    ),
    "evaluate": (
        "sidecar evaluate --collection nfcorpus --json report.json",
        "sidecar evaluate --collection mine --profiles hybrid,my.yaml --baseline hybrid",
        "sidecar evaluate --index articles --queries queries.jsonl --qrels judged.tsv",
    ),
    "tune": (
        "sidecar tune --collection mine --split dev --out tuned.yaml --json tuning.json",
        "sidecar tune --index articles --out tuned.yaml \\",
        "  --queries queries.jsonl --qrels judged.tsv",
    ),
    "bench": ("sidecar bench --list", "sidecar bench --only query --only rerank.p50"),
    "models list": ("sidecar models list --catalogue",),
    "models inspect": ("sidecar models inspect splade-sidecar-starter-sparse-v1",),
    "models verify": ("sidecar models verify ./models/my-encoder",),
    "models pull": ("sidecar models pull cross-encoder/ms-marco-MiniLM-L6-v2",),
    "models export": (
        "sidecar models export ./my-checkpoint ./models/my-encoder --license Apache-2.0",
        "sidecar models export ./my-checkpoint ./models/exact --quantize fp32",
    ),
    "models import": (
        "sidecar models import model.onnx ./models/my-encoder \\",
        "  --tokenizer tokenizer.json --kind sparse-encoder --license Apache-2.0",
    ),
    "migrate": (
        "sidecar migrate start --index articles --model encoder-v2",
        "sidecar migrate verify --index articles",
        "sidecar migrate swap --index articles",
        "sidecar migrate drop --index articles",
    ),
    "migrate start": (
        "sidecar migrate start --index articles --model encoder-v2",
        "sidecar migrate start --index articles --into articles-2 --model encoder-v2",
    ),
    "migrate status": ("sidecar migrate status --index articles",),
    "migrate verify": ("sidecar migrate verify --index articles --queries queries.txt",),
    "migrate swap": ("sidecar migrate swap --index articles",),
    "migrate rollback": ("sidecar migrate rollback --index articles",),
    "migrate drop": ("sidecar migrate drop --index articles",),
    "migrate abort": ("sidecar migrate abort --index articles",),
}
"""By command: lines as one would type them. A line that ends with a backslash goes on in the next one."""
