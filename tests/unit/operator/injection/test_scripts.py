"""The shell texts, run by a real shell in a folder that stands for the volume."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from hipbmm_operator.injection import scripts

PROGRAM = """
import json, os, sys
home = os.environ["HOME_OF_TEST"]
with open(home + "/called.json", "w") as file:
    json.dump(sys.argv[1:], file)
if sys.argv[1] == "exec":
    os.execvp(sys.argv[4], sys.argv[4:])
sys.exit(int(os.environ.get("EXIT", "0")))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "program").mkdir()
    return tmp_path


def put_program(home: Path, program: str = PROGRAM) -> str:
    """The ConfigMap with a program, usually one that writes down how it was called; its sha256."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("__main__.py", program)
    (home / "program" / "hipbmm_kernel.zip").write_bytes(data.getvalue())
    return hashlib.sha256(data.getvalue()).hexdigest()


def run(text: str, home: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The text as the container runs it, with `/hipbmm` and the termination log in the test's folder."""
    text = text.replace("/dev/termination-log", f"{home}/termination-log").replace("/hipbmm/", f"{home}/")
    inside = {**os.environ, "HOME_OF_TEST": str(home), **environment}
    command = ["/bin/sh", "-c", text, "hipbmm", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=inside, timeout=120)


def called(home: Path) -> list[str]:
    found: list[str] = json.loads((home / "called.json").read_text())
    return found


def reason_in_log(home: Path) -> str:
    return str(json.loads((home / "termination-log").read_text())["reason"])


def test_warm_gets_the_servers_command_line(home: Path) -> None:
    done = run(scripts.WARM, home, put_program(home), "vllm", "serve", "a model", "--x=$(A)")
    assert done.returncode == 0
    assert called(home) == ["warm", "--", "vllm", "serve", "a model", "--x=$(A)"]
    assert (home / "env").read_text() == ""


def test_warm_without_arguments_of_the_server(home: Path) -> None:
    assert run(scripts.WARM, home, put_program(home)).returncode == 0
    assert called(home) == ["warm", "--"]


def test_what_warm_ends_with_ends_no_pod(home: Path) -> None:
    assert run(scripts.WARM, home, put_program(home), EXIT="7").returncode == 0


def test_a_pod_that_is_deleted_gives_warm_the_time_to_publish(home: Path) -> None:
    working = """
import os, pathlib, signal, sys, time
home = pathlib.Path(os.environ["HOME_OF_TEST"])
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), (home / "published").touch(), sys.exit(1)))
(home / "working").touch()
while True:
    time.sleep(0.1)  # not `pause`, for which a signal just before it would be lost
"""
    text = scripts.WARM.replace("/dev/termination-log", f"{home}/termination-log").replace("/hipbmm/", f"{home}/")
    inside = {**os.environ, "HOME_OF_TEST": str(home)}
    with subprocess.Popen(["sh", "-c", text, "hipbmm", put_program(home, working), "vllm"], env=inside) as process:
        deadline = time.monotonic() + 120
        while not (home / "working").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.terminate()
        assert process.wait(120) == 0
        assert (home / "published").exists()


def test_a_second_start_keeps_the_decision(home: Path) -> None:
    sha = put_program(home)
    run(scripts.WARM, home, sha)
    (home / "env").write_text("A='1'\n")
    run(scripts.WARM, home, sha)
    assert (home / "env").read_text() == "A='1'\n"


def test_a_program_of_another_sha_is_not_run(home: Path) -> None:
    put_program(home)
    assert run(scripts.WARM, home, "0" * 64, "vllm").returncode == 0
    assert reason_in_log(home) == "KernelMismatch"
    assert not (home / "kernel").exists()
    assert (home / "env").exists()


def test_no_program(home: Path) -> None:
    assert run(scripts.WARM, home, "0" * 64, "vllm").returncode == 0
    assert reason_in_log(home) == "KernelMissing"


