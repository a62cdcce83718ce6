"""A GPU that is sick, or sickens after its first good rows: nothing that it says binds others, and the pod says so."""

import importlib.util
import shutil

import pytest
from tests.kernel.pods import Pod, PodMaker
from tests.kernel.tune.conftest import LINEARS, TOKENS, Serve

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="children need torch"),
]
PROBLEMS = len(LINEARS) * len(TOKENS)
KINDS = ["exit", "hip-exit", "segv", "oom", "hang", "wrong"]


def limit(kind: str) -> str:
    """Seconds of a problem: few where each fault waits for their end. Elsewhere only a slow machine can reach them."""
    return "4" if kind == "hang" else "60"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("good", [0, 12])
def test_a_healthy_pod_is_complete_after_a_sick_one(make_pod: PodMaker, serve: Serve, kind: str, good: int) -> None:
    # An occasion is a launch: tuning, looking up, giving an index. A problem has three or four of them.
    faults = f"{kind}:on=tuning|tune|lookup|explicit,after={good}"
    sick, healthy = make_pod("pod-a"), make_pod("pod-b")
    sick.run("warm", HIPBMM_SIM_FAULTS=faults, HIPBMM_PROBLEM_SECONDS=limit(kind))
    message = sick.message
    assert message["state"] in {"Partial", "Failed"}
    assert (message["reason"], message["hipbmm"]) in [("TunerFailed", False), ("ProblemsUnproven", False)]
    assert serve(sick, HIPBMM_SIM_FAULTS=faults).wrong == {}
    healthy.run("warm")
    message = healthy.message
    assert (message["state"], message["unverified"], message["vetoed"]) == ("Complete", 0, 0)
    assert serve(healthy).wrong == {}


def with_a_sick_gpu(make_pod: PodMaker, kind: str, when: str) -> Pod:
    """A pod whose second GPU sickens. Where its child starts late the first GPU may have done it all: then another."""
    for number in range(5):
        pod = make_pod(f"pod-a{number}", gpus=2)
        pod.run("warm", HIPBMM_SIM_FAULTS=f"{kind}:{when},gpu=1", HIPBMM_PROBLEM_SECONDS=limit(kind))
        if pod.message["state"] != "Complete":
            return pod
        shutil.rmtree(pod.store / "v1")
    raise AssertionError("whatever the second GPU did, the pod is complete")


# Without the launches that time an index: a GPU that sickens before it has computed anything, and after two problems.
WHEN = [(kind, f"on=tuning|tune|lookup,after={good}") for kind in KINDS for good in (0, 6)]


@pytest.mark.parametrize(("kind", "when"), [*WHEN, ("exit", "on=heuristic"), ("wrong", "on=heuristic")])
def test_the_other_gpus_of_a_pod_do_what_a_sick_one_cannot(
    make_pod: PodMaker, serve: Serve, kind: str, when: str
) -> None:
    pod = with_a_sick_gpu(make_pod, kind, when)
    message = pod.message
    assert message["tuned"] == message["rows"] == PROBLEMS, message
    assert (message["vetoed"], message["unproven"]) == (0, [])
    # The server would use that GPU as well.
    assert (message["state"], message["reason"], message["hipbmm"]) == ("Partial", "TunerFailed", False)
    assert "HIPBMM is off: 8 of 8 matrix shapes tuned: GPU 1 " in message["message"]
    assert not serve(pod).hipbmm
    healthy = make_pod("pod-b")
    healthy.run("warm")
    assert (healthy.message["source"], healthy.message["rows"], healthy.message["vetoed"]) == ("Restored", PROBLEMS, 0)
