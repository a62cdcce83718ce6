"""Configuration of containerd, CNI, kubelet and kube-proxy, and how the node's namespaces are furnished. Pure.

The node is a set of namespaces (mount, pid, network, ipc) that dies with its first process, the supervisor. So the
standard paths (/var/lib/kubelet, /run/containerd) can be used by several instances at once, and nothing survives
`down`: mounts, interfaces, iptables rules and processes go with their namespace.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from localkube.addresses import Networks
from localkube.component import Component
from localkube.paths import Layout
from localkube.record import Record

PAUSE_IMAGE = "localhost/hipbmm/pause:1"
_DOMAIN = "cluster.local"
CNI_PLUGINS = "/usr/lib/cni"

# Standard path in the node -> directory of the instance that is mounted there; None is a tmpfs, new at each start.
MOUNTS: dict[str, str | None] = {
    "/var/lib/kubelet": "kubelet",
    "/var/lib/cni": None,
    "/var/log/pods": "logs/pods",
    "/var/log/containers": None,
    "/run/containerd": None,
    "/run/netns": None,
}

# The kubelet wants these kernel settings and writes them when they differ, for the whole machine. A file with the
# wanted value, mounted over each, satisfies it and leaves the machine as it is.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}

UNSHARE = (
    *("unshare", "--mount", "--propagation=slave", "--net", "--ipc"),
    *("--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"),
)


def host_interface(layout: Layout) -> str:
    """Name of the host's end of the link: at most 15 characters, different for each instance of each user."""
    return f"lk{_short(layout)}"


def cgroup_name(layout: Layout) -> str:
    """The cgroup below which all pods of the instance are."""
    return f"localkube-{_short(layout)}"


def _short(layout: Layout) -> str:
    return hashlib.sha256(str(layout.root).encode()).hexdigest()[:8]


def host_commands(networks: Networks, interface: str, pid: int) -> list[list[str]]:
    """Link to the network namespace of process `pid`, and routes to pods and services; they vanish with the link."""
    return [
        ["ip", "link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", str(pid)],
        ["ip", "address", "add", f"{networks.host_address}/30", "dev", interface],
        ["ip", "link", "set", interface, "up"],
        ["ip", "route", "add", str(networks.pods), "via", networks.node_address],
        ["ip", "route", "add", str(networks.services), "via", networks.node_address],
    ]


def setup_commands(networks: Networks, layout: Layout, kernel_settings: list[str]) -> list[list[str]]:
    """What the supervisor runs inside the namespaces, in order. `kernel_settings`: those that this kernel has."""
    # Shared again, within the node: mounts of the kubelet must reach containers that ask for propagation.
    commands = [["mount", "--make-rshared", "/"]]
    for target, source in MOUNTS.items():
        # Another instance may have removed its mount points between our check and now.
        commands.append(["mkdir", "-p", target])
        if source is None:
            commands.append(["mount", "-t", "tmpfs", "-o", "mode=0755", "localkube", target])
        else:
            commands.append(["mount", "--bind", str(layout.root / source), target])
    covers = [(str(kernel_setting_file(layout, name)), f"/proc/sys/{name}") for name in kernel_settings]
    return [
        *commands,
        *(["mount", "--bind", source, target] for source, target in covers),
        ["ip", "link", "set", "lo", "up"],
        ["ip", "address", "add", f"{networks.node_address}/30", "dev", "eth0"],
        ["ip", "link", "set", "eth0", "up"],
        # Any route will do: kube-proxy rewrites the destination before the packet leaves.
        ["ip", "route", "add", str(networks.services), "via", networks.host_address],
    ]


def kernel_setting_file(layout: Layout, name: str) -> Path:
    """The file that stands for the kernel setting `name`."""
    return layout.config / "kernel" / name.replace("/", ".")


