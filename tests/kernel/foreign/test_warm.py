"""`warm -- ARGV` beside a server that is not ours: status 0 and a file that kubelet can read, whatever happens."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.pod.test_images import make_image
from tests.kernel.pods import SIMULATOR, SMALL_MODEL, Pod, fill
from tests.unit.kernel.image.test_oracle import image

from hipbmm_kernel.foreign import env_file
from hipbmm_kernel.foreign import warm as foreign_warm
from hipbmm_kernel.planner import plan
from hipbmm_kernel.planner.server_flags import ServerFlags
from hipbmm_kernel.pod.exec import Log
from hipbmm_kernel.system.stop import Stop

PROBLEMS = list(plan.build(json.dumps(SMALL_MODEL).encode(), plan.Options(tokens=(1, 2, 16))).problems)
SERVE = ("--", "vllm", "serve", "org/model")


@pytest.fixture
def full(pod: Pod) -> Pod:
    """A pod whose store has every row of its plan."""
    fill(pod.store, pod.stack(), PROBLEMS)
    return pod


def warm(pod: Pod, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    done = pod.run("warm", *(argv or SERVE), **{"HIPBMM_MODE": "EnvFile", **env})
    assert done.returncode == 0, done.stderr
    return done


def written(pod: Pod) -> dict[str, str]:
    return env_file.decode((pod.home / "env").read_bytes())


def first_note(pod: Pod) -> str:
    return str(pod.message["notes"][0])


def test_the_stores_rows_are_restored_without_a_child(full: Pod) -> None:
    warm(full)
    assert (full.message["state"], full.message["source"], full.message["children"]) == ("Complete", "Restored", 0)
    assert first_note(full) == "server: VllmServe: org/model"
    assert written(full) == {}


def test_the_command_line_decides_the_plan(full: Pod) -> None:
    del full.env["HIPBMM_TOKENS"]
    flags = ServerFlags.from_argv(["--max-num-seqs", "2", "--enforce-eager"])
    planned = plan.build(json.dumps(SMALL_MODEL).encode(), plan.Options(flags=flags)).problems
    command = ("sh", "-c", "exec vllm serve org/model --max-num-seqs ${SEQS} $@", "sh", "--enforce-eager")
    warm(full, "--", *command, SEQS="2", HIPBMM_TUNE="0")
    assert full.message["problems"] == len(planned)
    assert full.message["plan"]["source"] == "Config"


def test_a_command_line_that_is_not_understood_serves_what_there_is(full: Pod) -> None:
    del full.env["HIPBMM_MODEL_CONFIG"]
    warm(full, "--", "/start.sh", HIPBMM_MODE="Wrap")
    assert (full.message["state"], full.message["reason"]) == ("NoPlan", "ConfigMissing")
    assert (full.message["rows"], full.message["children"]) == (len(PROBLEMS), 0)
    assert first_note(full) == "server: ScriptFile: /start.sh"


def a_file(pod: Pod) -> None:
    pod.home.rmdir()
    pod.home.write_text("")


def a_damaged_state(pod: Pod) -> None:
    (pod.home / "state.json").write_text("{")


def nothing(_: Pod) -> None:
    return


BROKEN: dict[str, tuple[Callable[[Pod], None], dict[str, str]]] = {
    "a setting": (nothing, {"HIPBMM_BUDGET_SECONDS": "soon"}),
    "another setting": (nothing, {"HIPBMM_TOKENS": "[1"}),
    "the home is a file": (a_file, {}),
    "the state is damaged": (a_damaged_state, {}),
    "no GPU": (nothing, {"HIPBMM_DEV": "/nowhere"}),
    "no sysfs": (nothing, {"HIPBMM_SYSFS": "/nowhere"}),
    "the store is a file": (nothing, {"HIPBMM_STORE": "/etc/passwd"}),
    "no termination log": (nothing, {"HIPBMM_TERMINATION_LOG": "/nowhere/log"}),
    "no time at all": (nothing, {"HIPBMM_BUDGET_SECONDS": "0"}),
    "policy Block": (nothing, {"HIPBMM_POLICY": "Block", "HIPBMM_TUNE": "0"}),
}


@pytest.mark.parametrize(("spoil", "env"), BROKEN.values(), ids=BROKEN.keys())
def test_whatever_is_broken_the_status_is_0_and_nothing_is_switched_on(
    pod: Pod, spoil: Callable[[Pod], None], env: dict[str, str]
) -> None:
    spoil(pod)
    warm(pod, **{"HIPBMM_TUNE": "0", **env})
    if pod.home.is_dir():
        assert not (pod.home / "env").exists() or written(pod) == {}
        assert pod.report["state"] in ("Failed", "Disabled", "NoPlan")


def test_a_home_that_cannot_be_written(pod: Pod) -> None:
    pod.home.chmod(0o500)
    done = pod.run_bound_by_permissions("warm", *SERVE, HIPBMM_MODE="EnvFile")
    pod.home.chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert list(pod.home.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
@pytest.mark.parametrize("options", ["size=12k", "nr_inodes=4"])
def test_a_full_disk(full: Pod, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(full.home)], check=True)
    try:
        (full.home / "env").touch()
        warm(full)
        assert written(full) == {}
    finally:
        subprocess.run(["umount", "--lazy", str(full.home)], check=True)


def test_a_second_start_does_nothing_new(full: Pod) -> None:
    warm(full)
    before = {path.name: path.stat().st_mtime_ns for path in full.home.iterdir()}
    assert "has done it all" in warm(full).stderr
    assert {path.name: path.stat().st_mtime_ns for path in full.home.iterdir()} == before


def test_a_run_that_was_killed_is_not_repeated(pod: Pod) -> None:
    # Its store is empty and its tuning hangs: it is not done before it is killed.
    started = pod.start("warm", *SERVE, HIPBMM_MODE="EnvFile", HIPBMM_SIM_FAULTS="hang")
    _until(lambda: (pod.home / "state.json").exists() and _children(started.pid))
    (child,) = _children(started.pid)
    started.kill()
    for each in (child, *_children(int(child))):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(each), signal.SIGKILL)
    started.communicate(timeout=120)
    (pod.home / "report.json").unlink(missing_ok=True)
    warm(pod)
    assert (pod.message["state"], pod.message["children"]) == ("Failed", 0)
    assert "before it was done" in pod.message["message"]
    assert written(pod) == {}


def test_a_value_that_only_running_the_script_would_show_is_not_given_to_the_child(full: Pod) -> None:
    warm(full, "--", "sh", "-c", "env VLLM_HOST_IP=$(hostname -i) vllm serve org/model")
    assert (full.message["state"], first_note(full)) == ("Complete", "server: VllmServe: org/model")


@pytest.mark.parametrize("text", ["cd models && exec vllm serve ./small", "cd models; cd ..; vllm serve models/small"])
def test_a_model_is_looked_for_where_the_script_has_gone(full: Pod, text: str) -> None:
    model = full.root / "models" / "small"
    model.mkdir(parents=True)
    (model / "config.json").write_text(json.dumps(SMALL_MODEL))
    del full.env["HIPBMM_MODEL_CONFIG"]
    warm(full, "--", "sh", "-c", text)
    assert (full.message["state"], full.message["plan"]["source"]) == ("Complete", "Config")


@pytest.mark.parametrize("mode", ["Wrap", "EnvFile"])
@pytest.mark.parametrize(
    ("text", "dispatch"),
    [
        ("export PYTHONPATH=/app:$PYTHONPATH; exec vllm serve org/model", "Memory"),
        ("exec vllm serve org/model", "Memory"),
        (f"export PYTHONPATH={SIMULATOR}; exec vllm serve org/model", "File"),
        ("PYTHONPATH=$(pwd) vllm serve org/model", "File"),
        ("unset PYTHONPATH; vllm serve org/model", "File"),
        ("exec env -i vllm serve org/model", "File"),
        ("exec python3 -I -m vllm serve org/model", "File"),
    ],
)
def test_a_command_line_that_takes_the_plugin_away_has_no_table(full: Pod, mode: str, text: str, dispatch: str) -> None:
    assert full.run("payload", str(full.home)).returncode == 0
    memory = {"HIPBMM_DISPATCH": "Memory", "HIPBMM_TUNE": "0"}
    warm(full, "--", "sh", "-c", text, **memory, HIPBMM_MODE=mode)
    assert (full.message["rows"], full.report["dispatch"]) == (len(PROBLEMS), dispatch)
    assert ("HIPBMM_DISPATCH_TABLE" in written(full)) == ((mode, dispatch) == ("EnvFile", "Memory"))


def test_a_server_that_becomes_another_user_can_say_what_it_serves_from(full: Pod) -> None:
    """Its processes leave words and marks beside the table, and take nothing away that is not theirs."""
    assert full.run("payload", str(full.home)).returncode == 0
    warm(full, "--", "gosu", "vllm", *SERVE[1:], HIPBMM_DISPATCH="Memory", HIPBMM_TUNE="0", HIPBMM_MODE="Wrap")
    assert (full.home / "dispatch" / "table").exists()
    assert stat.S_IMODE((full.home / "dispatch").stat().st_mode) == 0o1777


def test_a_directory_that_is_gone_leaves_a_report_and_a_file(full: Pod) -> None:
    command = ["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh", *full.command("warm", *SERVE)]
    env = {**full.env, "HIPBMM_MODE": "EnvFile"}
    done = subprocess.run(command, env=env, cwd=full.root, timeout=120, check=False)
    assert done.returncode == 0
    assert (full.message["state"], full.message["reason"]) == ("Failed", "TunerFailed")
    assert "FileNotFoundError" in full.message["message"]
    assert written(full) == {}


@pytest.fixture
def hanging(pod: Pod, tmp_path: Path) -> Pod:
    """A pod in which the child of `warm` hangs as soon as it has Python, whatever it is asked."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "usercustomize.py").write_text("")
    (site / "sitecustomize.py").write_text(
        "import os, sys, time, signal\n"
        "if sys.argv[:1] == ['-c'] and os.environ.get('HIPBMM_NOTES'):\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    time.sleep(600)\n"
    )
    pod.env["PYTHONPATH"] = f"{site}:{pod.env['PYTHONPATH']}"
    return pod


