import json
import tomllib
from pathlib import Path

import pytest

from localkube import node
from localkube.addresses import Network, Networks
from localkube.paths import Layout
from localkube.record import Record

LAYOUT = Layout(Path("/state/x"))
NETWORKS = Networks(Network("10.140.0.0/16"))


def rendered(*, may_lower: bool = False) -> node.Node:
    record = Record("x", "node", "1.37", str(NETWORKS.block), {})
    return node.Node(record, LAYOUT, Path("/k8s"), Path("/containerd"), Path("/dns"), "/usr/sbin/runc", may_lower)


def config(name: str) -> dict[str, object]:
    value: dict[str, object] = json.loads(rendered().files()[LAYOUT.config / name])
    return value


@pytest.mark.parametrize("may_lower", [True, False])
def test_containerd_is_told_about_a_missing_capability(may_lower: bool) -> None:
    text = rendered(may_lower=may_lower).files()[LAYOUT.config / "containerd.toml"]
    plugins = tomllib.loads(text)["plugins"]
    assert plugins["io.containerd.cri.v1.runtime"]["restrict_oom_score_adj"] is not may_lower
    assert plugins["io.containerd.cri.v1.images"]["pinned_images"]["sandbox"] == node.PAUSE_IMAGE


def test_containerd_is_reached_from_outside_and_finds_its_shim() -> None:
    text = rendered().files()[LAYOUT.config / "containerd.toml"]
    assert tomllib.loads(text)["grpc"]["address"] == "/state/x/run/containerd.sock"
    containerd = next(item for item in rendered().components() if item.name == "containerd")
    assert containerd.env["PATH"].split(":")[0] == "/containerd"


def test_the_kubelet_uses_the_standard_directory_and_its_own_cgroup() -> None:
    kubelet = next(item for item in rendered().components() if item.name == "kubelet")
    assert "--root-dir=/var/lib/kubelet" in kubelet.argv
    assert node.MOUNTS["/var/lib/kubelet"] == "kubelet"
    assert config("kubelet.json")["cgroupRoot"] == f"/{node.cgroup_name(LAYOUT)}"
    assert config("kubelet.json")["failCgroupV1"] is False


def test_the_kubelet_lets_no_stranger_in() -> None:
    authentication = config("kubelet.json")["authentication"]
    assert isinstance(authentication, dict)
    assert authentication["anonymous"] == {"enabled": False}
    assert config("kubelet.json")["authorization"] == {"mode": "Webhook"}


def test_instances_share_no_name_on_the_host() -> None:
    others = [Layout(Path("/state/y")), Layout(Path("/elsewhere/x"))]
    for name in (node.host_interface, node.cgroup_name):
        assert len({name(layout) for layout in [LAYOUT, *others]}) == 3
    # IFNAMSIZ is 16 with the final NUL.
    assert all(len(node.host_interface(layout)) <= 15 for layout in [LAYOUT, *others])


def test_the_host_gets_routes_to_pods_and_services_by_way_of_the_link() -> None:
    commands = [" ".join(command) for command in node.host_commands(NETWORKS, "lk0", 42)]
    assert "ip link add lk0 type veth peer name eth0 netns 42" in commands
    assert "ip route add 10.140.0.0/24 via 10.140.255.2" in commands
    assert "ip route add 10.140.128.0/20 via 10.140.255.2" in commands


def test_every_mount_point_is_there_before_its_mount() -> None:
    commands = node.setup_commands(NETWORKS, LAYOUT, [])
    for target in node.MOUNTS:
        made = commands.index(["mkdir", "-p", target])
        mounted = next(i for i, command in enumerate(commands) if command[0] == "mount" and command[-1] == target)
        assert made < mounted
    assert commands[0] == ["mount", "--make-rshared", "/"]


def test_kernel_settings_are_covered_only_where_the_kernel_has_them() -> None:
    commands = node.setup_commands(NETWORKS, LAYOUT, ["kernel/panic"])
    covers = [command for command in commands if command[-1].startswith("/proc/sys/")]
    assert covers == [["mount", "--bind", "/state/x/config/kernel/kernel.panic", "/proc/sys/kernel/panic"]]
    assert rendered().files()[Path("/state/x/config/kernel/kernel.panic")] == "10\n"


def test_pods_ask_the_node_for_names() -> None:
    assert config("kubelet.json")["clusterDNS"] == [NETWORKS.node_address]
    assert config("kubelet.json")["clusterDomain"] == "cluster.local"
    assert 'kubeconfig "/state/x/config/dns.kubeconfig"' in rendered().files()[LAYOUT.config / "Corefile"]


def test_pods_get_addresses_of_the_pod_network() -> None:
    plugins = config("cni/10-localkube.conflist")["plugins"]
    assert isinstance(plugins, list)
    assert plugins[0]["ipam"]["ranges"] == [[{"subnet": "10.140.0.0/24"}]]
    assert plugins[1]["capabilities"] == {"portMappings": True}
