"""`exec --foreign`: the user's command, where it stands, with its arguments; the table only while that goes well."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.foreign.homes import proven
from tests.kernel.pods import Pod

from hipbmm_kernel.contract.settings import CONTRACT_ENV

SHOW = "import json, os, sys; print(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]))"
OURS = (*(name for name in CONTRACT_ENV if name != "HIP_ONLINE_TUNING"), "HIPBMM_DISPATCH_TABLE")


@pytest.fixture
def home(pod: Pod) -> Pod:
    proven(pod.home)
    return pod


def run(pod: Pod, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return pod.run("exec", "--foreign", "--", *(command or (sys.executable, "-c", SHOW, "a b", "--")), **env)


def seen(pod: Pod, **env: str) -> dict[str, str]:
    """The environment of the server."""
    done = run(pod, **env)
    assert done.returncode == 0, done.stderr
    arguments, directory, found = json.loads(done.stdout)
    assert arguments == ["a b", "--"]
    assert directory == str(pod.root)
    environment: dict[str, str] = found
    return environment


def test_a_proven_table_is_served(home: Pod) -> None:
    found = seen(home)
    assert [found[name] for name in OURS] == ["1", "1", "1", f"{home.home}/dispatch/table"]
    assert found["PYTHONPATH"] == f"{home.env['PYTHONPATH']}:{home.home}/kernel"
    assert "HIP_ONLINE_TUNING" not in found


def test_a_server_that_ends_early_is_plain_from_its_third_start_on(home: Pod) -> None:
    with_table = ["HIPBMM_DISPATCH_TABLE" in seen(home) for _ in range(5)]
    assert with_table == [True, True, False, False, False]
    plain = seen(home)
    assert {name: value for name, value in plain.items() if name in home.env} == home.env
    assert not set(OURS) & set(plain)


def test_a_start_is_counted_once_where_another_program_stands_between_two_of_ours(home: Pod) -> None:
    """As where a webhook puts a program in front of a command that admission has wrapped, and admission wraps again."""
    ours = [sys.executable, "-m", "hipbmm_kernel", "exec", "--foreign", "--"]
    for starts in (1, 2):
        done = run(home, "env", "SECRET=1", *ours, sys.executable, "-c", SHOW)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)[2]
        assert (found["SECRET"], [found[name] for name in OURS[:3]]) == ("1", ["1", "1", "1"])
        assert found["HIPBMM_DISPATCH_TABLE"] == f"{home.home}/dispatch/table"
        assert json.loads((home.home / "state.json").read_text())["starts"] == starts


def test_the_users_own_values_stay(home: Pod) -> None:
    found = seen(home, VLLM_ROCM_USE_AITER="0", AITER_JIT_DIR="/mine")
    assert (found["VLLM_ROCM_USE_AITER"], found["AITER_JIT_DIR"]) == ("0", "/mine")


@pytest.mark.parametrize("own", [{}, {"LC_CTYPE": "C.UTF-8"}])
def test_what_python_sets_for_itself_does_not_reach_the_server(home: Pod, own: dict[str, str]) -> None:
    (home.home / "report.json").unlink()
    done = run(home, "env", "-0", LC_ALL="", LANG="C", **own)
    found = dict(entry.split("=", 1) for entry in done.stdout.strip("\0").split("\0"))
    assert found == {**home.env, "LC_ALL": "", "LANG": "C", **own}


def damaged(name: str, text: str | None) -> Callable[[Path], Any]:
    def spoil(home: Path) -> None:
        (home / name).unlink(missing_ok=True)
        if text is not None:
            (home / name).write_text(text)

    return spoil


def unwritable(home: Path) -> None:
    (home / "state.json").mkdir()


BROKEN: dict[str, tuple[Callable[[Path], Any], dict[str, str]]] = {
    "no report": (damaged("report.json", None), {}),
    "a torn report": (damaged("report.json", "{"), {}),
    "HIPBMM is off": (damaged("report.json", '{"hipbmm": false, "dispatch": "Memory"}'), {}),
    "a torn state": (damaged("state.json", "{"), {}),
    "a state that cannot be written": (unwritable, {}),
    "a setting": (damaged("x", None), {"HIPBMM_TOKENS": "[", "HIPBMM_HOME": "/nowhere"}),
    "plugins of the user's": (damaged("x", None), {"VLLM_PLUGINS": "other"}),
}


@pytest.mark.parametrize(("spoil", "env"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_broken_is_a_plain_server(home: Pod, spoil: Callable[[Path], Any], env: dict[str, str]) -> None:
    spoil(home.home)
    assert not set(OURS) & set(seen(home, **env))


def test_the_command_is_the_very_process_and_its_status_counts(home: Pod) -> None:
    started = home.start("exec", "--foreign", "--", "sh", "-c", "echo $$; exit 7")
    stdout, _ = started.communicate(timeout=150)
    assert (int(stdout), started.returncode) == (started.pid, 7)


@pytest.mark.parametrize(("command", "status"), [("/nowhere/vllm", 127), (os.devnull, 126)])
def test_a_command_that_cannot_start_ends_as_in_a_shell(home: Pod, command: str, status: int) -> None:
    assert run(home, command).returncode == status
