"""Reading checkpoints: what lies in the folder, and what it means."""

from sidecar.export.checkpoint.reading import Checkpoint, Head, read_checkpoint

__all__ = ["Checkpoint", "Head", "read_checkpoint"]
