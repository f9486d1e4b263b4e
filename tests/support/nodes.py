"""Real OpenSearch nodes, started once per test session."""
