"""Sidecar processes and in-process servers."""
