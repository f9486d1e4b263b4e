"""Learned-sparse retrieval and reranking beside an unmodified OpenSearch or Elasticsearch cluster."""

__version__ = "0.1.0"