def test_a_volume_that_hangs_holds_up_the_child_alone(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, isdir = threading.Event(), os.path.isdir

    def hang(path: str) -> bool:
        return let_go.wait(120) if path == str(pod.store) else isdir(path)

    monkeypatch.setattr(foreign_warm, "STORE_SECONDS", 0.1)
    monkeypatch.setattr(os.path, "isdir", hang)
    with Stop() as stop:
        run = foreign_warm._Run(list(SERVE[1:]), {**pod.env, "HIPBMM_MODE": "EnvFile"}, stop, Log(None))
        env = run._settings_of_child()
    assert not let_go.is_set()
    assert "HIPBMM_COOPERATE" not in env
    assert json.loads(env["HIPBMM_NOTES"])[0] == "server: VllmServe: org/model"
    let_go.set()


def test_a_child_that_hangs_is_killed_and_the_server_starts_plain(hanging: Pod) -> None:
    began = time.monotonic()
    warm(hanging, HIPBMM_BUDGET_SECONDS="2")
    assert time.monotonic() - began < 2 + 120
    assert (hanging.message["state"], hanging.message["reason"]) == ("Failed", "TunerFailed")
    assert "within its time" in hanging.message["message"]
    assert written(hanging) == {}


def test_a_vllm_that_kills_who_asks_it_is_not_left_beside_the_server(pod: Pod) -> None:
    pid = pod.root / "pid"
    kills = f"import os, signal, threading\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\n"
    make_image(pod, image(torch=f"{kills}os.kill(os.getppid(), signal.SIGKILL)\nthreading.Event().wait()\n"))
    warm(pod, "--", "vllm", "serve", pod.env["HIPBMM_MODEL"])
    assert "warm ended with SIGKILL" in pod.message["message"]
    assert not Path(f"/proc/{pid.read_text()}").exists()


def test_a_pod_that_is_deleted_ends_soon(hanging: Pod) -> None:
    started = hanging.start("warm", *SERVE, HIPBMM_MODE="EnvFile")
    _until(lambda: bool(_children(started.pid)))
    started.send_signal(signal.SIGTERM)
    _, stderr = started.communicate(timeout=120)
    assert started.returncode == 0, stderr
    assert "asked to stop" in hanging.message["message"]


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_standard_streams_may_be_closed(full: Pod, closed: str) -> None:
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", *full.command("warm", *SERVE)]
    done = subprocess.run(command, env=full.env, cwd=full.root, timeout=120, check=False)
    assert done.returncode == 0
    assert full.message["state"] == "Complete"


def _children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has ended
        return []


def _until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
