"""A server that crashes, on disks that are full, read-only or without inodes: after at most four starts it serves.

The disks are small file systems in memory; the clock is a value.
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.kernel.pods import ROOT, row

from hipbmm_kernel.contract.settings import CONTRACT_ENV, SERVED_NAME, parse_settings
from hipbmm_kernel.pod import exec as execs
from hipbmm_kernel.pod import state_file
from hipbmm_kernel.pod.start_mode import NO_AITER, NO_HIPBMM
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume

TABLE = f"{gemm.HEADER}\n{row().key},77,-\n"
Server = Callable[[dict[str, str], bool], bool]
"""Whether a server with this environment, and with or without a table, serves."""


def bad_row(env: dict[str, str], table: bool) -> bool:
    return env.get("VLLM_ROCM_USE_AITER_LINEAR_HIPBMM") != "1" or not table


def bad_kernel(env: dict[str, str], _table: bool) -> bool:
    return env.get("VLLM_ROCM_USE_AITER_LINEAR_HIPBMM") != "1"


def bad_aiter(env: dict[str, str], _table: bool) -> bool:
    return env.get("VLLM_ROCM_USE_AITER") != "1"


class At(Clock):
    """A clock that a test sets."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now


@dataclass
class Disk:
    """The pod's emptyDir after `warm`."""

    home: Path

    @property
    def served_file(self) -> Path:
        return self.home / "work" / SERVED_NAME

    def start(self, clock: Clock) -> tuple[str, dict[str, str]]:
        """One start: the line of the log that names the mode, and the server's environment."""
        settings = parse_settings({"HIPBMM_HOME": str(self.home)})
        log = io.StringIO()
        env = execs.Start(settings, Volume(), clock, execs.Log(log)).prepare(dict(CONTRACT_ENV))
        assert env is not None
        return next(line for line in log.getvalue().splitlines() if ", mode " in line), env

    def starts_until(self, serves: Server, ran: float) -> tuple[int, str]:
        """How many starts end, each `ran` seconds after it, before one serves; its line of the log."""
        clock = At()
        for ended in range(10):
            line, env = self.start(clock)
            if serves(env, self.served_file.exists()):
                return ended, line
            clock.now += ran
        raise AssertionError("a crash loop")


