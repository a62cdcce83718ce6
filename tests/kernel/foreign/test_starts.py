"""Starts counted by the plugin: each start is a container of its own here, as far as processes see."""

import fcntl
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.faults import FakeClock
from tests.kernel.foreign.homes import proven, table
from tests.kernel.pods import ROOT

from hipbmm_kernel.contract import report
from hipbmm_kernel.foreign import env_file
from hipbmm_kernel.foreign import starts as starts_of
from hipbmm_kernel.system.volume import Volume

NAMES = ("HIPBMM_DISPATCH_TABLE", "HIP_ONLINE_TUNING")
REGISTER = (
    "import json, os, subprocess, sys\n"
    "os.environ['HIP_ONLINE_TUNING'] = '1'\n"  # as vLLM does when its platform is imported
    "from hipbmm_kernel.foreign.starts import register\n"
    "register(); register()\n"
    "if len(sys.argv) > 1: sys.exit(subprocess.run([sys.executable, '-c', sys.argv[1]]).returncode)\n"
    f"print(json.dumps([os.environ.get(name) for name in {NAMES}]))\n"
)
PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a process namespace needs root")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    proven(tmp_path / "hipbmm", env=True)
    return tmp_path / "hipbmm"


def variables(home: Path) -> dict[str, str]:
    """What kubelet gives to the container."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "kernel"), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**env, **env_file.decode((home / "env").read_bytes())}


def command(program: str, *more: str) -> list[str]:
    return ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", program, *more]


def start(home: Path, *more: str) -> list[str | None]:
    """A container that starts: what the last process of it has, with the variables that kubelet reads now."""
    done = subprocess.run(
        command(REGISTER, *more), env=variables(home), capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[str | None] = json.loads(done.stdout)
    return found


def starts(home: Path) -> int:
    document = json.loads((home / "state.json").read_text())
    return int(document["starts"])


def test_the_third_start_has_no_table_and_the_fourth_is_as_if_we_were_not_there(home: Path) -> None:
    assert [start(home) for _ in range(4)] == [[table(home), "1"], [table(home), "1"], [None, "0"], [None, "1"]]
    assert (home / "env").read_bytes() == b""
    assert starts(home) == 3


def test_processes_of_one_start_count_once_and_decide_alike(home: Path) -> None:
    assert start(home, REGISTER) == [table(home), "1"]
    assert starts(home) == 1
    start(home)
    assert start(home, REGISTER) == [None, "0"]


def test_a_process_that_did_not_inherit_the_decision_finds_it(home: Path) -> None:
    for _ in range(2):
        start(home)
    fresh = f"import os; os.environ['HIPBMM_DISPATCH_TABLE'] = {table(home)!r}\n"
    fresh += f"os.environ.pop('HIPBMM_NO_ONLINE_TUNING')\n{REGISTER}"
    assert start(home, fresh) == [None, "0"]


def test_processes_that_begin_at_once_decide_alike(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one comes while the first is at its count."""
    start(home)
    start(home)
    counting, waiting = threading.Event(), threading.Event()
    read, flock = report.read, fcntl.flock

    def slow(volume: Volume, path: str) -> tuple[dict[str, object] | None, str]:
        counting.set()
        assert waiting.wait(60)
        return read(volume, path)

    def seen(lock: int, operation: int) -> None:
        if counting.is_set():
            waiting.set()
        flock(lock, operation)

    monkeypatch.setattr(report, "read", slow)
    monkeypatch.setattr(fcntl, "flock", seen)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(starts_of._counted, str(home))
        assert counting.wait(60)
        second = pool.submit(starts_of._counted, str(home))
        second.add_done_callback(lambda _: waiting.set())
    assert first.result() == second.result() != ""
    assert starts(home) == 3


def test_no_start_waits_for_a_process_that_is_stopped_at_its_count(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the lock and does not go on; this start serves without a table then."""
    start(home)
    clock, environ = FakeClock(), variables(home) | {"HIP_ONLINE_TUNING": "1"}
    monkeypatch.setattr(starts_of, "Clock", lambda: clock)
    monkeypatch.setattr(os, "environ", environ)
    stopped = os.open(home / "starts", os.O_RDONLY)
    try:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        starts_of.register()
    finally:
        os.close(stopped)
    assert 0 < sum(clock.slept) <= starts_of.WAIT_SECONDS + 1
    assert [environ.get(name) for name in NAMES] == [None, "0"]
    assert (home / "env").read_bytes() == b""
    assert starts(home) == 1


def test_what_a_person_runs_in_the_container_is_no_start(home: Path) -> None:
    wait = "import sys; print('registered', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        command(REGISTER.replace("sys.exit(subprocess", "(subprocess"), wait), env=variables(home), **PIPES
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "registered\n"
        (inside,) = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        entered = ["nsenter", "--target", inside, "--pid", "--mount", sys.executable, "-c", REGISTER]
        done = subprocess.run(entered, env=variables(home), capture_output=True, text=True, check=True)
        server.communicate("")
    assert json.loads(done.stdout) == [table(home), "1"]
    assert starts(home) == 1


def test_the_report_of_a_large_plan_is_read_whole(home: Path) -> None:
    report = json.loads((home / "report.json").read_text())
    failures = [{"problem": f"M={m} N=256 K=512", "reason": "x" * 600} for m in range(2048)]
    (home / "report.json").write_text(json.dumps({**report, "failures": failures}))
    assert start(home) == [table(home), "1"]


@pytest.mark.parametrize(("name", "text"), [("report.json", "{"), ("report.json", ""), ("state.json", "{")])
def test_what_cannot_be_counted_has_no_table(home: Path, name: str, text: str) -> None:
    (home / name).unlink(missing_ok=True)
    if text:
        (home / name).write_text(text)
    assert start(home) == [None, "0"]
    assert (home / "env").read_bytes() == b""


def test_a_pod_of_ours_is_not_counted_here(home: Path) -> None:
    given = env_file.decode((home / "env").read_bytes())
    (home / "env").unlink()
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "kernel"), **given}
    done = subprocess.run([sys.executable, "-c", REGISTER], env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [table(home), "1"]
    assert not (home / "state.json").exists()
