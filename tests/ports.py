"""TCP ports for servers that are started a moment later."""

import contextlib
import random
import socket

_PORTS = range(10000, 20000)
"""Below those that the kernel gives to connections, and those of localkube: nobody takes one by chance meanwhile."""


def free_port() -> int:
    """One that is free on all addresses."""
    for port in random.sample(_PORTS, len(_PORTS)):
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            return port
    raise AssertionError("no port is free")
