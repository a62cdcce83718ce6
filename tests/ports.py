"""TCP ports for servers that are started a moment later, and the addresses that there are."""

import contextlib
import random
import socket

_PORTS = range(10000, 20000)
"""Below those that the kernel gives to connections, and those of localkube: nobody takes one by chance meanwhile."""

_GIVEN: list[socket.socket] = []
"""Names by which the test processes of this machine tell each other what they have given out, until they end."""


def free_port() -> int:
    """One that is free on all addresses, and that no test has been given."""
    for port in random.sample(_PORTS, len(_PORTS)):
        name = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            name.bind(f"\0hipbmm-test-port-{port}")
            _GIVEN.append(name)
            return port
        name.close()
    raise AssertionError("no port is free")


def has_both_families() -> bool:
    """Whether a socket on `::` is reached by IPv4 and by IPv6 here: the loopback may have no address of IPv6."""
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return socket.has_dualstack_ipv6()
    return False
