"""`exec`: the last checks before the server, and never a crash loop because of the table."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.pods import Pod, row

from hipbmm_kernel.pod import start_mode
from hipbmm_kernel.pod.start_mode import NO_HIPBMM, NO_TABLE, TUNED, State, next_start
from hipbmm_kernel.rows import gemm

SHOW = "import json, os, sys; print(json.dumps({'cwd': os.getcwd(), 'pid': os.getpid(), 'argv': sys.argv[1:], "
SHOW += "'env': {k: v for k, v in os.environ.items() if k.startswith(('VLLM', 'HIP_'))}, "
SHOW += "'table': open('hip_online_tuning_res.csv').read() if os.path.exists('hip_online_tuning_res.csv') else None}))"
ON = {
    "VLLM_ROCM_USE_AITER": "1",
    "VLLM_ROCM_USE_AITER_LINEAR": "1",
    "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM": "1",
    "HIP_ONLINE_TUNING": "1",
}
ROW = row()
LINE = f"{ROW.key},{ROW.algo_index},-\n"


def start(pod: Pod, cwd: Path | None = None, **env: str) -> dict[str, Any]:
    """Start a server that tells what it sees."""
    here = cwd or pod.home / "work"
    here.mkdir(parents=True, exist_ok=True)
    pod.root = here
    done = pod.run("exec", "--", "python3", "-c", SHOW, "--port", "8000", **env)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def serve(pod: Pod, text: str, **report: Any) -> None:  # noqa: ANN401 - fields of a report
    pod.served_file.parent.mkdir(parents=True, exist_ok=True)
    pod.served_file.write_text(text)
    document = {"v": 1, "state": "Complete", "reason": "Restored", "hipbmm": True, **report}
    (pod.home / "report.json").write_text(json.dumps(document))


def state(pod: Pod) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((pod.home / "state.json").read_text())
    return document


def test_the_server_replaces_the_program_in_its_directory_with_the_table(pod: Pod) -> None:
    serve(pod, f"{gemm.HEADER}\n{LINE}")
    seen = start(pod)
    assert seen["cwd"] == str(pod.home / "work")
    assert seen["argv"] == ["--port", "8000"]
    assert seen["env"] == ON
    assert LINE in seen["table"]
    assert (state(pod)["starts"], state(pod)["crashes"], state(pod)["mode"]) == (1, 0, "Tuned")


def test_the_process_id_stays_and_signals_reach_the_server(pod: Pod) -> None:
    serve(pod, gemm.HEADER + "\n")
    shell = "trap 'exit 42' TERM; grep SigIgn /proc/$$/status; echo $$; while :; do sleep 0.05; done"
    running = pod.start("exec", "--", "sh", "-c", shell)
    with running:
        assert running.stdout is not None
        ignored = int(running.stdout.readline().split()[1], 16)
        assert ignored & 1 << (signal.SIGPIPE - 1) == 0
        assert int(running.stdout.readline()) == running.pid
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 42


@pytest.mark.parametrize(
    ("torn", "kept"),
    [
        (f"{gemm.HEADER}\n{LINE}{LINE[:40]}", True),
        (f"{gemm.HEADER}\n{LINE}{LINE[:40]}\0\0\0\0\n", True),
        (f"{gemm.HEADER}\n{ROW.key},-5,KERN\n", False),
        (f"{gemm.HEADER}\n{ROW.key},0,KERN\n", False),
        (LINE, True),
        ("", False),
        (f"{gemm.HEADER}\n{LINE.rstrip()}", True),
    ],
)
def test_a_torn_table_is_repaired(pod: Pod, torn: str, kept: bool) -> None:
    serve(pod, torn)
    seen = start(pod)
    assert seen["table"] == f"{gemm.HEADER}\n{LINE if kept else ''}"


@pytest.mark.parametrize("content", [b"\x1f\x8b" + bytes(50), "preshuffle".encode("utf-16")])
def test_what_is_no_table_is_put_aside(pod: Pod, content: bytes) -> None:
    serve(pod, "")
    pod.served_file.write_bytes(content)
    assert start(pod)["table"] is None
    assert pod.served_file.with_name(pod.served_file.name + ".without").exists()


@pytest.mark.parametrize("kind", ["directory", "fifo", "link"])
def test_what_would_block_or_mislead_aiter_is_put_aside(pod: Pod, kind: str) -> None:
    serve(pod, "")
    pod.served_file.unlink()
    if kind == "directory":
        pod.served_file.mkdir()
    elif kind == "fifo":
        os.mkfifo(pod.served_file)
    else:
        pod.served_file.symlink_to(pod.home / "elsewhere")
    assert start(pod)["table"] is None
    assert not os.path.lexists(pod.served_file)


def test_a_server_that_crashes_while_warming_up_loses_the_table_then_hipbmm(pod: Pod) -> None:
    serve(pod, f"{gemm.HEADER}\n{LINE}")
    seen: dict[str, Any] = {}
    for number, (mode, table) in enumerate([("Tuned", True), ("Tuned", True), ("NoTable", False), ("NoHipbmm", False)]):
        seen = start(pod)
        assert (state(pod)["mode"], seen["table"] is not None, state(pod)["crashes"]) == (mode, table, number)
    assert seen["env"] == {"VLLM_ROCM_USE_AITER_LINEAR_HIPBMM": "0", "HIP_ONLINE_TUNING": "0"}


def test_a_table_that_the_server_made_itself_stays_after_a_late_restart(pod: Pod) -> None:
    serve(pod, f"{gemm.HEADER}\n{LINE}")
    for _ in range(3):
        start(pod)
    pod.served_file.write_text(f"{gemm.HEADER}\n{LINE}")
    seen = start(pod, HIPBMM_WARMUP_SECONDS="0")
    assert (state(pod)["mode"], state(pod)["crashes"]) == ("NoTable", 2)
    assert LINE in seen["table"]


def test_a_report_without_hipbmm_starts_the_server_without_it(pod: Pod) -> None:
    serve(pod, "", state="Unsupported", reason="NoSolution", hipbmm=False)
    seen = start(pod)
    assert seen["env"]["VLLM_ROCM_USE_AITER_LINEAR_HIPBMM"] == "0"
    assert (state(pod)["mode"], state(pod)["reason"]) == ("NoHipbmm", "NoSolution")


def test_a_users_own_environment_is_kept(pod: Pod) -> None:
    serve(pod, "")
    assert start(pod, VLLM_ROCM_USE_AITER="0")["env"]["VLLM_ROCM_USE_AITER"] == "0"


def test_another_working_directory_gets_a_link_and_stays(pod: Pod) -> None:
    serve(pod, f"{gemm.HEADER}\n{LINE}")
    elsewhere = pod.root / "app"
    for _ in range(2):
        seen = start(pod, cwd=elsewhere, HIPBMM_WARMUP_SECONDS="0")
        assert seen["cwd"] == str(elsewhere)
        assert LINE in seen["table"]
    assert (elsewhere / pod.served_file.name).readlink() == pod.served_file


def test_a_table_of_somebody_else_in_the_working_directory_is_not_touched(pod: Pod) -> None:
    serve(pod, f"{gemm.HEADER}\n{LINE}")
    elsewhere = pod.root / "app"
    elsewhere.mkdir()
    other = elsewhere / pod.served_file.name
    other.write_text("somebody's own")
    seen = start(pod, cwd=elsewhere)
    assert seen["cwd"] == str(pod.home / "work")
    assert other.read_text() == "somebody's own"


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (None, "no report"),
        ({"state": "Partial", "reason": "BudgetExhausted", "message": "3 of 9"}, "BudgetExhausted: 3 of 9"),
        ({"state": "Unsupported", "reason": "NoSolution", "hipbmm": False}, "NoSolution"),
    ],
)
def test_policy_block_starts_nothing_without_a_complete_table(
    pod: Pod, report: dict[str, Any] | None, words: str
) -> None:
    serve(pod, "", **(report or {}))
    if report is None:
        (pod.home / "report.json").unlink()
    done = pod.run("exec", "--", "echo", "started", HIPBMM_POLICY="Block")
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


def test_policy_block_starts_with_a_complete_table_until_it_crashes(pod: Pod) -> None:
    serve(pod, f"{gemm.HEADER}\n{LINE}")
    for code in (0, 0, 1):
        assert pod.run("exec", "--", "true", HIPBMM_POLICY="Block").returncode == code


@pytest.mark.parametrize(("command", "code"), [(("no-such-program",), 127), (("/",), 126), ((), 2)])
def test_a_command_that_cannot_be_started_is_told(pod: Pod, command: tuple[str, ...], code: int) -> None:
    serve(pod, "")
    assert pod.run("exec", "--", *command).returncode == code


@pytest.mark.parametrize("content", ["", "[]", "{", '{"starts": "x"}', "\0"])
def test_damaged_files_of_the_pod_do_not_stop_the_server(pod: Pod, content: str) -> None:
    serve(pod, f"{gemm.HEADER}\n{LINE}")
    (pod.home / "report.json").write_text(content)
    (pod.home / "state.json").write_text(content)
    assert LINE in start(pod)["table"]
    assert state(pod)["starts"] == 1


def test_only_an_end_within_the_window_of_the_same_boot_is_a_crash() -> None:
    first = next_start(State(), None, 100.0, "boot-1", 50.0)
    assert (first.starts, first.crashes, first.mode) == (1, 0, TUNED)
    assert next_start(first, None, 149.9, "boot-1", 50.0).crashes == 1
    assert next_start(first, None, 150.0, "boot-1", 50.0).crashes == 0
    assert next_start(first, None, 120.0, "boot-2", 50.0).crashes == 0
    assert next_start(first, None, 99.0, "boot-1", 50.0).crashes == 0


def test_the_modes_follow_the_crashes() -> None:
    state_ = State()
    modes = []
    for number in range(5):
        state_ = next_start(state_, {"hipbmm": True}, 100.0 + number, "b", 50.0)
        modes.append(state_.mode)
    assert modes == [TUNED, TUNED, NO_TABLE, NO_HIPBMM, NO_HIPBMM]
    assert start_mode.blocked(state_, {"state": "Complete"}) is not None