def test_a_program_that_cannot_be_unpacked_leaves_none(home: Path) -> None:
    sha = put_program(home)
    (home / "kernel.new").write_text("in the way")
    assert run(scripts.WARM, home, sha).returncode == 0
    assert reason_in_log(home) == "KernelMissing"
    assert not (home / "kernel").exists()


def test_a_python_that_is_too_old_neither_unpacks_nor_runs_the_program(home: Path) -> None:
    sha = put_program(home)
    old = home / "bin" / "python3"
    old.parent.mkdir()
    say = "import sys; sys.version_info = (3, 9)"
    old.write_text(f'#!/bin/sh\nshift 2\ntext=$1\nshift\nexec {sys.executable} -I -c "{say}\n$text" "$@"\n')
    old.chmod(0o755)
    path = f"{old.parent}:{os.environ['PATH']}"
    assert run(scripts.WARM, home, sha, "vllm", PATH=path).returncode == 0
    assert reason_in_log(home) == "PythonTooOld"
    assert not (home / "kernel").exists()
    done = run(scripts.SERVER, home, "echo", "a b", PATH=path)
    assert (done.stdout, done.returncode) == ("a b\n", 0)
    assert not (home / "called.json").exists()


def test_an_env_file_that_cannot_be_made_ends_nothing(home: Path) -> None:
    (home / "env").symlink_to(home / "nowhere" / "env")
    assert run(scripts.WARM, home, put_program(home), "vllm").returncode == 0
    assert called(home) == ["warm", "--", "vllm"]


def test_an_image_without_python(home: Path) -> None:
    done = run(scripts.WARM, home, put_program(home), "vllm", PATH=str(home / "nothing"))
    assert done.returncode == 0
    assert not (home / "kernel").exists()


def test_the_server_starts_by_the_program(home: Path) -> None:
    run(scripts.WARM, home, put_program(home))
    done = run(scripts.SERVER, home, "echo", "a b")
    assert done.stdout == "a b\n"
    assert called(home) == ["exec", "--foreign", "--", "echo", "a b"]


@pytest.mark.parametrize("name", ["PYTHONHOME", "PYTHONPATH"])
def test_the_server_starts_by_the_program_with_variables_for_another_python(home: Path, name: str) -> None:
    (home / "json.py").write_text("raise SystemExit(9)")
    run(scripts.WARM, home, put_program(home), "vllm", **{name: str(home)})
    assert called(home) == ["warm", "--", "vllm"]
    done = run(scripts.SERVER, home, "sh", "-c", f'echo "${name}"', **{name: str(home)})
    assert (done.stdout, done.returncode) == (f"{home}\n", 0)
    assert called(home)[:2] == ["exec", "--foreign"]


@pytest.mark.parametrize("name", ["PYTHONHOME", "PYTHONPATH"])
def test_the_sidecar_runs_with_variables_for_another_python(home: Path, name: str) -> None:
    (home / "json.py").write_text("raise SystemExit(9)")
    run(scripts.WARM, home, put_program(home))
    text = scripts.HARVEST.partition("\nwhile")[0]
    assert run(text, home, **{name: str(home)}).returncode == 0
    assert called(home) == ["harvest"]


def test_the_server_starts_without_the_program(home: Path) -> None:
    done = run(scripts.SERVER, home, "sh", "-c", 'echo "$1"; exit 3', "zero", "one")
    assert (done.stdout, done.returncode) == ("one\n", 3)


def test_the_sidecar_ends_at_sigterm_only(home: Path) -> None:
    text = scripts.HARVEST.replace("/hipbmm/", f"{home}/")
    with subprocess.Popen(["sh", "-c", text, "hipbmm"]) as process:
        _until_caught(process, signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.terminate()
        assert process.wait(120) == 0


def _until_caught(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Wait until the process has a handler of a signal: before, the signal would end it."""
    deadline, caught = time.monotonic() + 120, 0
    while not caught >> (number - 1) & 1:
        assert time.monotonic() < deadline
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
        time.sleep(0.01)
