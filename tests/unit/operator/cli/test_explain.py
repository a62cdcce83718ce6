"""The command ``explain``: each reason for a plain pod, and what an injected one says of itself."""

import copy
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jsonpatch
import pytest
from tests import stacks

from hipbmm_operator.cli.explain import explain_command
from hipbmm_operator.injection import patch
from hipbmm_operator.profiles.report import WORDS

Json = dict[str, Any]
Change = Callable[[Json, Json], None]


def run(text: str, *argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = explain_command(argv, io.StringIO(text), out, err)
    return code, out.getvalue(), err.getvalue()


def explained(*objects: Json) -> Json:
    """What it says of the one pod among them."""
    code, out, err = run(json.dumps({"kind": "List", "items": list(objects)}), "-o", "json")
    assert (code, err) == (0, "")
    (found,) = json.loads(out)
    return dict(found)


def injected(pod: Json, profile: Json) -> Json:
    done: Json = jsonpatch.apply_patch(pod, patch.operations(pod, profile))
    return done


def _nothing(_: Json, __: Json) -> None:
    return


def _skip(pod: Json, _: Json) -> None:
    pod["metadata"]["annotations"] = {"hipbmm.io/skip": "true"}


def _not_ready(_: Json, profile: Json) -> None:
    profile["status"]["injection"]["ready"] = False
    ready = {"type": "Ready", "status": "False", "reason": "PreflightRefused", "message": "quota: no"}
    profile["status"]["conditions"] = [ready]


def _no_gpu(pod: Json, _: Json) -> None:
    del pod["spec"]["containers"][0]["resources"]


def _two(pod: Json, _: Json) -> None:
    pod["spec"]["containers"].append({**copy.deepcopy(pod["spec"]["containers"][0]), "name": "other"})


def _taken(pod: Json, _: Json) -> None:
    pod["spec"]["containers"].append({"name": "hipbmm-warm", "image": "x"})


def _large(pod: Json, _: Json) -> None:
    pod["spec"]["containers"][0]["args"] = ["x" * 100_000] * 3


def _held(pod: Json, profile: Json) -> None:
    profile["status"]["injection"]["heldImages"] = [pod["spec"]["containers"][0]["image"]]


def _no_command(pod: Json, profile: Json) -> None:
    del pod["spec"]["containers"][0]["command"]
    profile["status"]["injection"]["modes"] = ["Wrap"]


RESTART = "kubectl -n default rollout restart deployment/vllm"
CASES: dict[str, tuple[Change, str]] = {
    "Predates": (_nothing, RESTART),
    "Skipped": (_skip, ""),
    "NotReady": (_not_ready, ""),
    "NoGpuContainer": (_no_gpu, ""),
    "SeveralGpuContainers": (_two, ""),
    "NamesTaken": (_taken, ""),
    "TooLarge": (_large, ""),
    "Canary": (_held, RESTART),
    "EntrypointUnknown": (_no_command, ""),
}


def test_every_reason_is_tried() -> None:
    assert CASES.keys() == WORDS.keys()


@pytest.mark.parametrize("reason", CASES)
def test_why_a_pod_is_plain(reason: str) -> None:
    pod, profile = stacks.asking("deployment"), stacks.profile()
    change, remedy = CASES[reason]
    change(pod, profile)
    found = explained(pod, profile)
    assert (found["injected"], found["reason"], found["remedy"]) == (False, reason, remedy)
    assert found["message"].startswith(WORDS[reason])
    assert (found["workload"], found["profile"]) == ("Deployment vllm", "qwen")


def test_a_profile_that_is_not_ready_says_why() -> None:
    pod, profile = stacks.asking("deployment"), stacks.profile()
    _not_ready(pod, profile)
    assert explained(pod, profile)["message"] == "the profile is not ready: PreflightRefused: quota: no"
    assert "no operator has seen it" in explained(pod, {**profile, "status": {}})["message"]


def test_a_profile_of_that_name_is_missing_in_the_namespace() -> None:
    found = explained(stacks.asking("deployment"), stacks.profile("elsewhere"))
    assert (found["reason"], found["remedy"]) == ("NoProfile", f"create it, then {RESTART}")
    assert "there is no HipbmmProfile qwen" in found["message"]


@pytest.mark.parametrize(("stack", "mode"), [("deployment", "Wrap"), ("deployment-args", "EnvFile")])
def test_an_injected_pod_tells_its_mode_its_program_and_its_report(stack: str, mode: str) -> None:
    profile = stacks.profile()
    pod = injected(stacks.asking(stack), profile)
    found = explained(pod, profile)
    assert (found["injected"], found["mode"], found["kernel"]) == (True, mode, "0123456789ab")
    assert found["message"] == "hipbmm-warm has not started yet"
    status: Json = {"name": "hipbmm-warm", "state": {"running": {}}}
    pod["status"] = {"initContainerStatuses": [status]}
    assert explained(pod, profile)["message"] == "hipbmm-warm has not reported yet"
    report = {"v": 1, "state": "Partial", "reason": "BudgetExhausted", "message": "12 of 204 problems in 180 s"}
    status["state"] = {"terminated": {"exitCode": 0, "message": json.dumps(report)}}
    found = explained(pod, profile)
    assert (found["reason"], found["message"]) == ("BudgetExhausted", "12 of 204 problems in 180 s")
    newer = stacks.profile(kernel={"configMap": "newer", "sha256": "f" * 64})
    assert explained(pod, newer)["kernel"] == "0123456789ab, not that of the profile now"


def test_a_pod_that_the_profile_chooses() -> None:
    profile = stacks.profile(spec={"match": {"podLabels": {"app": "model"}}})
    assert explained(stacks.pod("kubeai"), profile)["profile"] == "qwen"
    said = explained(stacks.pod("kubeai"), profile)
    assert said["reason"] == "Predates"
    assert "hipbmm.io/injection: enabled" in said["message"], "kubectl does not show the namespace here"
    code, out, _ = run(json.dumps(stacks.pod("aibrix")) + json.dumps(profile))
    assert (code, out) == (0, "no pod that asks for a profile\n")


def test_people_read_lines() -> None:
    """kubectl's answers may stand one behind the other."""
    asked = f"{json.dumps(stacks.asking('deployment'), indent=2)}\n{json.dumps({'items': [stacks.profile()]})}\n"
    code, out, _ = run(asked)
    assert code == 0
    assert out.splitlines() == [
        "pod  of Deployment vllm",
        "  profile   qwen",
        "  injected  no",
        "  why       Predates: older than the profile, or created while nothing injected pods",
        f"  do        {RESTART}",
    ]


@pytest.mark.parametrize("text", ["", "null", "[]", "3", '{"items": 3}', '{"kind": "Pod"}', '{"items": [null, {}]}'])
def test_what_has_no_pod_says_so(text: str) -> None:
    assert run(text) == (0, "no pod that asks for a profile\n", "")


@pytest.mark.parametrize("text", ["{", "not json", '{"kind": "Pod"} }', "[" * 100_000])
def test_what_is_no_json_is_named(text: str) -> None:
    code, out, err = run(text)
    assert (code, out) == (1, "")
    assert "no JSON of kubectl" in err


def test_usage() -> None:
    assert run("", "--help")[0] == 0
    assert run("", "vllm-0")[0] == 2


@pytest.mark.parametrize("argv", [[], ["-o", "json"]])
def test_a_reader_that_leaves_early(argv: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "hipbmm_operator", "explain", *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "operator"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(json.dumps(stacks.asking("deployment")).encode() * 50)
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(120) == 0
