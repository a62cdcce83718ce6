"""Eight pods of a Deployment on one empty store: real `warm` processes, real children on the simulated GPU."""

import importlib.util
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from tests.kernel.pod.test_warm_mirror import logged, mount
from tests.kernel.pods import Pod, PodMaker

from hipbmm_kernel.rows.gemm import Problem
from hipbmm_kernel.store import shard

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="children need torch"),
]
PODS = 8
SERVE = ("--", "vllm", "serve", "org/model")
SLOW = {"HIPBMM_SIM_SLEEP": "1", "HIPBMM_BUDGET_SECONDS": "500", "HIPBMM_DISPATCH": "File", "HIPBMM_MIRROR_LOG": "1"}
TOKENS = "[1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104]"


def tuned(store: Path) -> Counter[Problem]:
    """How many pods have published each problem."""
    found = set()
    for path in store.glob("v1/*/shards/*.csv"):
        decoded = shard.decode(path.read_bytes())
        found |= {(decoded.origin, row.problem) for row in decoded.rows}
    return Counter(problem for _, problem in found)


@pytest.fixture
def started(make_foreign: PodMaker) -> list[tuple[Pod, subprocess.Popen[str]]]:
    pods = [make_foreign(f"pod-{number}") for number in range(PODS)]
    env = {**SLOW, "HIPBMM_TOKENS": TOKENS}
    return [(pod, pod.start("warm", *SERVE, **env)) for pod in pods]


def test_a_plan_is_tuned_nearly_once_and_the_ninth_pod_needs_the_mirror_alone(
    started: list[tuple[Pod, subprocess.Popen[str]]], make_foreign: PodMaker
) -> None:
    logs = [process.communicate(timeout=500)[1] for _, process in started]
    assert [process.returncode for _, process in started] == [0] * PODS, logs
    for (pod, _), log in zip(started, logs, strict=True):
        assert pod.message["state"] == "Complete", log
    problems = started[0][0].message["problems"]
    counts = tuned(started[0][0].store)
    assert len(counts) == problems
    assert counts.total() / problems <= 1.2, counts.most_common(9)

    ninth = make_foreign("pod-ninth")
    mount(ninth, {name: data for log in logs for name, data in logged(log).items()})
    done = ninth.run("warm", *SERVE, **{**SLOW, "HIPBMM_TOKENS": TOKENS, "HIPBMM_STORE": f"{ninth.home}/store"})
    message = ninth.message
    assert (message["state"], message["source"], message["tuned"]) == ("Complete", "Restored", problems), done.stderr
    assert (message["children"], message["torchImported"]) == (0, False)


def test_names_that_are_none_of_pods_cost_time_only(make_foreign: PodMaker) -> None:
    pod = make_foreign()
    names = pod.store / "v1" / pod.stack().key / "pods"
    (names / "directory").mkdir(parents=True)
    (Path(os.fsdecode(os.fsencode(names) + b"/\xff"))).touch()
    for number in range(1000):
        (names / f"pod-{number}").touch()
        if number % 2:
            os.utime(names / f"pod-{number}", (2**33, 2**33))
    done = pod.run("warm", *SERVE, HIPBMM_DISPATCH="File", HIPBMM_BUDGET_SECONDS="400")
    assert done.returncode == 0, done.stderr
    message = pod.message
    assert (message["state"], message["tuned"]) == ("Complete", message["problems"]), done.stderr
