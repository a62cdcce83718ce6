"""The supervisor as a process of its own: what it starts, restarts, and takes with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from localkube import processes
from localkube.component import Component
from localkube.supervisor import COMPONENT_VARIABLE, INSTANCE_VARIABLE, Spec, restart_delay

T = TypeVar("T")
SLEEP = Component("sleeper", ("sleep", "1000"), {"EXTRA": "1"})


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Spec], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def run(spec: Spec, word: bytes = b"go\n") -> subprocess.Popen[bytes]:
        path = tmp_path / "spec.json"
        spec.save(path)
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        env |= {INSTANCE_VARIABLE: str(tmp_path), COMPONENT_VARIABLE: processes.SUPERVISOR}
        command = [sys.executable, "-m", "localkube.supervisor", str(path)]
        process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        started.append(process)
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(word)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def until(probe: Callable[[], T | None], seconds: float = 120.0) -> T:
    deadline = time.monotonic() + seconds
    while (value := probe()) is None:
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value


def sleepers(root: Path) -> list[int]:
    return [process.pid for process in processes.of_instance(root) if process.command == "sleep"]


def one_sleeper(root: Path) -> int | None:
    found = sleepers(root)
    return found[0] if found else None


def spec(root: Path, *components: Component, setup: list[list[str]] | None = None) -> Spec:
    return Spec(str(root), str(root), setup or [], list(components))


Start = Callable[[Spec], subprocess.Popen[bytes]]


def test_a_killed_component_comes_back(start: Start, tmp_path: Path) -> None:
    supervisor = start(spec(tmp_path, SLEEP))
    first = until(lambda: one_sleeper(tmp_path))
    assert processes.supervisor(tmp_path) == supervisor.pid
    os.kill(first, signal.SIGKILL)
    second = until(lambda: next((pid for pid in sleepers(tmp_path) if pid != first), None))
    assert second != first


def test_components_die_with_a_killed_supervisor(start: Start, tmp_path: Path) -> None:
    supervisor = start(spec(tmp_path, SLEEP))
    until(lambda: one_sleeper(tmp_path))
    supervisor.kill()
    supervisor.wait()
    until(lambda: True if not sleepers(tmp_path) else None)


def test_stop_ends_everything_and_waits(start: Start, tmp_path: Path) -> None:
    supervisor = start(spec(tmp_path, SLEEP, Component("second", ("sleep", "1001"))))
    until(lambda: True if len(sleepers(tmp_path)) == 2 else None)
    # Collected here as init would: a zombie has no environment, so that it does not count as running.
    processes.stop(tmp_path, politely=True)
    assert sleepers(tmp_path) == []
    assert supervisor.wait(120) == 0


def test_a_stop_without_asking_leaves_nothing_either(start: Start, tmp_path: Path) -> None:
    supervisor = start(spec(tmp_path, SLEEP))
    until(lambda: one_sleeper(tmp_path))
    processes.stop(tmp_path, politely=False)
    assert processes.of_instance(tmp_path) == []
    assert supervisor.wait(120) == -signal.SIGKILL


def test_setup_runs_first_and_in_order(start: Start, tmp_path: Path) -> None:
    marker = tmp_path / "made" / "file"
    check = Component("check", ("sh", "-c", f"test -f {marker} && exec sleep 1000"))
    start(spec(tmp_path, check, setup=[["mkdir", str(marker.parent)], ["touch", str(marker)]]))
    until(lambda: one_sleeper(tmp_path))
    assert (tmp_path / "check.log").read_text() == ""


def test_a_failed_setup_starts_nothing(start: Start, tmp_path: Path) -> None:
    supervisor = start(spec(tmp_path, SLEEP, setup=[["false"]]))
    assert supervisor.wait(120) != 0
    assert sleepers(tmp_path) == []


def test_without_the_word_it_starts_nothing(start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    assert start(spec(tmp_path, SLEEP), b"").wait(120) == 1
    assert sleepers(tmp_path) == []


def test_restarts_become_rarer_up_to_a_limit() -> None:
    delays = [restart_delay(count) for count in range(1, 12)]
    assert delays[0] == 0.5
    assert delays == sorted(delays)
    assert delays[-1] == 15.0


def test_a_spec_survives_the_file(tmp_path: Path) -> None:
    before = spec(tmp_path, SLEEP, setup=[["true"]])
    before.save(tmp_path / "x.json")
    assert Spec.load(tmp_path / "x.json") == before
