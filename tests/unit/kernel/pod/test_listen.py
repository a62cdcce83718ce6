"""A server in a pod with an IPv6 address listens where the kubelet's probes go."""

import socket
from pathlib import Path

import pytest
from tests.ports import has_both_families

from hipbmm_kernel.pod.listen import reachable

SERVE = ["vllm", "serve", "org/model", "--port", "8000"]
LOOPBACK = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 127.0.0.1
        /32 host LOCAL
"""
ADDRESS = LOOPBACK + "     |-- 10.0.0.5\n        /32 host LOCAL\n"
LO6 = "00000000000000000000000000000001 01 80 10 80       lo\n"
LINK6 = "fe800000000000000000000000000001 02 40 20 80     eth0\n"
GLOBAL6 = "fd000000000000000000000000000005 02 40 00 80     eth0\n"


def net(path: Path, four: str | None, six: str | None, own: str | None = "0\n") -> tuple[str, str]:
    for name, text in (("fib_trie", four), ("if_inet6", six), ("bindv6only", own)):
        if text is not None:
            (path / name).write_text(text)
    return str(path), str(path / "bindv6only")


@pytest.mark.parametrize(
    ("four", "six", "own", "added"),
    [
        pytest.param(LOOPBACK, LO6 + LINK6 + GLOBAL6, "1\n", True, id="IPv6 only"),
        pytest.param("", GLOBAL6, None, True, id="no IPv4 at all"),
        pytest.param(ADDRESS, LO6 + GLOBAL6, "0\n", True, id="both"),
        pytest.param(ADDRESS, LO6 + GLOBAL6, "1\n", False, id="both, a socket for each"),
        pytest.param(ADDRESS, LO6 + GLOBAL6, None, False, id="both, not known"),
        pytest.param(ADDRESS, LO6, "0\n", False, id="IPv4 only"),
        pytest.param(ADDRESS, LO6 + LINK6, "0\n", False, id="IPv4, and IPv6 of the link"),
        pytest.param(LOOPBACK, LO6 + LINK6, "0\n", False, id="no network"),
        pytest.param(LOOPBACK, None, "0\n", False, id="no IPv6"),
        pytest.param(None, GLOBAL6, None, False, id="IPv4 not known"),
        pytest.param(LOOPBACK, "damaged\n", "0\n", False, id="damaged"),
    ],
)
def test_only_where_ipv4_is_not_enough(
    tmp_path: Path, four: str | None, six: str | None, own: str | None, added: bool
) -> None:
    assert reachable(SERVE, *net(tmp_path, four, six, own)) == SERVE + (["--host", "::"] if added else [])


def test_a_socket_as_vllm_makes_it_takes_both_families(tmp_path: Path) -> None:
    """Where the file says so: `create_server_socket` makes a plain one for the family of the host."""
    own = Path("/proc/sys/net/ipv6/bindv6only")
    if not has_both_families() or own.read_text().strip() != "0":
        pytest.skip("this machine has no sockets for both families")
    host = reachable(SERVE, *net(tmp_path, ADDRESS, GLOBAL6, own.read_text()))[-1]
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as server:
        server.bind((host, 0))
        server.listen()
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, server.getsockname()[1]), 10).close()


@pytest.mark.parametrize(
    "more",
    [
        ["--host=::"],
        ["--ho", "fd00::5"],
        ["--host", "10.0.0.5"],
        ["--uds", "/s"],
        ["--config", "/etc/vllm.yaml"],
        ["--host", "0.0.0.0", "--config", "/etc/vllm.yaml"],  # noqa: S104
    ],
)
def test_what_the_user_says_is_left_alone(tmp_path: Path, more: list[str]) -> None:
    assert reachable([*SERVE, *more], *net(tmp_path, LOOPBACK, GLOBAL6)) == [*SERVE, *more]


@pytest.mark.parametrize("more", [["--host", "0.0.0.0"], ["--host=0.0.0.0"], ["--ho", "0.0.0.0"]])  # noqa: S104
def test_all_addresses_of_ipv4_are_none_where_there_is_no_ipv4(tmp_path: Path, more: list[str]) -> None:
    assert reachable([*SERVE, *more], *net(tmp_path, LOOPBACK, GLOBAL6)) == [*SERVE, *more, "--host", "::"]
    assert reachable([*SERVE, *more], *net(tmp_path, ADDRESS, GLOBAL6)) == [*SERVE, *more]


def test_the_server_as_a_module_of_python(tmp_path: Path) -> None:
    module = ["python3", "-m", "vllm.entrypoints.openai.api_server", "--model", "org/model"]
    assert reachable(module, *net(tmp_path, LOOPBACK, GLOBAL6)) == [*module, "--host", "::"]


def test_another_program_is_left_alone(tmp_path: Path) -> None:
    assert reachable(["sleep", "1"], *net(tmp_path, LOOPBACK, GLOBAL6)) == ["sleep", "1"]


def test_this_machine_can_be_read() -> None:
    assert reachable(SERVE)[: len(SERVE)] == SERVE
