"""Who reaches whom in what the chart makes, and where its test pod runs."""

from __future__ import annotations

import kubernetes_validate

from tests.support.chart import VERSIONS, pod_of, rendered, selects
from tests.support.helm import Helm


def test_the_network_policy_opens_no_port_but_those_asked_for(helm: Helm) -> None:
    given = rendered(helm, "everything").one("NetworkPolicy")["spec"]
    ports = [[port["port"] for port in rule["ports"]] for rule in given["ingress"]]
    assert ports == [["grpc", "http"], ["grpc"], ["admin"]]
    found = helm.render({"networkPolicy": {"enabled": True}})
    bare = found.one("NetworkPolicy")["spec"]
    assert bare["policyTypes"] == ["Ingress", "Egress"]
    assert bare["egress"] == []
    assert [[port["port"] for port in rule["ports"]] for rule in bare["ingress"]] == [["grpc", "http"]]
    assert bare["ingress"][0]["from"] == [{"namespaceSelector": {}}]
    kubernetes_validate.validate(found.one("NetworkPolicy"), VERSIONS[-1], strict=True)


def test_the_network_policy_lets_the_test_pod_in_beside_the_clients(helm: Helm) -> None:
    found = rendered(helm, "everything")
    labels = found.one("Pod")["metadata"]["labels"]
    rule = found.one("NetworkPolicy")["spec"]["ingress"][1]
    assert [port["port"] for port in rule["ports"]] == ["grpc"]
    assert [peer.keys() for peer in rule["from"]] == [{"podSelector"}], "of this namespace"
    assert selects(rule["from"][0]["podSelector"]["matchLabels"], labels)
    assert not selects(rule["from"][0]["podSelector"]["matchLabels"], pod_of(found)["metadata"]["labels"])
    clients = {"enabled": True, "clients": [{"podSelector": {}}]}
    without = helm.render({"networkPolicy": clients, "tests": {"enabled": False}}).one("NetworkPolicy")["spec"]
    assert len(without["ingress"]) == 1


def test_the_test_pod_goes_where_the_others_go(helm: Helm) -> None:
    found = rendered(helm, "everything")
    for place in ("nodeSelector", "tolerations"):
        assert found.one("Pod")["spec"][place] == pod_of(found)["spec"][place]


def test_the_test_pod_does_not_wait_for_an_authority_that_is_not_there(helm: Helm) -> None:
    volume = next(each for each in rendered(helm, "tls").one("Pod")["spec"]["volumes"] if each["name"] == "tls")
    assert volume["secret"]["optional"] is True


def test_pods_may_be_replaced_all_at_once(helm: Helm) -> None:
    strategy = helm.render({"updateStrategy": {"type": "Recreate"}}).one("Deployment")["spec"]["strategy"]
    # With the defaults of rollingUpdate beside it, Kubernetes refuses the object.
    assert strategy == {"type": "Recreate"}


def test_labels_for_all_objects_do_not_hide_the_metrics_service(helm: Helm) -> None:
    found = helm.render(
        {
            "commonLabels": {"app.kubernetes.io/component": "search"},
            "metrics": {"serviceMonitor": {"enabled": True}},
        }
    )
    wanted = found.one("ServiceMonitor")["spec"]["selector"]["matchLabels"]
    chosen = [each["metadata"]["name"] for each in found.of("Service") if selects(wanted, each["metadata"]["labels"])]
    assert chosen == ["search-splade-sidecar-metrics"]
