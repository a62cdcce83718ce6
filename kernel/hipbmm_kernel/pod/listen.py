"""Where the server listens, in a pod that has an IPv6 address.

vLLM without `--host` listens on IPv4 alone (`create_server_socket` in vllm/entrypoints/openai/api_server.py), and the
kubelet's probes go to the first of the pod's addresses, which is the IPv6 one in a cluster of IPv6 alone and in many
with both: no pod there would ever be ready. vLLM's socket on `::` takes both families where the kernel's default does.
"""

import re

from hipbmm_kernel.system.files import read_bytes, read_text

_LOCAL = re.compile(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL")
_GLOBAL = "00"
"""Scope of an address in if_inet6 that is not of one link."""
_SERVERS = frozenset({"serve", "vllm.entrypoints.openai.api_server"})
"""What vLLM's server is started by; what another program makes of `--host` is not known."""
_DECIDED = ("--host", "--uds", "--config")
_MAX_BYTES = 16 << 20
"""Of a table of the kernel."""
_ALL_IPV4 = "0.0.0.0"  # noqa: S104  # what the user has said: all addresses, which are of IPv6 here


def reachable(command: list[str], net: str = "/proc/net", own: str = "/proc/sys/net/ipv6/bindv6only") -> list[str]:
    """The command with `--host ::` where IPv4 alone is not enough; one that says where it listens is left alone.

    `--host 0.0.0.0`, which many manifests have, is not where it could listen in a pod without IPv4: argparse takes the
    last `--host`.
    `net` is /proc/net, and `own` /proc/sys/net/ipv6/bindv6only: 1 where a socket on `::` takes no IPv4.
    """
    if _SERVERS.isdisjoint(command) or not _has_ipv6(net):
        return command
    deciding = [at for at, argument in enumerate(command) if _decides(argument)]
    if all(_is_all_ipv4(command, at) for at in deciding) and not _has_ipv4(net):
        return [*command, "--host", "::"]
    return [*command, "--host", "::"] if not deciding and read_text(own).strip() == "0" else command


def _is_all_ipv4(command: list[str], at: int) -> bool:
    name, equals, value = command[at].partition("=")
    following = value if equals else "".join(command[at + 1 : at + 2])
    return _DECIDED[0].startswith(name) and following == _ALL_IPV4


def _decides(argument: str) -> bool:
    """Whether an argument names an address, be it abbreviated (argparse takes any prefix that only one flag has)."""
    name = argument.partition("=")[0]
    return len(name) > len("--h") and any(flag.startswith(name) for flag in _DECIDED)


def _has_ipv4(net: str) -> bool:
    """Whether an interface other than the loopback has an address; True where it cannot be found out."""
    table = read_bytes(f"{net}/fib_trie", _MAX_BYTES)
    addresses = _LOCAL.findall(table.decode("ascii", "replace")) if table is not None else [""]
    return any(not address.startswith("127.") for address in addresses)


def _has_ipv6(net: str) -> bool:
    fields = [line.split() for line in read_text(f"{net}/if_inet6", _MAX_BYTES).splitlines()]
    return any(len(each) == 6 and each[3] == _GLOBAL and each[5] != "lo" for each in fields)  # noqa: PLR2004 - columns
