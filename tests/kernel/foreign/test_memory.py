"""From the rows of a pod of ours to a server that is not ours and runs them from memory: real processes throughout."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tests.kernel.pod.test_warm_mirror import logged, mount
from tests.kernel.pods import SMALL_MODEL, Pod, PodMaker
from tests.ports import free_port

from hipbmm_kernel.dispatch import recorder
from hipbmm_kernel.foreign import env_file

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="children need torch"),
]
FLAGS = ("--max-num-seqs", "4", "--max-num-batched-tokens", "1024", "--cudagraph-capture-sizes", "1", "2", "4")
CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc")


class Node:
    """A model, what a pod of ours has put into its mirror, and pods that are not ours."""

    def __init__(self, root: Path, make_foreign: PodMaker) -> None:
        self.model = root / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text(json.dumps(SMALL_MODEL))
        self._make = make_foreign
        ours = self.pod("ours")
        settings = {"HIPBMM_MODEL": str(self.model), "HIPBMM_SERVER_ARGS": json.dumps(FLAGS), "HIPBMM_MIRROR_LOG": "1"}
        done = ours.run("warm", **settings)
        assert ours.message["state"] == "Complete", done.stderr
        assert ours.message["dispatch"] == "Memory", done.stderr
        self.problems = ours.message["problems"]
        self.mirror = logged(done.stderr)

    def pod(self, name: str) -> Pod:
        pod = self._make(name)
        del pod.env["HIPBMM_MODEL_CONFIG"]
        pod.env["HIPBMM_TOKENS"] = "[1, 2, 4]"
        return pod

    def foreign(self, name: str, *argv: str, mode: str = "EnvFile") -> Pod:
        """A pod after `warm -- ARGV`, with the mirror alone."""
        pod = self.pod(name)
        mount(pod, self.mirror)
        pod.env["HIPBMM_STORE"] = f"{pod.home}/store"
        done = pod.run("warm", "--", *argv, HIPBMM_MODE=mode)
        assert done.returncode == 0, done.stderr
        # Whether the table works is known of a plan's problems; without a plan a child is asked once more.
        assert pod.message["children"] == (pod.message["state"] == "NoPlan"), done.stderr
        return pod

    def serve(self, pod: Pod, *before: str, env: dict[str, str], counts: bool = False) -> tuple[int | None, str]:
        """The server's status once it has ended, or been ready and, with `counts`, has counted calls; and its log."""
        port = free_port()
        command = [*before, sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(self.model), *FLAGS]
        command += ["--port", str(port), "--host", "127.0.0.1"]
        here = pod.root / "app"
        here.mkdir(exist_ok=True)
        log = pod.root / "server.log"
        with (
            log.open("w") as out,
            subprocess.Popen(
                command, cwd=here, env={**pod.env, **env}, stdout=out, stderr=out, start_new_session=True
            ) as run,
        ):
            try:
                status = _ready_or_ended(run, port)
                if status is None and counts:
                    _until_counted(pod)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)  # What stands before it, as unshare, is not all that runs.
        return status, log.read_text()


def _ready_or_ended(run: subprocess.Popen[bytes], port: int) -> int | None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        status = run.poll()
        if status is not None:
            return status
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return None
    raise AssertionError("neither ready nor ended")


def _until_counted(pod: Pod) -> None:
    """The counters are written every few seconds."""
    deadline = time.monotonic() + 120
    while not calls(pod)["verified"]:
        assert time.monotonic() < deadline, "no call of a verified index is counted"
        time.sleep(0.2)


def calls(pod: Pod) -> dict[str, int]:
    found: dict[str, int] = dict.fromkeys(recorder.RESULTS, 0)
    for path in (pod.home / "dispatch").glob("calls-*.bin"):
        for name, count in (recorder.read_calls(path.read_bytes()) or {}).items():
            found[name] += count
    return found


def given(pod: Pod) -> dict[str, str]:
    """What kubelet reads for the server."""
    return env_file.decode((pod.home / "env").read_bytes())


@pytest.fixture
def world(tmp_path: Path, make_foreign: PodMaker) -> Node:
    return Node(tmp_path, make_foreign)


def test_rows_of_ours_serve_a_server_that_is_not_ours(world: Node) -> None:
    pod = world.foreign("args", str(world.model), *FLAGS)
    assert (pod.message["state"], pod.message["rows"]) == ("Complete", world.problems)
    status, log = world.serve(pod, env=given(pod), counts=True)
    assert status is None, log
    assert "AiterHipbMMPerTokenFp8ScaledMMLinearKernel" in log
    assert list((pod.root / "app").iterdir()) == []  # no table of AITER's in the user's directory

    # A command line that nobody understands: all rows of the stack are there, and `exec` becomes the user's command.
    script = world.foreign("script", "/start.sh", mode="Wrap")
    assert (script.message["state"], script.message["dispatch"]) == ("NoPlan", "Memory")
    assert given(script) == {}
    status, log = world.serve(script, *script.command("exec", "--foreign", "--"), env={}, counts=True)
    assert status is None, log
    assert list((script.root / "app").iterdir()) == []

    # Rows that crash the server do so twice. The third start has no table, and no later one anything of ours.
    if os.geteuid() == 0:
        poisoned(world, world.foreign("poison", str(world.model), *FLAGS))


def poisoned(world: Node, pod: Pod) -> None:
    fault = {"HIPBMM_SIM_FAULTS": "exit:on=explicit"}
    starts = [world.serve(pod, *CONTAINER, env=given(pod) | fault) for _ in range(3)]
    assert [status for status, _ in starts] == [1, 1, None], starts[-1]
    assert given(pod) == {}
    status, log = world.serve(pod, *CONTAINER, env=fault)
    assert status is None, log
    assert "AiterHipbMM" not in log
