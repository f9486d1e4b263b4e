"""What the doctor says of an open migration: which one, since when, how far, and what to do next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.cluster.doctor import Finding, Severity
from sidecar.cluster.doctor.migration import OpenMigration
from sidecar.engine import IndexMeta, MigrationState
from tests.unit.doctor.evidence import MODEL, healthy, said

OTHER = replace(MODEL, name="newer", fingerprint="ee" * 32)
OPEN = OpenMigration(
    "shop",
    "in the field splade_eeeeeeee",
    MigrationState.FILLING,
    IndexMeta(fingerprint=OTHER.fingerprint, bundle=OTHER.name),
    documents=100,
    missing=40,
    begun="2026-01-02T03:04:05+00:00",
)


def finding(**changes: object) -> Finding:
    return said(healthy(migration=replace(OPEN, **changes), served=(MODEL, OTHER)))["migration"]


def test_which_one_since_when_and_how_far() -> None:
    found = finding()
    assert found.severity is Severity.NOTE
    assert found.what == (
        "shop is being migrated (filling), since 2026-01-02T03:04:05+00:00: newer has vectors in the field"
        " splade_eeeeeeee, for 60 of 100 documents."
    )


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({}, "sidecar reconcile --index shop"),
        ({"missing": 0}, "sidecar migrate verify --index shop"),
        ({"missing": 0, "verified": "2026-01-03"}, "sidecar migrate swap --index shop"),
        ({"state": MigrationState.SWAPPED}, "sidecar migrate drop --index shop"),
        ({"state": MigrationState.DROPPING}, "Repeat `sidecar migrate drop"),
        ({"state": MigrationState.ABORTING}, "Repeat `sidecar migrate abort"),
    ],
)
def test_what_comes_next(changes: dict[str, object], step: str) -> None:
    assert step in finding(**changes).action


def test_a_removal_that_was_cut_short_is_a_warning() -> None:
    assert finding(state=MigrationState.DROPPING).severity is Severity.WARNING
    assert finding(other=None, state=MigrationState.SWAPPED).severity is Severity.WARNING
    assert "migrate drop" in finding(other=None, state=MigrationState.SWAPPED).action
    assert "migrate start" in finding(other=None).action


def test_a_model_that_is_not_served_is_an_error() -> None:
    narrow = said(healthy(migration=OPEN, served=(MODEL,)))["migration"]
    assert narrow.severity is Severity.ERROR
    assert "does not serve the other model, newer" in narrow.what
    assert "serve --models …,newer" in narrow.action
    assert said(healthy(migration=OPEN, served=None))["migration"].severity is Severity.NOTE
    dropping = replace(OPEN, state=MigrationState.DROPPING)
    assert said(healthy(migration=dropping, served=(MODEL,)))["migration"].severity is Severity.WARNING


def test_a_switch_that_was_cut_short_is_an_error() -> None:
    found = finding(switching="2026-01-02T04:00:00+00:00")
    assert found.severity is Severity.ERROR
    assert "sidecar migrate swap --index shop" in found.action
