"""The `sidecar` command, which is `python -m sidecar` too. Importing the rest of it takes half a second."""

from __future__ import annotations

from sidecar.signals import end_as_process_1

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit; signals that come before it is imported are not lost."""
    end_as_process_1()
    from sidecar.cli.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
