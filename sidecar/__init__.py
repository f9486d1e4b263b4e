"""Learned-sparse retrieval and reranking beside an unmodified OpenSearch or Elasticsearch cluster."""

import os

__version__ = "0.1.0"

# onnxruntime's official builds send usage data to their maker and keep a device id in the home folder, unless this is
# set before the library is loaded; its own switch comes too late (onnxruntime, Privacy.md).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
