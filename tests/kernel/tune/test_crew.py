"""Supervision of children: they may die, hang, talk nonsense or not start; none of it loses a task or outlives us."""

import gc
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.kernel.faults import FakeClock
from tests.kernel.harvest.learning import LEARNED, line
from tests.kernel.pods import ROOT
from tests.kernel.tune.scripted import Scene

from hipbmm_kernel.store.tail import CHUNK
from hipbmm_kernel.system import process
from hipbmm_kernel.tune import crew, protocol
from hipbmm_kernel.tune.crew import Abort, Outcome, Task
from hipbmm_kernel.tune.worker import Failure

CHILD = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from hipbmm_kernel.system.process import die_with_parent
die_with_parent(int(sys.argv[2]))
print("ready", flush=True)
time.sleep(1000)
"""
PARENT = """
import os, subprocess, sys, time
command = [sys.executable, "-c", sys.argv[2], sys.argv[1], str(os.getpid())]
print(subprocess.Popen(command, start_new_session=True).pid, flush=True)
time.sleep(1000)
"""


def test_every_task_is_done_once_and_by_all_gpus(scene: Scene) -> None:
    names = [f"task {number}" for number in range(20)]
    # No child is done with its first task before the other has one, too.
    wait_for_the_other = """
        once("at-work-on-" + os.environ["HIP_VISIBLE_DEVICES"])
        while len([name for name in os.listdir(os.environ["STATE"]) if name.startswith("at-work-on-")]) < 2:
            time.sleep(0.01)"""
    left = scene.run(names, task=wait_for_the_other, gpus=("0", "2"))
    assert left == []
    assert scene.kinds() == {name: [protocol.DONE] for name in names}
    assert {hello["gpu"] for hello in scene.hellos} == {"0", "2"}
    assert scene.started == 2


@pytest.mark.parametrize(
    ("death", "words"),
    [
        (
            "os.write(2, b\"hipBLAS error: 'HIPBLAS_STATUS_INVALID_VALUE'(3) at x.cu:1069\\n\"); os._exit(1)",
            "hipBLAS error",
        ),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("os.write(events, b'garbage\\n'); time.sleep(30)", "not a message"),
        ("os.write(events, b'[1]\\n'); time.sleep(30)", "not a message"),
        ("os.close(events); time.sleep(30)", "SIGKILL"),
    ],
)
def test_a_task_that_ends_its_child_twice_is_given_up_and_the_others_are_done(
    scene: Scene, death: str, words: str
) -> None:
    left = scene.run(["a", "bad", "b"], task=f"if do == 'bad': {death}")
    assert left == []
    assert scene.kinds() == {"a": ["done"], "bad": ["killed", "killed"], "b": ["done"]}
    assert words in next(outcome.reason for outcome in scene.outcomes if outcome.kind == "killed")
    assert scene.started == 3


OOM = """if do == 'bad':
    kills = 1 if once('bad') else 2
    open(os.environ['STATE'] + '/memory.events', 'w').write(f'oom {kills}\\noom_kill {kills}\\n')
    os.kill(os.getpid(), signal.SIGKILL)
