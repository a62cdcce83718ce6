import json
from pathlib import Path

import pytest

from localkube.component import Component
from localkube.controlplane import ControlPlane
from localkube.paths import Layout
from localkube.record import Record

PORTS = {"apiserver": 21001, "etcd": 21002, "etcd-peer": 21003, "controller-manager": 21004, "scheduler": 21005}


def plane(profile: str) -> ControlPlane:
    record = Record("x", profile, "1.37", "10.140.0.0/16", PORTS)
    return ControlPlane(record, Layout(Path("/state/x")), Path("/bin-cache"))


def component(profile: str, name: str) -> Component:
    return next(item for item in plane(profile).components() if item.name == name)


def test_components_start_with_what_others_need() -> None:
    names = [item.name for item in plane("node").components()]
    assert names == ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]


@pytest.mark.parametrize("profile", ["control-plane", "node"])
def test_nothing_listens_where_other_machines_could_reach_it(profile: str) -> None:
    allowed = ("127.0.0.1", "10.140.255.2")
    for item in plane(profile).components():
        for argument in item.argv[1:]:
            flag, _, value = argument.partition("=")
            if flag == "--bind-address" or (flag.startswith("--listen-") and flag.endswith("-urls")):
                assert value.removeprefix("https://").split(":")[0] in allowed, argument
            assert not value.startswith("http://"), argument


def test_ports_are_recorded_ones_or_the_usual_ones_in_a_network_of_its_own() -> None:
    assert "--secure-port=21001" in component("control-plane", "kube-apiserver").argv
    assert "--secure-port=6443" in component("node", "kube-apiserver").argv
    assert "--secure-port=21005" in component("control-plane", "kube-scheduler").argv
    assert plane("control-plane").record.server == "https://127.0.0.1:21001"
    assert plane("node").record.server == "https://10.140.255.2:6443"


def test_the_api_server_audits_and_authorizes() -> None:
    argv = component("node", "kube-apiserver").argv
    assert "--authorization-mode=Node,RBAC" in argv
    assert "--audit-log-path=/state/x/logs/audit.log" in argv
    assert not any(argument.startswith("--disable-admission-plugins") for argument in argv)
    policy = json.loads(plane("node").audit_policy())
    assert policy["rules"] == [{"level": "Metadata"}]


def test_etcd_refuses_strangers() -> None:
    argv = component("control-plane", "etcd").argv
    assert "--client-cert-auth" in argv
    assert "--peer-client-cert-auth" in argv


def test_only_a_node_gets_an_endpoint_that_pods_can_use() -> None:
    assert "--endpoint-reconciler-type=none" in component("control-plane", "kube-apiserver").argv
    assert "--endpoint-reconciler-type=none" not in component("node", "kube-apiserver").argv
    assert "--advertise-address=10.140.255.2" in component("node", "kube-apiserver").argv
