"""Searching over HTTP on Kubernetes: credentials from a secret, profiles from values, and a way out to the cluster."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest

from sidecar.engine.access import Access
from sidecar.engine.transport import _client
from sidecar.server.searching.profiles import served_profiles
from sidecar.settings import load_settings
from tests.support.chart import VERSIONS, container_of, pod_of, rendered, settings_file
from tests.support.helm import Helm, HelmRefused, Rendered

ENGINE = {"engine": "http://one:9200", "indices": ["articles"]}

FILES = ("search_api_key_file", "search_ca", "search_client_certificate", "search_client_key")


def test_the_settings_name_the_cluster_and_no_credentials(helm: Helm) -> None:
    found = rendered(helm, "search")
    settings = {name: value for name, value in settings_file(found).items() if "search" in name}
    assert settings == {
        "search_engine": "https://one.search.svc:9200,https://two.search.svc:9200,https://front.search.svc",
        "search_indices": ["articles", "logs-*"],
        "search_bodies": True,
        "search_insecure": False,
        "search_profiles": "/etc/splade-sidecar-profiles",
        "search_ca": "/etc/splade-sidecar-cluster/ca.crt",
        "search_client_certificate": "/etc/splade-sidecar-cluster/client/tls.crt",
        "search_client_key": "/etc/splade-sidecar-cluster/client/client.key",
        "max_searches": 64,
    }
    assert load_settings(**settings).search_indices == ("articles", "logs-*")
    secrets = [each["valueFrom"]["secretKeyRef"] for each in container_of(found)["env"] if "valueFrom" in each]
    assert secrets == [{"name": "reader", "key": "username"}, {"name": "reader", "key": "secret"}]


def test_profiles_are_files_of_a_folder_that_serve_reads(helm: Helm, tmp_path: Path) -> None:
    found = rendered(helm, "search")
    profiles = found.one("ConfigMap", "splade-sidecar-profiles")["data"]
    for name, text in profiles.items():
        (tmp_path / name).write_text(text)
    assert "products" in served_profiles(tmp_path)
    mounts = {each["mountPath"]: each["name"] for each in container_of(found)["volumeMounts"]}
    volumes = {each["name"]: each for each in pod_of(found)["spec"]["volumes"]}
    assert volumes[mounts["/etc/splade-sidecar-profiles"]]["configMap"] == {"name": "search-splade-sidecar-profiles"}


def cluster_files(found: Rendered) -> dict[str, tuple[str, str]]:
    """What the folder of the cluster's certificates holds: path, and the secret and key that it comes from."""
    mount = next(each for each in container_of(found)["volumeMounts"] if each["name"] == "cluster")
    assert mount == {"name": "cluster", "mountPath": "/etc/splade-sidecar-cluster", "readOnly": True}
    volume = next(each for each in pod_of(found)["spec"]["volumes"] if each["name"] == "cluster")["projected"]
    assert volume["defaultMode"] == 0o440
    return {
        f"{mount['mountPath']}/{item['path']}": (source["secret"]["name"], item["key"])
        for source in volume["sources"]
        for item in source["secret"]["items"]
    }


def test_authorities_and_what_is_shown_to_the_cluster_come_from_secrets(helm: Helm) -> None:
    found = rendered(helm, "search")
    settings, files = settings_file(found), cluster_files(found)
    assert files[settings["search_ca"]] == ("cluster-ca", "ca.crt")
    assert files[settings["search_client_certificate"]] == ("cluster-client", "tls.crt")
    assert files[settings["search_client_key"]] == ("cluster-client", "client.key")
    assert len(files) == 3


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"apiKeySecret": "one"}, {"search_api_key_file"}),
        ({"caSecret": "one"}, {"search_ca"}),
        ({"clientSecret": "one"}, {"search_client_certificate", "search_client_key"}),
        # One file may hold both.
        (
            {"clientSecret": "one", "clientCertificateKey": "both.pem", "clientPrivateKeyKey": "both.pem"},
            {"search_client_certificate", "search_client_key"},
        ),
    ],
)
def test_each_of_the_clusters_secrets_may_be_there_alone(helm: Helm, given: dict[str, str], names: set[str]) -> None:
    found = helm.render({"search": {**ENGINE, **given}})
    settings = settings_file(found)
    assert {name for name in settings if name in FILES} == names
    assert set(cluster_files(found)) == {settings[name] for name in names}
    assert load_settings(**settings).search_engine == ENGINE["engine"]
    for version in VERSIONS:
        kubernetes_validate.validate(found.one("Deployment"), version, strict=True)


