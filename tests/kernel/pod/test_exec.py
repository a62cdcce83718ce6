"""`exec`: the last checks before the server, and never a crash loop because of the table."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.pods import Pod, row

from hipbmm_kernel.pod import payload, state_file
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


def start(pod: Pod, *, cwd: Path | None = None, **env: str) -> dict[str, Any]:
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


def test_a_setting_that_is_wrong_does_not_change_where_the_server_listens(pod: Pod) -> None:
    """With an IPv6 address, as in a cluster of IPv6, that is `--host ::`, without which no probe reaches the server."""
    starts = [pod.run("exec", "--", "python3", "-c", SHOW, "serve", HIPBMM_TUNE=tune) for tune in ("1", "perhaps")]
    right, wrong = (json.loads(done.stdout)["argv"] for done in starts)
    assert "HIPBMM_TUNE" in starts[1].stderr
    assert wrong == right


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
        assert running.wait(120) == 42


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


def test_a_server_that_crashes_loses_the_table_then_hipbmm_then_aiter(pod: Pod) -> None:
    serve(pod, f"{gemm.HEADER}\n{LINE}")
    seen: dict[str, Any] = {}
    for number, (mode, table) in enumerate([("Tuned", True), ("Tuned", True), ("NoTable", False), ("NoHipbmm", False)]):
        seen = start(pod, cwd=None, **ON)
        assert (state(pod)["mode"], seen["table"] is not None, state(pod)["crashes"]) == (mode, table, number)
    assert seen["env"] == {**ON, "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM": "0", "HIP_ONLINE_TUNING": "0"}
    assert start(pod, cwd=None, **ON)["env"] == {}
    assert state(pod)["mode"] == "NoAiter"
    users = start(pod, cwd=None, **ON, HIPBMM_USER_FLAGS="VLLM_ROCM_USE_AITER,HIP_ONLINE_TUNING")["env"]
    assert users == {"VLLM_ROCM_USE_AITER": "1", "HIP_ONLINE_TUNING": "1"}


def test_a_table_that_the_server_made_itself_stays_after_a_day(pod: Pod) -> None:
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


@pytest.mark.parametrize(("command", "code"), [(("no-such-program",), 127), (("/",), 126), ((), 2), (("",), 2)])
def test_a_command_that_cannot_be_started_is_reported_and_is_no_crash(
    pod: Pod, command: tuple[str, ...], code: int
) -> None:
    serve(pod, f"{gemm.HEADER}\n{LINE}")
    for _ in range(3):
        done = pod.run("exec", "--", *command)
        assert done.returncode == code
        assert code != 127 or done.stderr.endswith("exec: no-such-program: No such file or directory\n")
    start(pod)
    assert (state(pod)["mode"], state(pod)["crashes"]) == ("Tuned", 0)


@pytest.mark.parametrize("command", ["exec", "warm", "harvest", "payload"])
def test_help_prints_the_usage_and_does_nothing(pod: Pod, command: str) -> None:
    for flag in ("--help", "-h"):
        done = pod.run(command, flag)
        assert (done.returncode, done.stdout.startswith("usage: "), done.stderr) == (0, True, "")
    assert list(pod.home.iterdir()) == []


HUGE = '{"starts": 1, "crashes": 0, "mode": "Tuned", "boot": "x", "started": %s}' % ("9" * 400)


@pytest.mark.parametrize("name", ["state.json", "report.json"])
@pytest.mark.parametrize("content", ["", "[]", "{", '{"starts": "x"}', "\0", HUGE, None])
def test_what_is_damaged_of_ours_costs_hipbmm_and_not_the_server(pod: Pod, name: str, content: str | None) -> None:
    serve(pod, f"{gemm.HEADER}\n{LINE}")
    (pod.home / name).unlink(missing_ok=True)
    if content is None:
        (pod.home / name).mkdir()
    else:
        (pod.home / name).write_text(content)
    assert start(pod, cwd=None, **ON)["env"]["VLLM_ROCM_USE_AITER_LINEAR_HIPBMM"] == "0"
    counted = pod.home / "state.json"
    if counted.is_dir():
        counted = Path(state_file.spare(str(counted), pod.env["HIPBMM_POD_UID"]))
    document = json.loads(counted.read_text())
    assert (document["starts"], document["mode"]) == (1, "NoHipbmm")
    counted.unlink()


def test_the_server_starts_with_standard_error_closed_and_from_a_directory_that_is_gone(pod: Pod) -> None:
    serve(pod, f"{gemm.HEADER}\n{LINE}")
    program = "import os, sys; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); os.close(2); "
    program += "os.execv(sys.executable, [sys.executable, '-m', 'hipbmm_kernel', 'exec', '--', 'python3', '-c', %r])"
    done = subprocess.run(
        [sys.executable, "-c", program % SHOW], env=pod.env, cwd=pod.root, capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout)["cwd"] == str(pod.home / "work")
    assert LINE in json.loads(done.stdout)["table"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a namespace of processes")
def test_the_first_process_of_a_container_obeys_sigterm_before_it_has_become_the_server(pod: Pod) -> None:
    serve(pod, f"{gemm.HEADER}\n{LINE}")
    payload.copy_program(pod.home)
    held = "import time; print('ready', flush=True); time.sleep(60)"  # where the program would work on its own files
    (pod.home / "kernel/hipbmm_kernel/pod/exec.py").write_text(held)
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, str(pod.home / "kernel"), "exec", "--"]
    with subprocess.Popen([*command, "true"], env=pod.env, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        first = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()[0]
        os.kill(int(first), signal.SIGTERM)
        assert running.wait(120) == 143


def shown(pod: Pod, **env: str) -> list[str]:
    done = pod.run("exec", "--", "sh", "-c", "echo ${HIPBMM_KERNEL_PLUGIN-none}; echo $PYTHONPATH", **env)
    assert done.returncode == 0, done.stderr
    return [*done.stdout.splitlines(), done.stderr]


def test_the_plugin_is_given_to_servers_that_want_it(pod: Pod) -> None:
    serve(pod, f"{gemm.HEADER}\n{LINE}")
    assert shown(pod)[0] == "none"
    given = shown(pod, HIPBMM_PLUGIN="1", PYTHONPATH="/own:" + pod.env["PYTHONPATH"])
    assert given[0] == "1"
    assert (given[1].startswith("/own:"), given[1].endswith(f":{pod.home}/kernel")) == (True, True)
    refused = shown(pod, HIPBMM_PLUGIN="1", VLLM_PLUGINS="lora_filesystem_resolver")
    assert refused[0] == "none"
    assert "spec.server.plugin has no effect: VLLM_PLUGINS leaves hipbmm_kernel out" in refused[2]
