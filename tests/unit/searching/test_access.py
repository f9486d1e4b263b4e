"""Where the cluster is and who we are there: checked at the start, and never shown with a secret in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.errors import SettingsInvalid
from sidecar.server.searching.access import ClusterAccess
from sidecar.server.searching.plan import SearchPlan
from sidecar.settings import Settings, load_settings


def settings(**given: object) -> Settings:
    return load_settings(**{"search_engine": "https://one:9200,https://two:9200", "search_indices": "a*,b", **given})


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("SIDECAR_")]:
        monkeypatch.delenv(name)


def test_without_a_cluster_there_is_nothing_to_search() -> None:
    assert SearchPlan.of(load_settings()) is None


def test_the_plan_says_what_is_searchable_and_no_secret(tmp_path: Path) -> None:
    plan = SearchPlan.of(settings(search_user="reader", search_password="quartz", search_bodies=True))
    assert plan is not None
    assert plan.facts() == {
        "engine": "https://one:9200, https://two:9200",
        "indices": ["a*", "b"],
        "profiles": list(plan.profiles),
        "bodies": True,
    }
    assert "quartz" not in repr(plan)
    assert "reader" not in str(plan.facts())


@pytest.mark.parametrize(("searches", "connections"), [(1, 64), (64, 64), (200, 200)])
def test_every_search_that_is_let_in_has_a_connection(searches: int, connections: int) -> None:
    assert ClusterAccess.of(settings(max_searches=searches)).connections == connections


def test_a_password_from_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    access = ClusterAccess.of(settings(search_user="reader", search_password_file=file))
    assert access.password_now() == "first"
    file.write_text(" second ")
    assert access.password_now() == " second "
    file.write_text("\n")
    with pytest.raises(SettingsInvalid, match="is empty"):
        access.password_now()


@pytest.mark.parametrize("key", ["aWQ6a2V5", "id:key"], ids=["encoded", "id and key"])
def test_an_api_key_is_read_anew_each_time_and_shown_nowhere(tmp_path: Path, key: str) -> None:
    file = tmp_path / "api-key"
    file.write_text(f"{key}\n")
    given = settings(search_api_key_file=file)
    plan = SearchPlan.of(given)
    assert plan is not None
    assert plan.access.api_key_now() == key
    assert plan.access.password_now() is None
    file.write_text("other:one")
    assert plan.access.api_key_now() == "other:one"
    assert key not in repr(plan) + str(plan.facts()) + repr(given)
    file.unlink()
    with pytest.raises(SettingsInvalid, match="can't be read"):
        plan.access.api_key_now()


@pytest.mark.parametrize(
    ("content", "given", "field", "advice"),
    [
        ("", {}, "search_api_key_file", "is empty"),
        ("quartz and more", {}, "search_api_key_file", "what the cluster gave as `encoded`"),
        ("id:quartz\nid:other", {}, "search_api_key_file", "what the cluster gave as `encoded`"),
        ("id:quartz", {"search_user": "reader"}, "search_api_key_file", "give one or the other"),
        ("id:quartz", {"search_user": "u", "search_password": "p"}, "search_api_key_file", "give one or the other"),
        ("id:quartz", {"search_aws_region": "eu-central-1"}, "search_aws_region", "give one of them"),
    ],
)
def test_an_api_key_that_is_none_or_one_way_too_many(
    tmp_path: Path, content: str, given: dict[str, object], field: str, advice: str
) -> None:
    file = tmp_path / "api-key"
    file.write_text(content)
    with pytest.raises(SettingsInvalid, match=advice) as raised:
        SearchPlan.of(settings(search_api_key_file=file, **given))
    assert raised.value.field == field
    assert field in raised.value.message
    assert "quartz" not in raised.value.message
    assert "reader" not in raised.value.message


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"search_engine": "one:9200"}, "search_engine"),
        ({"search_engine": "ftp://one"}, "search_engine"),
        ({"search_engine": "https://reader:quartz@one:9200"}, "search_engine"),
        ({"search_engine": "https://one:9200,https://reader:quartz@two:9200"}, "search_engine"),
        ({"search_engine": "https://quartz@one:9200"}, "search_engine"),
        ({"search_engine": "https://reader:qua/rtz@one:9200"}, "search_engine"),
        ({"search_engine": "https://[::1:9200"}, "search_engine"),
        ({"search_engine": "https://one:9200a"}, "search_engine"),
        ({"search_indices": "a b"}, "search_indices"),
        ({"search_user": "u", "search_password_file": "/nowhere/quartz"}, "search_password_file"),
        ({"search_api_key_file": "/nowhere/key"}, "search_api_key_file"),
        ({"search_engine": None, "search_indices": "", "search_api_key_file": "/nowhere/key"}, "search_api_key_file"),
        ({"search_ca": "/nowhere/ca.pem"}, "search_ca"),
        ({"search_client_certificate": "/nowhere/c.pem", "search_client_key": "/n/k"}, "search_client_certificate"),
        ({"search_profiles": "/nowhere"}, "search_profiles"),
        ({"search_aws_region": "Frankfurt"}, "search_aws_region"),
        ({"search_aws_region": "eu-central-1", "search_user": "reader"}, "search_aws_region"),
        ({"search_aws_service": "aoss"}, "search_aws_region"),
        ({"search_aws_region": "eu-central-1", "search_aws_service": "s3"}, "search_aws_service"),
        (
            {"search_engine": "https://x.eu-west-1.es.amazonaws.com", "search_aws_region": "eu-west-2"},
            "search_aws_region",
        ),
        (
            {
                "search_engine": "https://x.eu-west-1.aoss.amazonaws.com",
                "search_aws_region": "eu-west-1",
            },
            "search_aws_service",
        ),
    ],
)
def test_what_can_not_be_used_ends_the_start(given: dict[str, object], field: str) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        SearchPlan.of(settings(**given))
    assert raised.value.field == field
    assert "reader" not in raised.value.message
    assert field == "search_password_file" or "quartz" not in raised.value.message
