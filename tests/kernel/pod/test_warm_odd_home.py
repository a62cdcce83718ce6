"""`warm` in a home where something of somebody else stands in the way: it ends, and the server starts after it."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.kernel.pods import SMALL_MODEL, Pod, fill

from hipbmm_kernel.planner import plan
from hipbmm_kernel.pod import state_file

SHOW = "import json, os; print(json.dumps([os.environ.get('VLLM_ROCM_USE_AITER_LINEAR_HIPBMM'), "
SHOW += "os.path.exists('hip_online_tuning_res.csv') and open('hip_online_tuning_res.csv').read().count('true,true')]))"
ROWS = 12
SECONDS = 60.0
"""A restored `warm` takes 0.2 s; the rest is for a machine that does other things."""


def directory(name: str) -> Callable[[Pod], None]:
    return lambda pod: (pod.home / name / "deeper").mkdir(parents=True)


def pipe(name: str) -> Callable[[Pod], None]:
    return lambda pod: os.mkfifo(pod.home / name)


def file(name: str) -> Callable[[Pod], None]:
    def make(pod: Pod) -> None:
        (pod.home / name).write_text("somebody's")

    return make


def link(name: str) -> Callable[[Pod], None]:
    def make(pod: Pod) -> None:
        (pod.root / "elsewhere").write_text("somebody's own")
        (pod.home / name).symlink_to(pod.root / "elsewhere")

    return make


def terabyte(name: str) -> Callable[[Pod], None]:
    def make(pod: Pod) -> None:
        (pod.home / name).touch()
        os.truncate(pod.home / name, 1 << 40)

    return make


HARMLESS = {
    "cache is a file": file("cache"),
    "cache is a pipe": pipe("cache"),
    "tune is a file": file("tune"),
    "tune is a pipe": pipe("tune"),
    "dispatch is a file": file("dispatch"),
    "mirror is a pipe": pipe("mirror"),
    "report is a pipe": pipe("report.json"),
    "report is a link": link("report.json"),
    "report is a terabyte": terabyte("report.json"),
    "state is a terabyte": terabyte("state.json"),
}
BROKEN = {
    "report is a directory": directory("report.json"),
    "state is a directory": directory("state.json"),
    "state is a pipe": pipe("state.json"),
    "state is a link": link("state.json"),
    "work is a file": file("work"),
    "work is a pipe": pipe("work"),
}


@pytest.fixture
def full(pod: Pod) -> Pod:
    """A pod whose store has every row of its plan."""
    problems = plan.build(json.dumps(SMALL_MODEL).encode(), plan.Options(tokens=(1, 2, 16))).problems
    fill(pod.store, pod.stack(), list(problems))
    return pod


def served(pod: Pod) -> list[object]:
    """What the server behind `exec` sees after `warm`: whether HIPBMM is on, and how many rows its file has."""
    began = time.monotonic()
    done = pod.run_bound_by_permissions("warm")
    assert time.monotonic() - began < SECONDS
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    try:
        server = pod.run_bound_by_permissions("exec", "--", sys.executable, "-c", SHOW)
        assert server.returncode == 0, server.stderr
    finally:
        Path(state_file.spare(pod.settings().state_file, pod.env["HIPBMM_POD_UID"])).unlink(missing_ok=True)
    if (pod.root / "elsewhere").exists():
        assert (pod.root / "elsewhere").read_text() == "somebody's own"
    found: list[object] = json.loads(server.stdout)
    return found


@pytest.mark.parametrize("odd", list(HARMLESS.values()), ids=list(HARMLESS))
def test_the_rows_are_served_beside_what_they_do_not_need(full: Pod, odd: Callable[[Pod], None]) -> None:
    odd(full)
    assert served(full) == ["1", ROWS]


@pytest.mark.parametrize("odd", [file("tune"), pipe("tune")], ids=["a file", "a pipe"])
def test_a_tuner_without_room_for_its_children_is_a_reason_in_the_report(pod: Pod, odd: Callable[[Pod], None]) -> None:
    odd(pod)
    served(pod)
    assert (pod.report["state"], pod.report["reason"]) == ("Failed", "TunerFailed")
    assert "no child can be started: " in pod.report["message"]


@pytest.mark.parametrize("odd", list(BROKEN.values()), ids=list(BROKEN))
def test_a_server_starts_without_hipbmm_where_what_it_needs_is_in_the_way(
    full: Pod, odd: Callable[[Pod], None]
) -> None:
    odd(full)
    assert served(full)[0] == "0"
