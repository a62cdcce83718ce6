"""Children as they really end: by exit, by signal, by their deadline, with children of their own, with torn answers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hipbmm_kernel.acceptance import checks_program, supervision
from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.supervision import Ended
from hipbmm_kernel.identity.container import Identity
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows.gemm import Problem
from hipbmm_kernel.system import process


def _python(program: str, directory: Path, seconds: float = 30.0) -> Ended:
    return supervision.run_command([sys.executable, "-S", "-c", program], directory, {}, seconds)


@pytest.mark.parametrize(
    ("program", "status", "words"),
    [
        ("print('out')", 0, "ended with exit(0)"),
        ("import os; os.write(2, b'first\\nHip error: x\\n\\n'); os._exit(1)", 1, "ended with exit(1): Hip error: x"),
        ("import os; os.kill(os.getpid(), 11)", -11, "ended with SIGSEGV"),
        ("import os; os.kill(os.getpid(), 9)", -9, "ended with SIGKILL"),
    ],
)
def test_endings(tmp_path: Path, program: str, status: int, words: str) -> None:
    end = _python(program, tmp_path)
    assert (end.status, end.words()) == (status, words)
    assert end.well is (status == 0)


def test_standard_output_is_kept(tmp_path: Path) -> None:
    assert _python("print('Tuning hip GEMM (1, 2, 3)')", tmp_path).stdout == "Tuning hip GEMM (1, 2, 3)\n"


def test_more_output_than_a_pipe_holds(tmp_path: Path) -> None:
    end = _python("import sys; sys.stdout.write('x' * 300000); sys.stderr.write('y' * 300000)", tmp_path)
    assert (end.well, len(end.stdout), len(end.stderr)) == (True, 300000, 300000)


HANGING = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    open('pids', 'w').write(f'{os.getpid()} {child}')
    print('begun', flush=True)
time.sleep(600)
"""


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _wait_until_gone(pids: list[int]) -> None:
    until = time.monotonic() + 60
    while not all(_gone(pid) for pid in pids) and time.monotonic() < until:
        os.sched_yield()
    assert all(_gone(pid) for pid in pids)


def test_a_deadline_ends_the_child_and_what_it_started(tmp_path: Path) -> None:
    end = _python(HANGING, tmp_path, seconds=6.0)
    if not end.stdout:  # a machine so slow that nothing has begun
        end = _python(HANGING, tmp_path, seconds=90.0)
    assert (end.status, end.well, end.stdout) == (None, False, "begun\n")
    assert end.words() == f"no answer within {end.seconds:.0f} s"
    pids = [int(pid) for pid in (tmp_path / "pids").read_text(encoding="ascii").split()]
    _wait_until_gone(pids)


def test_what_a_child_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    program = "import os, time\npid = os.fork()\nif pid == 0:\n os.close(1); os.close(2); time.sleep(600)\n"
    end = _python(program + "open('pid', 'w').write(str(pid))\nos._exit(0)", tmp_path)
    assert end.well
    _wait_until_gone([int((tmp_path / "pid").read_text(encoding="ascii"))])


def test_a_program_of_ours(tmp_path: Path) -> None:
    end = supervision.run_program(["--version"], tmp_path, {}, 30.0)
    assert (end.status, end.stdout.split()[0]) == (0, "hipbmm_kernel")


@pytest.mark.parametrize(
    ("data", "answers"),
    [
        ("", {}),
        ('["a", 1]\n["b", {"c": null}]\n["a", 2]\n', {"a": [1, 2], "b": [{"c": None}]}),
        ('["a", 1]\n["a", 2', {"a": [1]}),
        ('Tuning hip GEMM (1, 2, 3)\n["a", 1]\n{"a": 1}\n["a"]\n[1, 2]\n\xff\n7\n', {"a": [1]}),
        ("[" * 100_000 + '\n["a", 1]\n', {"a": [1]}),
    ],
)
def test_answers(data: str, answers: dict[str, object]) -> None:
    assert supervision.parse_answers(data) == answers


def test_a_check_that_fails_leaves_no_harvest_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = process.start

    def noted(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401 - those of `start`
        started.append(start(*arguments, **options))
        return started[-1]

    def fails(*_: object) -> bool:
        raise OSError("the store cannot be read")

    monkeypatch.setattr(process, "start", noted)
    monkeypatch.setattr(checks_program, "_wait_for", fails)
    env = {"PATH": os.environ["PATH"]}
    context = Context(tmp_path, env, Identity(Stack(), 0, None, ()), (Problem(1, 64, 64),), {})
    context.directory("pod-2")
    with pytest.raises(OSError, match="cannot be read"):
        checks_program.exec_harvest(context)
    started[0].communicate(timeout=60)
    assert started[0].returncode == -signal.SIGKILL
