"""`warm` decides whether the table is in memory, `exec` gives the server what it needs for that."""

import base64
import importlib.util
import json
import time
from typing import Any

import pytest
from tests.kernel.pods import Pod, PodMaker

from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.dispatch.recorder import Recorder
from hipbmm_operator.mirror import shards as operator_shards
from hipbmm_operator.mirror.content import Content

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="children need torch"),
]
LINEAR = {"HIPBMM_LINEARS": '[{"n": 256, "k": 512}]', "HIPBMM_TOKENS": "[1, 16]", "HIPBMM_MODEL_CONFIG": "/nowhere"}
SHOW = "import json, os; print(json.dumps({k: os.environ.get(k) for k in ('PYTHONPATH', 'HIPBMM_DISPATCH_TABLE')}))"


def warmed(pod: Pod, **env: str) -> dict[str, Any]:
    """The report of `warm` in a pod where `payload` has left the program."""
    logged(pod, **env)
    return pod.report


def logged(pod: Pod, **env: str) -> str:
    """The log of the same."""
    assert pod.run("payload", str(pod.home)).returncode == 0
    done = pod.run("warm", **simulated(pod), **LINEAR, **env)
    assert done.returncode == 0, done.stderr
    return done.stderr


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
    padded = ((m, 16) for m in range(2, 16))
    assert [(entry.m, entry.padded_m) for entry in table.entries] == [(1, 1), (16, 16), *padded]
    assert {entry[1:4] for entry in table.entries} == {(256, 512, False)}
    text = first.served_file.read_text()
    assert all(f",{entry.solution}," in text for entry in table.entries)
    second = make_pod("b")
    report = warmed(second)
    assert (report["dispatch"], report["children"], report["torchImported"]) == ("Memory", 0, False)
    seen = served(second)
    assert seen["HIPBMM_DISPATCH_TABLE"] == str(second.home / "dispatch/table")
    assert seen["PYTHONPATH"] == f"{second.env['PYTHONPATH']}:{second.home}/kernel"


def test_what_a_killed_check_has_left_decides_nothing(pod: Pod) -> None:
    left = pod.home / "dispatch/check"
    left.mkdir(parents=True)
    (left / "answer").write_text('{"works": false, "reason": "of another run"}')
    report = warmed(pod)
    assert report["dispatch"] == "Memory", report["notes"]


@pytest.mark.parametrize("env", [{"HIPBMM_DISPATCH": "File"}, {"VLLM_PLUGINS": "other"}, {"VLLM_PLUGINS": ""}])
def test_who_does_not_want_it_gets_the_file(pod: Pod, env: dict[str, str]) -> None:
    assert warmed(pod, **env)["dispatch"] == "File"
    assert not (pod.home / "dispatch/table").exists()


@pytest.mark.parametrize(
    ("first", "dispatch"),
    [
        ("#!/usr/bin/python3 -I", "File"),
        ("#!/usr/bin/env -S python3 -sE", "File"),
        ("#!/usr/bin/python3 -s", "Memory"),
        ("#!/bin/sh", "Memory"),
    ],
)
def test_a_vllm_whose_python_ignores_the_path_gets_the_file(pod: Pod, first: str, dispatch: str) -> None:
    script = pod.root / "bin/vllm"
    script.parent.mkdir()
    script.write_text(f"{first}\nimport vllm\n")
    script.chmod(0o755)
    plain = dict(pod.env)
    pod.env["PATH"] = f"{script.parent}:{pod.env['PATH']}"
    report = warmed(pod)
    assert report["dispatch"] == dispatch, report["notes"]
    assert ("which hides the plugin" in report["dispatchReason"]) == (dispatch == "File")
    if dispatch == "File":  # as it would be where only the server's environment has that PATH
        pod.env["PATH"] = plain["PATH"]
        assert warmed(pod)["dispatch"] == "Memory"
        assert served(pod, PATH=f"{script.parent}:{plain['PATH']}")["HIPBMM_DISPATCH_TABLE"] is None


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
    marks = f":{pod.home}/kernel" if broken in ("torn", "absent") else ""  # the plugin is there, for its marks alone
    assert seen == {"PYTHONPATH": pod.env["PYTHONPATH"] + marks, "HIPBMM_DISPATCH_TABLE": None}


def production_misses(pod: Pod) -> None:
    """What a serving process of the pod writes that has missed M 100 often, 101 seldom, and one above AITER's limit."""
    served = tables.decode((pod.home / "dispatch/table").read_bytes())
    assert max(entry.m for entry in served.entries) == 16
    recorder = Recorder(str(pod.home / "dispatch"), 0)
    for m, calls in ((100, 2000), (101, 3), (600, 2000)):
        for _ in range(calls):
            recorder.missed((m, 256, 512, False))
    recorder.write()


