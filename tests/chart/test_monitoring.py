"""Metrics Service, monitors and NetworkPolicy."""

from __future__ import annotations

import pytest
from tests.chart.rendering import RenderError, render


def test_defaults_have_a_service_and_no_custom_kinds() -> None:
    rendering = render()
    assert rendering.only("Service")["spec"]["ports"][0]["targetPort"] == "http"
    assert (
        not rendering.of_kind("ServiceMonitor") + rendering.of_kind("PodMonitor") + rendering.of_kind("NetworkPolicy")
    )


def test_helm_test_asks_the_service_unless_it_cannot_reach_it() -> None:
    rendering = render({"metrics": {"service": {"port": 9090}}})
    (container,) = rendering.only("Pod")["spec"]["containers"]
    assert container["command"][-1] == f"http://{rendering.only('Service')['metadata']['name']}:9090"
    assert not render({"metrics": {"service": {"enabled": False}}}).of_kind("Pod")
    peers = {"networkPolicy": {"enabled": True, "metricsFrom": [{"podSelector": {}}]}}
    assert not render(peers).of_kind("Pod")
    assert render({"networkPolicy": {"enabled": True}}).of_kind("Pod")


def test_service_monitor_finds_the_service() -> None:
    rendering = render({"metrics": {"serviceMonitor": {"enabled": True, "interval": "15s"}}})
    monitor, service = rendering.only("ServiceMonitor"), rendering.only("Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert (endpoint["path"], endpoint["interval"]) == ("/metrics", "15s")


def test_pod_monitor_finds_the_pod() -> None:
    rendering = render({"metrics": {"podMonitor": {"enabled": True}}})
    monitor = rendering.only("PodMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= rendering.pod["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in rendering.container["ports"]}


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}, "exclude each other"),
        ({"serviceMonitor": {"enabled": True}, "service": {"enabled": False}}, r"needs metrics\.service\.enabled"),
    ],
)
def test_contradictions_are_refused(metrics: dict[str, object], message: str) -> None:
    with pytest.raises(RenderError, match=message):
        render({"metrics": metrics})


def test_network_policy_lets_in_metrics_and_out_to_names_and_the_api_server() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    api = {"ipBlock": {"cidr": "10.0.0.1/32"}}
    values = {"networkPolicy": {"enabled": True, "metricsFrom": [peer], "apiServerTo": [api], "apiServerPorts": [6443]}}
    spec = render(values).only("NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}], "from": [peer]}]
    names, server = spec["egress"]
    assert [port["port"] for port in names["ports"]] == [53, 53]
    assert server == {"ports": [{"port": 6443, "protocol": "TCP"}], "to": [api]}
