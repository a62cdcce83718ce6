"""The acceptance's child programs that a simulated GPU cannot run: tracing, replay, and memory that really fills up."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.device.conftest import StandIn
from tests.kernel.acceptance.child_runs import verdict_of

from hipbmm_kernel.acceptance import checks_faults, checks_stack, programs, supervision
from hipbmm_kernel.acceptance.report import PASS
from hipbmm_kernel.acceptance.supervision import ChildRun, Ended

MIB = 1 << 20
PROBLEM = [16, 2560, 5120]


def _child_run(program: str, **arguments: Any) -> ChildRun:  # noqa: ANN401 - any JSON value
    """Run a child program in this process, where the stand-in of AITER is."""
    answers: dict[str, list[Any]] = {}

    def report(subject: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
        answers.setdefault(subject, []).append(json.loads(json.dumps(value)))

    programs.PROGRAMS[program](arguments, report)
    return ChildRun(Ended(0, "", "", 0.0), answers)


def test_the_op_is_registered_and_compiles(aiter_stand_in: StandIn, tmp_path: Path) -> None:
    child = _child_run("register", problems=[PROBLEM])
    verdict = verdict_of(checks_stack.registration, tmp_path, register=child)
    assert verdict.outcome == PASS, verdict
    compiled = verdict_of(checks_stack.compilation, tmp_path, seen={"op-registration": verdict.evidence})
    assert compiled.outcome == PASS, compiled


@pytest.mark.parametrize("warm", [True, False])
def test_a_call_is_captured_and_replayed(aiter_stand_in: StandIn, tmp_path: Path, warm: bool) -> None:
    child = _child_run("capture", problems=[PROBLEM], warm=warm)
    verdict = verdict_of(checks_faults.capture_hit, tmp_path, table=b"rows", capture=child)
    assert verdict.outcome == PASS, verdict


def test_results_are_compared(aiter_stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (answer,) = _child_run("multiply", problems=[PROBLEM], calls=2).answers["problem"]
    assert (answer["problem"], answer["bytes"], answer["verdict"]) == (PROBLEM, [0, 0], None)


def test_memory_is_filled_down_to_what_was_asked(
    aiter_stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        child = _child_run(
            "fill_memory", problems=[[1, 64, 256]], free=checks_faults.FILLED, most=checks_faults.LOOKUP_FLOOR
        )
    finally:
        torch.cuda.empty_cache()
    assert checks_faults.FILLED - 32 * MIB < child.last("free")["bytes"] <= checks_faults.LOOKUP_FLOOR
    assert verdict_of(checks_faults.free_memory_rule, tmp_path, fill_memory=child).outcome == PASS


def test_another_process_sees_what_this_one_allocates(tmp_path: Path, device: torch.device) -> None:
    torch.cuda.empty_cache()
    watched: list[ChildRun] = []
    arguments = {"stop": str(tmp_path / "stop"), "most": 60.0}

    def watch() -> None:
        command = supervision.child_command("watch", arguments, parent=os.getpid())
        end = supervision.run_command(command, tmp_path, dict(os.environ), 90.0)
        watched.append(ChildRun(end, supervision.parse_answers(end.stdout)))

    before = torch.cuda.mem_get_info(device)[0]
    thread = threading.Thread(target=watch)
    thread.start()
    while thread.is_alive() and torch.cuda.mem_get_info(device)[0] > before - 64 * MIB:
        thread.join(0.01)  # until the watcher's own context has taken its share
    block = torch.empty(8192 * MIB, dtype=torch.uint8, device=device)
    for _ in range(100):  # some hundred milliseconds, in which it samples every few microseconds
        block.fill_(1)
        torch.cuda.synchronize()
    (tmp_path / "stop").touch()
    thread.join()
    del block
    seen = watched[0].last("watched")
    assert watched[0].end.well, watched[0].end
    assert seen["least"] <= before - 8192 * MIB
    assert seen["samples"] > 10