def test_without_secrets_of_the_cluster_there_is_no_folder_of_them(helm: Helm) -> None:
    found = helm.render({"search": ENGINE})
    assert "cluster" not in {each["name"] for each in pod_of(found)["spec"]["volumes"]}
    assert "cluster" not in {each["name"] for each in container_of(found)["volumeMounts"]}


def test_other_profiles_are_other_pods(helm: Helm) -> None:
    def checksum(profile: str) -> str:
        found = helm.render({"search": {**ENGINE, "profiles": {"a.yaml": profile}}})
        return pod_of(found)["metadata"]["annotations"]["checksum/profiles"]

    assert checksum("name: a") != checksum("name: b")


def test_the_network_policy_lets_out_to_the_cluster_and_to_names(helm: Helm) -> None:
    policy = rendered(helm, "search").one("NetworkPolicy")["spec"]
    names, cluster = policy["egress"]
    assert {(port["port"], port["protocol"]) for port in names["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert cluster == {
        "ports": [{"port": 9200, "protocol": "TCP"}, {"port": 443, "protocol": "TCP"}],
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "search"}}}],
    }
    plain = helm.render({"search": {**ENGINE, "engine": "http://one"}, "networkPolicy": {"enabled": True}})
    assert plain.one("NetworkPolicy")["spec"]["egress"][1] == {"ports": [{"port": 9200, "protocol": "TCP"}]}


@pytest.mark.parametrize("engine", ["http://one", "https://one", "http://one:80", "https://one:9243/prefix"])
async def test_the_port_that_is_let_out_to_is_the_one_that_is_called(helm: Helm, engine: str) -> None:
    found = helm.render({"search": {**ENGINE, "engine": engine}, "networkPolicy": {"enabled": True}})
    (port,) = found.one("NetworkPolicy")["spec"]["egress"][1]["ports"]
    client = _client(Access(engine), None)
    # It makes its connections with the first request, and opens none by that.
    await client.transport._async_init()
    assert port["port"] == client.transport.connection_pool.connections[0].port
    await client.close()


@pytest.mark.parametrize(("given", "service"), [({}, "es"), ({"awsService": "aoss"}, "aoss")])
def test_requests_are_signed_for_a_region_of_aws(helm: Helm, given: dict[str, str], service: str) -> None:
    engine = f"https://search-articles-x.eu-central-1.{service}.amazonaws.com"
    found = helm.render({"search": {**ENGINE, "engine": engine, "awsRegion": "eu-central-1", **given}})
    settings = settings_file(found)
    assert (settings["search_aws_region"], settings["search_aws_service"]) == ("eu-central-1", service)
    assert load_settings(**{name: value for name, value in settings.items() if name.startswith("search_")})
    assert not [each for each in container_of(found)["env"] if "valueFrom" in each]


def test_nothing_is_signed_without_a_region(helm: Helm) -> None:
    assert not [name for name in settings_file(helm.render({"search": ENGINE})) if "aws" in name]


def test_without_a_cluster_there_is_nothing_of_it(helm: Helm) -> None:
    secrets = {"existingSecret": "reader", "caSecret": "ca", "clientSecret": "client"}
    given = {"search": {**secrets, "profiles": {"a.yaml": "name: a"}}}
    found = helm.render(given)
    assert not [name for name in settings_file(found) if name.startswith("search_")]
    assert [each["name"] for each in container_of(found)["env"]] == ["SIDECAR_CONFIG"]
    assert {each["name"] for each in pod_of(found)["spec"]["volumes"]} == {"settings", "tmp"}
    assert len(found.of("ConfigMap")) == 1


@pytest.mark.parametrize("other", [{"existingSecret": "reader"}, {"awsRegion": "eu-central-1"}])
def test_an_api_key_is_the_only_way_to_be_known(helm: Helm, other: dict[str, str]) -> None:
    with pytest.raises(HelmRefused, match=r"leave out search\.existingSecret"):
        helm.render({"search": {**ENGINE, "apiKeySecret": "key", **other}})


@pytest.mark.parametrize("search", [{"engine": "http://one:9200"}, {"indices": ["articles"]}])
def test_a_cluster_and_its_indices_go_together(helm: Helm, search: dict[str, object]) -> None:
    with pytest.raises(HelmRefused, match=r"search\.indices"):
        helm.render({"search": search})
