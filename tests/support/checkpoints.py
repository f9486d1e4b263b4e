"""Tiny random checkpoints and the bundles exported from them, made on the spot."""