elif do == 'other':
    os.kill(os.getpid(), signal.SIGKILL)"""


def test_a_child_that_the_kernel_kills_for_memory_is_told_from_any_other_that_is_killed(scene: Scene) -> None:
    left = scene.run(["a", "bad", "other"], task=OOM)
    assert left == []
    assert scene.kinds() == {"a": ["done"], "bad": [crew.OUT_OF_MEMORY] * 2, "other": [crew.KILLED] * 2}
    assert "memory limit" in next(each.reason for each in scene.outcomes if each.kind == crew.OUT_OF_MEMORY)


def test_children_that_are_killed_for_memory_before_they_are_ready_retire_their_gpu_with_that_reason(
    scene: Scene,
) -> None:
    start = (
        "open(os.environ['STATE'] + '/memory.events', 'w').write('oom_kill ' + ('1' if once('one') else '2'));"
        " os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert [task.subject for task in scene.run(["a"], start=start)] == ["a"]
    assert scene.last_failure.error == crew.OUT_OF_MEMORY_ERROR
    assert "memory limit" in scene.last_failure.reason


def test_a_task_whose_child_died_once_is_tried_again(scene: Scene) -> None:
    scene.run(["a", "bad", "b"], task="if do == 'bad' and once('bad'): os._exit(1)")
    assert scene.kinds() == {"a": ["done"], "bad": ["killed", "done"], "b": ["done"]}


def test_a_child_that_ends_while_it_is_idle_costs_no_task(scene: Scene) -> None:
    def until_it_has_ended(outcome: Outcome) -> list[Task]:
        scene.outcomes.append(outcome)
        if outcome.task.subject == "last":
            os.waitid(os.P_PID, outcome.message["pid"], os.WEXITED | os.WNOWAIT)
        return []

    task = "if do == 'last': say(event='done', pid=os.getpid()); os._exit(0)"
    assert scene.run(["last", "b"], task=task, on_outcome=until_it_has_ended) == []
    assert scene.kinds() == {"last": ["done"], "b": ["done"]}
    assert scene.started == 2


@pytest.mark.parametrize("before", ["", "x" * CHUNK + "\n", "x\n" * CHUNK])
def test_a_row_is_found_behind_any_number_of_other_lines(scene: Scene, before: str) -> None:
    found: list[object] = []
    (scene.root / "table").write_text(before + line(LEARNED[0]))

    def read(outcome: Outcome) -> list[Task]:
        found.extend(outcome.worker.written(row.key)[0] for row in LEARNED[:2])
        return []

    scene.run(["a"], task=f"os.link('{scene.root}/table', 'hip_online_tuning_res.csv')", on_outcome=read)
    assert found == [LEARNED[0], None]


def test_a_child_that_hangs_is_ended_at_the_deadline(scene: Scene) -> None:
    left = scene.run(["bad", "b"], task="if do == 'bad': time.sleep(1000)", seconds=2.0)
    assert left == []
    assert scene.kinds() == {"bad": ["hung", "hung"], "b": ["done"]}
    assert not scene.survivors()


def test_a_child_that_answered_while_the_parent_was_held_up_has_not_hung(scene: Scene) -> None:
    """Outcomes are handed to a store, which may hang."""
    clock, state = FakeClock(), scene.root / "state"
    task = """
        def wait_for(name):
            while not os.path.exists(os.path.join(os.environ["STATE"], name)):
                time.sleep(0.01)
        if do == "bad":
            once("at-work")
            wait_for("held-up")
            say(event="done")
            once("answered")
            continue
        wait_for("at-work")"""

    def held_up(outcome: Outcome) -> list[Task]:
        scene.outcomes.append(outcome)
        if outcome.task.subject == "a":
            (state / "held-up").touch()
            assert _within_a_minute((state / "answered").exists)
            clock.sleep(1000.0)
        return []

    scene.run(["a", "bad"], task=task, gpus=("0", "1"), on_outcome=held_up, clock=clock)
    assert scene.kinds() == {"a": ["done"], "bad": ["done"]}


def test_a_child_that_answers_before_it_is_ready_has_no_more_time_for_that(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "START_SECONDS", 1.0)
    end = time.monotonic() + 60.0
    left = scene.run(["a"], start="say(event='done'); time.sleep(1000)", deadline=lambda: end)
    assert [task.subject for task in left] == ["a"]
    assert (scene.started, scene.outcomes) == (crew.MAX_FAILURES, [])


def test_a_child_that_ignores_signals_and_its_grandchildren_are_ended_too(scene: Scene) -> None:
    hang = """if do == 'bad':
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        pid = os.fork()
        if pid:
            open(os.path.join(os.environ['STATE'], 'grandchild'), 'w').write(str(pid))
        time.sleep(1000)"""
    scene.run(["bad"], task=hang, seconds=2.0)
    grandchild = int((scene.root / "state/grandchild").read_text())
    assert _ended(grandchild)


def test_a_child_that_cannot_be_ended_is_left_behind_and_the_others_go_on(
    scene: Scene, freezer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "END_SECONDS", 0.5)
    freeze = f"""if do == 'bad':
        open('{freezer}/cgroup.procs', 'w').write(str(os.getpid()))
        open('{freezer}/freezer.state', 'w').write('FROZEN')
        time.sleep(1000)"""
    left = scene.run(["bad", "good", "better"], task=freeze, seconds=5.0, gpus=("0", "1"))
    assert left == []
    assert scene.kinds() == {"bad": [crew.HUNG] * 2, "good": [protocol.DONE], "better": [protocol.DONE]}
    hung = [outcome.reason for outcome in scene.outcomes if outcome.kind == crew.HUNG]
    assert hung == ["took too long: it cannot be ended and is left behind"] * 2
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):  # the child is still running, indeed
        scene.outcomes.clear()
        gc.collect()


def test_a_gpu_whose_children_never_start_is_retired_with_the_reason(scene: Scene) -> None:
    left = scene.run(["a", "b"], start="say(event='failed', error='ImportError', reason='no torch'); sys.exit(1)")
    assert [task.subject for task in left] == ["a", "b"]
    assert scene.last_failure == Failure("ImportError", "no torch")
    assert scene.started == crew.MAX_FAILURES


def a_file_in_place_of_the_directory(scene: Scene) -> None:
    (scene.root / "tune").write_text("")


def no_such_program(scene: Scene) -> None:
    scene.python = "/nowhere/python3"


@pytest.mark.parametrize("spoil", [a_file_in_place_of_the_directory, no_such_program])
def test_a_child_for_which_there_is_no_room_retires_its_gpu_with_the_reason(
    scene: Scene, spoil: Callable[[Scene], None]
) -> None:
    spoil(scene)
    before = len(list(Path("/proc/self/fd").iterdir()))
    left = scene.run(["a"], gpus=("0", "1"))
    assert [task.subject for task in left] == ["a"]
    assert scene.last_failure.reason.startswith("no child can be started: ENO")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


STARTS_LATE = """
def wait_for(name):
    while not os.path.exists(os.path.join(os.environ["STATE"], name)):
        time.sleep(0.01)
