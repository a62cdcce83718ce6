"""A server in a pod with IPv6 addresses only listens where the kubelet's probes go."""

from pathlib import Path

import pytest

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


def net(path: Path, four: str | None, six: str | None) -> str:
    for name, text in (("fib_trie", four), ("if_inet6", six)):
        if text is not None:
            (path / name).write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("four", "six", "added"),
    [
        (LOOPBACK, LO6 + LINK6 + GLOBAL6, True),
        ("", GLOBAL6, True),
        (ADDRESS, LO6 + GLOBAL6, False),
        (ADDRESS, LO6, False),
        (LOOPBACK, LO6 + LINK6, False),
        (LOOPBACK, None, False),
        (None, GLOBAL6, False),
        (LOOPBACK, "damaged\n", False),
    ],
    ids=["IPv6 only", "no IPv4 at all", "both", "IPv4 only", "no network", "no IPv6", "not known", "damaged"],
)
def test_only_where_there_is_no_other_address(tmp_path: Path, four: str | None, six: str | None, added: bool) -> None:
    assert reachable(SERVE, net(tmp_path, four, six)) == SERVE + (["--host", "::"] if added else [])


@pytest.mark.parametrize(
    "more",
    [["--host", "0.0.0.0"], ["--host=::"], ["--ho", "fd00::5"], ["--uds", "/s"], ["--config", "/etc/vllm.yaml"]],  # noqa: S104
)
def test_what_the_user_says_is_left_alone(tmp_path: Path, more: list[str]) -> None:
    assert reachable([*SERVE, *more], net(tmp_path, LOOPBACK, GLOBAL6)) == [*SERVE, *more]


def test_another_program_is_left_alone(tmp_path: Path) -> None:
    assert reachable(["sleep", "1"], net(tmp_path, LOOPBACK, GLOBAL6)) == ["sleep", "1"]


def test_this_machine_can_be_read() -> None:
    assert reachable(SERVE)[: len(SERVE)] == SERVE
