"""Generated from proto/sidecar/v1 by scripts/protos."""
