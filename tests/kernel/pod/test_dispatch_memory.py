"""`warm` decides whether the table is in memory, `exec` gives the server what it needs for that."""

import importlib.util
import json
from typing import Any

import pytest
from tests.kernel.pods import Pod, PodMaker

from hipbmm_kernel.dispatch import table as tables

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="children need torch"),
]
LINEAR = {"HIPBMM_LINEARS": '[{"n": 256, "k": 512}]', "HIPBMM_TOKENS": "[1, 16]", "HIPBMM_MODEL_CONFIG": "/nowhere"}
SHOW = "import json, os; print(json.dumps({k: os.environ.get(k) for k in ('PYTHONPATH', 'HIPBMM_DISPATCH_TABLE')}))"


def warmed(pod: Pod, **env: str) -> dict[str, Any]:
    """The report of `warm` in a pod where `payload` has left the program."""
    assert pod.run("payload", str(pod.home)).returncode == 0
    done = pod.run("warm", **simulated(pod), **LINEAR, **env)
    assert done.returncode == 0, done.stderr
    return pod.report


def simulated(pod: Pod) -> dict[str, str]:
    return {"HIPBMM_SIM_SYSFS": pod.env["HIPBMM_SYSFS"], "HIPBMM_SIM_DEV": pod.env["HIPBMM_DEV"]}


def served(pod: Pod, **env: str) -> dict[str, Any]:
    done = pod.run("exec", "--", "python3", "-c", SHOW, **env)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_one_pod_proves_it_and_the_next_starts_no_child(make_pod: PodMaker) -> None:
    first = make_pod("a")
    report = warmed(first)
    assert report["dispatch"] == "Memory", report["notes"]
    table = tables.decode((first.home / "dispatch/table").read_bytes())
    assert [entry[:4] for entry in table.entries] == [(1, 256, 512, False), (16, 256, 512, False)]
    text = first.served_file.read_text()
    assert all(f",{entry.solution}," in text for entry in table.entries)
    second = make_pod("b")
    report = warmed(second)
    assert (report["dispatch"], report["children"], report["torchImported"]) == ("Memory", 0, False)
    seen = served(second)
    assert seen["HIPBMM_DISPATCH_TABLE"] == str(second.home / "dispatch/table")
    assert seen["PYTHONPATH"] == f"{second.env['PYTHONPATH']}:{second.home}/kernel"


@pytest.mark.parametrize("env", [{"HIPBMM_DISPATCH": "File"}, {"VLLM_PLUGINS": "other"}, {"VLLM_PLUGINS": ""}])
def test_who_does_not_want_it_gets_the_file(pod: Pod, env: dict[str, str]) -> None:
    assert warmed(pod, **env)["dispatch"] == "File"
    assert not (pod.home / "dispatch/table").exists()


@pytest.mark.parametrize("broken", ["torn", "absent", "plugin", "user"])
def test_what_is_broken_before_the_start_is_the_file_and_a_server(pod: Pod, broken: str) -> None:
    assert warmed(pod, HIPBMM_DISPATCH="Memory")["dispatch"] == "Memory"
    table = pod.home / "dispatch/table"
    if broken == "torn":
        table.write_bytes(table.read_bytes()[:-9])
    elif broken == "absent":
        table.unlink()
    elif broken == "plugin":
        next((pod.home / "kernel").glob("hipbmm_dispatch-*")).rename(pod.home / "gone")
    seen = served(pod, **({"VLLM_PLUGINS": "other"} if broken == "user" else {}))
    assert seen == {"PYTHONPATH": pod.env["PYTHONPATH"], "HIPBMM_DISPATCH_TABLE": None}
