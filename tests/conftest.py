"""Fixtures come from the modules of `tests.support`, one per kind of thing that tests need for real."""

pytest_plugins = [
    "tests.support.checkpoints",
    "tests.support.sidecars",
    "tests.support.nodes",
]
