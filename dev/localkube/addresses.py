"""Which ports and networks an instance gets. Pure: what is taken comes in as values."""

import hashlib
import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from localkube.errors import LocalkubeError

Network = ipaddress.IPv4Network

PORT_ROLES = ("apiserver", "etcd", "etcd-peer", "controller-manager", "scheduler")

# Below the usual ephemeral range, so that an outgoing connection of another program does not sit on a recorded port.
_FIRST_PORT = 20000

# 10.128.0.0/16 .. 10.254.0.0/16: private, and away from where most virtual networks begin.
_FIRST_BLOCK, _BLOCKS = 128, 127


@dataclass(frozen=True)
class Networks:
    """The networks of one instance, cut from one /16 so that one check finds every overlap."""

    block: Network

    @property
    def pods(self) -> Network:
        """Addresses of pods (one node: one /24)."""
        return Network(f"{self._prefix}.0.0/24")

    @property
    def services(self) -> Network:
        """ClusterIPs."""
        return Network(f"{self._prefix}.128.0/20")

    @property
    def link(self) -> Network:
        """Between the host and the node."""
        return Network(f"{self._prefix}.255.0/30")

    @property
    def host_address(self) -> str:
        """The host's end of the link."""
        return str(self.link[1])

    @property
    def node_address(self) -> str:
        """The node's end of the link: InternalIP of the Node, address of the API server in the node profile."""
        return str(self.link[2])

    @property
    def kubernetes_service(self) -> str:
        """ClusterIP of the service `kubernetes`: by definition the first of the range."""
        return str(self.services[1])

    @property
    def _prefix(self) -> str:
        return ".".join(str(self.block.network_address).split(".")[:2])


def choose_networks(name: str, taken: Iterable[Network]) -> Networks:
    """The first free /16, starting at a place that depends on the name, so that two machines choose alike."""
    used = list(taken)
    start = _spread(name, _BLOCKS)
    for step in range(_BLOCKS):
        block = Network(f"10.{_FIRST_BLOCK + (start + step) % _BLOCKS}.0.0/16")
        if not any(block.overlaps(other) for other in used):
            return Networks(block)
    raise LocalkubeError("no free network: the routes of this machine cover all of 10.128.0.0/9")


def choose_ports(name: str, end: int, is_free: Callable[[int], bool]) -> dict[str, int]:
    """One free TCP port for each of `PORT_ROLES`, from `[20000, end)`; `end` is where the ephemeral range begins."""
    size = max(end - _FIRST_PORT, 1000)
    start = _spread(name, size)
    free = (port for step in range(size) if is_free(port := _FIRST_PORT + (start + step) % size))
    ports = dict(zip(PORT_ROLES, free, strict=False))
    if len(ports) < len(PORT_ROLES):
        raise LocalkubeError(f"no {len(PORT_ROLES)} free TCP ports from {_FIRST_PORT} to {_FIRST_PORT + size}")
    return ports


def parse_routes(table: str) -> list[Network]:
    """The destinations of `/proc/net/route` (hexadecimal, little endian), the default route left out."""
    networks = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(fields[index]), "little") for index in (1, 7))
        if mask:
            networks.append(Network((destination, mask.bit_count())))
    return networks


def _spread(name: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % size