if os.environ["HIP_VISIBLE_DEVICES"] == "1":
    wait_for("0 has answered")
    say(event="hello")
    once("1 has said hello")
    time.sleep(1000)
"""
ANSWERS = """
once("0 is at work")
wait_for("the parent is busy")
say(event="done")
once("0 has answered")
continue
"""


def test_a_child_that_an_answer_retires_may_have_said_something_at_that_moment(scene: Scene) -> None:
    state = scene.root / "state"

    def be_busy_until_both_have_spoken() -> None:
        if (state / "0 is at work").exists() and not (state / "the parent is busy").exists():
            (state / "the parent is busy").touch()
            deadline = time.monotonic() + 120
            while not (state / "1 has said hello").exists():
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def retire_the_other(outcome: Outcome) -> list[Task]:
        assert scene.running is not None
        scene.running.retire("1", "sick")
        return scene._retry(outcome)

    tick, done = be_busy_until_both_have_spoken, retire_the_other
    assert scene.run(["a"], ANSWERS, STARTS_LATE, ("0", "1"), tick=tick, on_outcome=done) == []
    assert scene.kinds() == {"a": [protocol.DONE]}
    assert scene.last_failure == Failure("", "sick")
    assert not scene.survivors()


ONE_HANGS = """
def wait_for(name):
    while not os.path.exists(os.path.join(os.environ["STATE"], name)):
        time.sleep(0.01)
"""
UNTIL_RETIRED = """
if do == "hangs" and once("hangs"):
    time.sleep(1000)