@pytest.fixture(autouse=True)
def spare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory that the containers of a pod share."""
    (tmp_path / "shm").mkdir()
    monkeypatch.setattr(state_file, "SPARE_DIRECTORY", str(tmp_path / "shm"))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A file system of its own, with what `warm` leaves behind."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    home = tmp_path / "hipbmm"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=32", "tmpfs", str(home)], check=True)
    try:
        made = Disk(home)
        made.served_file.parent.mkdir()
        made.served_file.write_text(TABLE)
        (home / "report.json").write_text('{"state": "Complete", "hipbmm": true}')
        state_file.begin_attempt(Volume(), str(home / "state.json"), 0.0)
        state_file.end_attempt(Volume(), str(home / "state.json"), 0.0)
        monkeypatch.chdir(home / "work")
        yield made
    finally:
        monkeypatch.undo()
        subprocess.run(["umount", "--lazy", str(home)], check=True)


def fill(disk: Disk) -> None:
    with (disk.home / "somebody's").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def use_up_inodes(disk: Disk) -> None:
    try:
        for number in range(100):
            (disk.home / f"somebody's-{number}").touch()
    except OSError:
        return


def make_read_only(disk: Disk) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk.home)], check=True)


def remove_state(disk: Disk) -> None:
    (disk.home / "state.json").unlink()


def remove_state_and_use_up_inodes(disk: Disk) -> None:
    remove_state(disk)
    use_up_inodes(disk)


def damage_state(disk: Disk) -> None:
    """Nothing can be remembered at its place, and nothing that was is known."""
    remove_state(disk)
    (disk.home / "state.json").mkdir()


def nothing(_disk: Disk) -> None:
    pass


BREAKING = [nothing, fill, use_up_inodes, make_read_only, remove_state, remove_state_and_use_up_inodes]


@pytest.mark.parametrize("ran", [5.0, 120.0, 31 * 60.0, 20 * 3600.0], ids=["start", "request", "minute-31", "hour-20"])
@pytest.mark.parametrize("server", [bad_row, bad_kernel])
@pytest.mark.parametrize("broken", BREAKING)
def test_a_server_that_our_things_crash_serves_again(
    disk: Disk, broken: Callable[[Disk], None], server: Server, ran: float
) -> None:
    broken(disk)
    ended, line = disk.starts_until(server, ran)
    assert ended <= 4
    assert ": " in line.split(", mode ")[1]


@pytest.mark.parametrize("ran", [5.0, 120.0, 31 * 60.0])
@pytest.mark.parametrize("broken", [*BREAKING, damage_state])
def test_a_server_that_aiter_crashes_gets_its_own_environment_back(
    disk: Disk, broken: Callable[[Disk], None], ran: float
) -> None:
    broken(disk)
    ended, line = disk.starts_until(bad_aiter, ran)
    assert ended <= 4
    assert f"mode {NO_AITER}: " in line


@pytest.mark.parametrize("broken", [make_read_only, remove_state_and_use_up_inodes])
def test_a_start_that_cannot_be_counted_is_one_without_hipbmm(disk: Disk, broken: Callable[[Disk], None]) -> None:
    broken(disk)
    line, env = disk.start(At())
    assert f"mode {NO_HIPBMM}: " in line
    assert env["VLLM_ROCM_USE_AITER_LINEAR_HIPBMM"] == "0"


@pytest.mark.parametrize("server", [bad_row, bad_kernel, bad_aiter])
@pytest.mark.parametrize("broken", [make_read_only, remove_state_and_use_up_inodes, damage_state])
def test_where_no_start_can_be_counted_anywhere_the_server_gets_its_own_environment(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, broken: Callable[[Disk], None], server: Server
) -> None:
    monkeypatch.setattr(state_file, "SPARE_DIRECTORY", str(disk.home / "nothing"))
    broken(disk)
    ended, line = disk.starts_until(server, 5.0)
    assert ended == 0
    assert f"mode {NO_AITER}: " in line


def test_a_disk_that_can_be_written_again_goes_on_counting(disk: Disk) -> None:
    make_read_only(disk)
    clock = At()
    for number in range(1, 4):
        assert f"start {number} " in disk.start(clock)[0]
        clock.now += 5
    subprocess.run(["mount", "-o", "remount,rw", str(disk.home)], check=True)
    assert f"start 4 of the server, mode {NO_HIPBMM}" in disk.start(clock)[0]
    clock.now += 5
    assert f"start 5 of the server, mode {NO_AITER}" in disk.start(clock)[0]
    assert json.loads((disk.home / "state.json").read_text())["crashes"] == 4


def test_a_full_disk_still_counts_in_the_block_that_warm_allocated(disk: Disk) -> None:
    fill(disk)
    for number in range(1, 4):
        line, _ = disk.start(At())
        assert f"start {number} of the server, mode {NO_HIPBMM}: the served file cannot be used: ENOSPC" in line
    document = json.loads((disk.home / "state.json").read_text())
    assert (document["starts"], document["crashes"]) == (3, 2)


def test_warm_that_the_kernel_kills_again_and_again_gives_up(disk: Disk) -> None:
    """Each killed run leaves its count; the next ones do less, and the last does nothing and ends."""
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "kernel"),
        "HIPBMM_HOME": str(disk.home),
        "HIPBMM_TERMINATION_LOG": str(disk.home / "log"),
    }
    for _ in range(5):
        state_file.begin_attempt(Volume(), str(disk.home / "state.json"), 0.0)
    done = subprocess.run(
        [sys.executable, "-m", "hipbmm_kernel", "warm"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((disk.home / "log").read_text())
    assert (report["state"], report["reason"], report["hipbmm"]) == ("Failed", "TunerFailed", False)
    assert "5 runs of warm" in report["message"]
    assert json.loads((disk.home / "state.json").read_text())["attempts"] == 0
