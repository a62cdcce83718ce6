"""What this machine has taken: ports, networks, privileges."""

import os
import socket
from pathlib import Path

from localkube import record
from localkube.addresses import Network, parse_routes
from localkube.paths import Layout, instances

_CAP_SYS_RESOURCE = 24


def is_root() -> bool:
    """Whether we may make namespaces and mounts."""
    return os.geteuid() == 0


def may_lower_oom_score() -> bool:
    """Whether we have CAP_SYS_RESOURCE; runc dies without it when it lowers a container's oom_score_adj."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return False


def ephemeral_start() -> int:
    """First port of the range that the kernel gives to outgoing connections."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except OSError:
        return 32768


def port_is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def taken_networks(without: Layout) -> list[Network]:
    """Networks of routes, of name servers, and of the other instances, running or not."""
    networks = parse_routes(Path("/proc/net/route").read_text(encoding="ascii"))
    networks += [Network(address) for address in _name_servers()]
    networks += [Network(other.block) for other in _others(without)]
    return networks


def taken_ports(without: Layout) -> set[int]:
    """Ports that other instances have recorded."""
    return {port for other in _others(without) for port in other.ports.values()}


def _others(without: Layout) -> list[record.Record]:
    found = [record.load(layout.record) for layout in instances() if layout != without]
    return [other for other in found if other is not None]


def _name_servers() -> list[str]:
    try:
        lines = Path("/etc/resolv.conf").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [word[1] for word in words if len(word) > 1 and word[0] == "nameserver" and word[1].count(".") == 3]  # noqa: PLR2004 - the dots of an IPv4 address