def test_what_production_asked_for_without_a_row_is_tuned_and_verified_by_the_next_pod(make_pod: PodMaker) -> None:
    first = make_pod("a")
    key = warmed(first)["key"]
    production_misses(first)
    sidecar = first.start("harvest", HIPBMM_METRICS_PORT="0", HIPBMM_HARVEST_SECONDS="0.1")
    folder = first.store / "v1" / key / "demand"
    try:
        while not (folder.exists() and list(folder.iterdir())):
            assert sidecar.poll() is None
            time.sleep(0.1)
    finally:
        sidecar.terminate()
        sidecar.communicate()
    second = make_pod("b")
    report = warmed(second)
    assert (report["source"], report["problems"], report["unplanned"]) == ("Restored", 2, 1)
    table = tables.decode((second.home / "dispatch/table").read_bytes())
    assert [(entry.m, entry.padded_m) for entry in table.entries if entry.m > 16] == [(100, 100)]
    third = make_pod("c")
    assert warmed(third)["children"] == 0


def test_without_a_volume_it_travels_by_log_and_mirror(make_pod: PodMaker) -> None:
    first, second = (make_pod(name) for name in "ab")
    for pod in (first, second):
        pod.env |= {"HIPBMM_STORE": str(pod.root / "own"), "HIPBMM_MIRROR_LOG": "1"}
        (pod.root / "own").mkdir()
    assert first.run("payload", str(first.home)).returncode == 0
    done = first.run("warm", **simulated(first), **LINEAR)
    of_warm, problems = operator_shards.in_log(done.stderr, first.report["mirror"]["shards"])
    assert problems == []
    production_misses(first)
    with first.start("harvest", HIPBMM_METRICS_PORT="0", HIPBMM_HARVEST_SECONDS="0.1") as sidecar:
        assert sidecar.stderr is not None
        log = [next(line for line in sidecar.stderr if line.startswith("hipbmm-shard demand."))]
        sidecar.terminate()
        log += sidecar.stderr
    learned = operator_shards.newest_in_log("".join(log), operator_shards.of_sidecar(first.root.name))
    mirror = second.home / "mirror"
    mirror.mkdir()
    for name, data in Content().joined([*of_warm, *learned]).binary().items():
        (mirror / name).write_bytes(base64.b64decode(data))
    report = warmed(second)
    assert (report["source"], report["problems"], report["unplanned"]) == ("Restored", 2, 1), report["notes"]
    table = tables.decode((second.home / "dispatch/table").read_bytes())
    assert [(entry.m, entry.padded_m) for entry in table.entries if entry.m > 16] == [(100, 100)]


def test_a_server_that_crashes_with_the_table_in_memory_goes_on_without_it(pod: Pod) -> None:
    assert warmed(pod)["dispatch"] == "Memory"
    modes = []
    for _ in range(5):
        seen = served(pod)
        modes.append((json.loads((pod.home / "state.json").read_text())["mode"], seen["HIPBMM_DISPATCH_TABLE"]))
    table = str(pod.home / "dispatch/table")
    assert modes[:2] == [("Tuned", table), ("Tuned", table)]
    assert [mode for mode, _ in modes[2:]] == ["NoTable", "NoHipbmm", "NoAiter"]
    assert {named for _, named in modes[2:]} == {None}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("hipbmm_dispatch = hipbmm_kernel.dispatch.gone:register", "ModuleNotFoundError"),
        ("hipbmm_dispatch = builtins:list", "the plugin left AITER as it is"),
        ("other = builtins:list", "does not find the plugin"),
    ],
    ids=["broken", "does nothing", "other"],
)
def test_a_plugin_that_does_not_work_on_the_image_is_the_file_and_the_reason(pod: Pod, entry: str, reason: str) -> None:
    assert pod.run("payload", str(pod.home)).returncode == 0
    (points,) = (pod.home / "kernel").glob("hipbmm_dispatch-*/entry_points.txt")
    points.write_text(f"[vllm.general_plugins]\n{entry}\n")
    done = pod.run("warm", **simulated(pod), **LINEAR)
    assert done.returncode == 0, done.stderr
    report = pod.report
    assert (report["state"], report["dispatch"]) == ("Complete", "File")
    assert reason in report["dispatchReason"]
    assert served(pod)["HIPBMM_DISPATCH_TABLE"] is None


@pytest.mark.parametrize("fault", ["exit", "hang"])
def test_a_size_whose_own_choice_ends_or_stops_the_device_is_not_padded_and_costs_no_start(
    pod: Pod, fault: str
) -> None:
    faults = {"HIPBMM_SIM_FAULTS": f"{fault}:M=2-15,on=heuristic", "HIPBMM_BUDGET_SECONDS": "60"}
    log, report = logged(pod, **faults), pod.report
    assert fault == "exit" or " phase=Checking tuned=2 problems=2 failed=0 verified=2 " in log
    assert (report["state"], report["dispatch"]) == ("Complete", "Memory"), report["notes"]
    table = tables.decode((pod.home / "dispatch/table").read_bytes())
    assert [(entry.m, entry.padded_m) for entry in table.entries] == [(1, 1), (16, 16)]