@dataclass(frozen=True)
class Node:
    """Renders one node."""

    record: Record
    layout: Layout
    kubernetes: Path
    containerd: Path
    coredns: Path
    runc: str
    may_lower_oom_score: bool

    def files(self) -> dict[Path, str]:
        """Configuration files by path."""
        config = self.layout.config
        kernel = {kernel_setting_file(self.layout, name): f"{value}\n" for name, value in KERNEL_SETTINGS.items()}
        return {
            config / "containerd.toml": self._containerd_config(),
            config / "Corefile": self._corefile(),
            config / "cni" / "10-localkube.conflist": _json(self._cni()),
            config / "kubelet.json": _json(self._kubelet_config()),
            config / "kube-proxy.json": _json(self._kube_proxy_config()),
            # The name servers of the machine are out of reach.
            config / "resolv.conf": "",
            **kernel,
        }

    def components(self) -> list[Component]:
        """In start order."""
        search_path = f"{self.containerd}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        environment = {"PATH": search_path}
        config = self.layout.config
        kubelet = (
            str(self.kubernetes / "kubelet"),
            f"--config={config / 'kubelet.json'}",
            f"--kubeconfig={config / 'kubelet.kubeconfig'}",
            f"--hostname-override={self.record.node_name}",
            f"--node-ip={self.record.networks.node_address}",
            "--root-dir=/var/lib/kubelet",
        )
        proxy = (str(self.kubernetes / "kube-proxy"), f"--config={config / 'kube-proxy.json'}")
        containerd = (str(self.containerd / "containerd"), f"--config={config / 'containerd.toml'}")
        return [
            Component("containerd", containerd, environment),
            Component("kubelet", kubelet, environment),
            Component("kube-proxy", proxy, environment),
            Component("coredns", (str(self.coredns / "coredns"), "-conf", str(config / "Corefile"))),
        ]

    def _containerd_config(self) -> str:
        """TOML; each string value is a JSON string, which is a TOML basic string."""
        restrict = "false" if self.may_lower_oom_score else "true"
        runtime, images = "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"
        quoted = json.dumps
        return f"""version = 3
root = {quoted(str(self.layout.root / "containerd"))}
state = "/run/containerd"

[grpc]
address = {quoted(str(self.layout.containerd_socket))}

[plugins.'{runtime}']
restrict_oom_score_adj = {restrict}

[plugins.'{runtime}'.cni]
bin_dirs = [{quoted(CNI_PLUGINS)}]
conf_dir = {quoted(str(self.layout.config / "cni"))}

[plugins.'{runtime}'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'{runtime}'.containerd.runtimes.runc.options]
BinaryName = {quoted(self.runc)}
SystemdCgroup = false

[plugins.'{images}'.pinned_images]
sandbox = {quoted(PAUSE_IMAGE)}
"""

    def _corefile(self) -> str:
        """Names of the cluster only: there is nobody to ask for others, and a refusal is quick."""
        kubeconfig = json.dumps(str(self.layout.config / "dns.kubeconfig"))
        return f""".:53 {{
    errors
    cache 5
    kubernetes {_DOMAIN} in-addr.arpa {{
        kubeconfig {kubeconfig}
    }}
}}
"""

    def _cni(self) -> dict[str, object]:
        """Point to point instead of a bridge: all traffic is routed, so that br_netfilter is not needed."""
        ipam = {
            "type": "host-local",
            "ranges": [[{"subnet": str(self.record.networks.pods)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": "/var/lib/cni/networks",
        }
        plugins = [
            {"type": "ptp", "ipMasq": False, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ]
        return {"cniVersion": "1.0.0", "name": "localkube", "plugins": plugins}

    def _kubelet_config(self) -> dict[str, object]:
        pki = self.layout.pki
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.record.networks.node_address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(pki / "kubelet-server.crt"),
            "tlsPrivateKeyFile": str(pki / "kubelet-server.key"),
            "clusterDNS": [self.record.networks.node_address],
            "clusterDomain": _DOMAIN,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup_name(self.layout)}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "containerRuntimeEndpoint": f"unix://{self.layout.containerd_socket}",
            "resolvConf": str(self.layout.config / "resolv.conf"),
            "podLogsDir": "/var/log/pods",
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            "serializeImagePulls": False,
            # A workstation's disk is fuller than a server's. Images cannot be pulled again: they are never collected.
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%"},
            "imageGCHighThresholdPercent": 100,
            "nodeStatusUpdateFrequency": "5s",
        }

    def _kube_proxy_config(self) -> dict[str, object]:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self.layout.config / "kube-proxy.kubeconfig")},
            "clusterCIDR": str(self.record.networks.pods),
            "hostnameOverride": self.record.node_name,
            "mode": "iptables",
            # The tables of connections belong to the machine, not to the namespace.
            "conntrack": {"maxPerCore": 0, "min": 0},
        }


def _json(value: dict[str, object]) -> str:
    return json.dumps(value, indent=2) + "\n"
