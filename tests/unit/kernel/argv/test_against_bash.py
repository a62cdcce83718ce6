"""What is found in a script is what bash starts with it, where its commands succeed as where they fail."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.kernel.argv.bash_scripts import READ, UNREAD, Script

from hipbmm_kernel.argv import command
from hipbmm_kernel.argv.command import Server

SERVERS = ("vllm", "python3")
COMMANDS = ("ray", "curl", "hf", "pip", "rocm-smi", "pgrep", "grep", "hostname", "nproc", "sleep")
RECORD = """#!/bin/bash
printf '%s\\0' "${0##*/}" "$@" $'\\n' >> "$RECORD"
exit 0
"""


@pytest.fixture(scope="module", params=[0, 1], ids=["succeed", "fail"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of commands: servers write down how they were started, others do nothing, with this status."""
    found: Path = tmp_path_factory.mktemp("bin")
    for name in (*SERVERS, *COMMANDS):
        (found / name).write_text(RECORD if name in SERVERS else f"#!/bin/bash\nexit {request.param}\n")
        (found / name).chmod(0o755)
    return found


def started(script: Script, path: Path, record: Path) -> list[Server]:
    """The servers that bash starts."""
    env = {"PATH": f"{path}:/usr/bin:/bin", "RECORD": str(record), "HOME": "/root", **script.env}
    argv = ["bash", "-c", script.text, *script.arguments]
    subprocess.run(argv, env=env, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    lines = record.read_text().split("\0\n\0")[:-1] if record.exists() else []
    found = [command.find(line.split("\0"), {}) for line in lines]
    assert all(isinstance(each, Server) for each in found)
    return [each for each in found if isinstance(each, Server)]


def asked(script: Script, env: Mapping[str, str]) -> object:
    found = command.find(["bash", "-c", script.text, *script.arguments], {"HOME": "/root", **env, **script.env})
    return (found.form, found.model, found.arguments) if isinstance(found, Server) else found


@pytest.mark.parametrize("name", READ)
def test_a_script_that_is_read_means_what_bash_does(name: str, path: Path, tmp_path: Path) -> None:
    real = started(READ[name], path, tmp_path / "record")
    # A script whose commands fail may start nothing; whatever it starts is what was planned.
    assert {(each.form, each.model, each.arguments) for each in real} <= {asked(READ[name], {})}
    assert real or (path / "ray").read_text().endswith("exit 1\n")


@pytest.mark.parametrize("name", UNREAD)
def test_a_script_that_only_running_it_would_show_is_never_guessed(name: str) -> None:
    found = asked(UNREAD[name], {})
    assert isinstance(found, command.Unread), json.dumps(found)