if do == "a":
    wait_for("hangs")"""


def test_a_gpu_that_an_answer_retires_loses_its_task_and_what_follows_from_the_answer_is_done(scene: Scene) -> None:
    """What only the retired one may do is nobody's: nothing waits for it."""

    def retire_the_other(outcome: Outcome) -> list[Task]:
        assert scene.running is not None
        tasks = scene._retry(outcome)
        if outcome.task.subject == "a":
            other = "1" if outcome.worker.gpu == "0" else "0"
            scene.running.retire(other, "sick")
            tasks = [Task(name, {"do": name}, 120.0, gpu) for name, gpu in (("pinned", other), ("next", ""))]
        return tasks

    end = time.monotonic() + 60.0
    names, gpus = ["a", "hangs", "b"], ("0", "1")
    left = scene.run(names, UNTIL_RETIRED, ONE_HANGS, gpus, deadline=lambda: end, on_outcome=retire_the_other)
    assert left == []
    assert scene.kinds() == {name: [protocol.DONE] for name in ("a", "next", "hangs", "b")}
    assert len({outcome.worker.gpu for outcome in scene.outcomes}) == 1
    assert not scene.survivors()


def test_one_gpu_that_never_starts_does_not_stop_the_others(scene: Scene) -> None:
    die = "os.write(2, b'Hip error: 100'); once('one') or once('two'); os._exit(1)"
    bad = f"if os.environ['HIP_VISIBLE_DEVICES'] == '1': {die}"
    wait_for_both_failures = """
        while not os.path.exists(os.path.join(os.environ["STATE"], "two")):
            time.sleep(0.01)
        time.sleep(0.1)"""
    names = [str(number) for number in range(10)]
    left = scene.run(names, start=bad, task=wait_for_both_failures, gpus=("0", "1"))
    assert left == []
    assert scene.kinds() == {name: ["done"] for name in names}
    assert "Hip error" in scene.last_failure.reason


def test_when_time_is_up_the_rest_is_handed_back_and_nobody_is_left(scene: Scene) -> None:
    begun = scene.root / "state/slow"

    def once_slow_has_begun() -> float:
        return 0.0 if begun.exists() else float("inf")

    hang = "if do == 'slow' and once('slow'): time.sleep(1000)"
    left = scene.run(["a", "slow", "b"], task=hang, deadline=once_slow_has_begun)
    assert [task.subject for task in left] == ["b", "slow"]
    assert scene.kinds() == {"a": ["done"]}
    assert not scene.survivors()


def test_a_stop_is_obeyed_at_once(scene: Scene) -> None:
    def stop_at_first(outcome: Outcome) -> list[Task]:
        scene.outcomes.append(outcome)
        os.kill(os.getpid(), signal.SIGTERM)
        return [outcome.task]

    left = scene.run(["a", "b"], task="if do == 'b': time.sleep(1000)", on_outcome=stop_at_first)
    assert "b" in [task.subject for task in left]
    assert not scene.survivors()


def test_an_abort_ends_all_children(scene: Scene) -> None:
    def abort(_outcome: Outcome) -> list[Task]:
        raise Abort("StackMismatch", "other GPU")

    with pytest.raises(Abort, match="other GPU"):
        scene.run(["a", "b", "c"], gpus=("0", "1"), on_outcome=abort)
    assert not scene.survivors()


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(ROOT / "kernel"), CHILD], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    with parent:
        assert parent.stdout is not None
        lines = {parent.stdout.readline().strip(), parent.stdout.readline().strip()}
        parent.kill()
    child = int(next(line for line in lines if line.isdigit()))
    assert "ready" in lines
    assert _ended(child)


def _ended(pid: int) -> bool:
    """Whether a process ends within a minute: a signal that is sent is not yet delivered."""

    def gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    return _within_a_minute(gone)


def _within_a_minute(happened: Callable[[], bool]) -> bool:
    for _ in range(3000):
        if happened():
            return True
        time.sleep(0.02)
    return False
