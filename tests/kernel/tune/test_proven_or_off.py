"""What the server computes after `warm`, with AITER's failures switched on: right numbers, or HIPBMM is off."""

import importlib.util
import time

import pytest
from tests.kernel.pods import Pod, PodMaker
from tests.kernel.tune.conftest import LINEARS, TOKENS, Serve

from hipbmm_kernel.rows import aiter_csv

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="children need torch"),
]
PROBLEMS = len(LINEARS) * len(TOKENS)

ON = "tune|lookup|explicit"
SERVED_BY_ANOTHER_INDEX = [
    "exit:M=2,on=tuning",
    "segv:M=2,N=256,on=tuning",
    "lost-append:M=1-16",
    "lost-append",
    "partial-line:M=2,bytes=60",
    "wrong:M=16,on=tune",
    "exit:M=16,on=tune",
    "wrong:M=2,on=tune;lost-append:M=16;partial-line:M=1,bytes=90;throttle:factor=9",
]
OFF = [
    "wrong:M=1,on=lookup",
    "wrong:M=512,on=explicit",
    f"wrong:N=256,K=512,on={ON}",
    f"wrong:on={ON},how=tile",
    f"wrong:M=1,N=512,on={ON},how=nan",
    "no-solution:M=1-2",
    "exit:M=16,on=lookup",
    "segv:M=1,on=explicit",
    "oom:M=512",
    f"wrong:M=2-512,on={ON},index=1-60000",
    f"exit:on={ON},index=1-30000",
    "hang:M=2,N=256,K=512",
]


@pytest.mark.parametrize("faults", SERVED_BY_ANOTHER_INDEX)
def test_a_problem_that_aiter_cannot_tune_is_served_by_an_index_that_is_right(
    make_pod: PodMaker, serve: Serve, faults: str
) -> None:
    pod = make_pod()
    pod.run("warm", HIPBMM_SIM_FAULTS=faults)
    message = pod.message
    assert (message["state"], message["unverified"], message["rows"]) == ("Complete", 0, PROBLEMS)
    once = "wrong:M=16,on=tune"  # the call that tunes is wrong, the index that it chooses is right
    assert (message["doubted"] > 0) is (faults != once)
    served = serve(pod, HIPBMM_SIM_FAULTS=faults)
    assert (served.status, served.wrong, served.hipbmm) == (0, {}, True)


@pytest.mark.parametrize("faults", OFF)
def test_where_no_index_is_right_hipbmm_is_off_and_says_for_which_problem(
    make_pod: PodMaker, serve: Serve, faults: str
) -> None:
    pod = make_pod()
    pod.run("warm", HIPBMM_SIM_FAULTS=faults, HIPBMM_PROBLEM_SECONDS="4")
    message = pod.message
    assert (message["state"], message["hipbmm"]) in [("Partial", False), ("Failed", False)]
    assert "HIPBMM is off" in message["message"]
    assert message["unproven"]
    if message["reason"] == "ProblemsUnproven":  # else it is the machine that fails
        assert f"{message['unproven'][0]} first" in message["message"]
    served = serve(pod, HIPBMM_SIM_FAULTS=faults)
    assert (served.status, served.wrong, served.hipbmm) == (0, {}, False)
    assert "mode NoHipbmm" in served.log


@pytest.mark.parametrize("faults", ["no-solution", "wrong:M=1024", "exit:M=1024,on=heuristic"])
def test_without_a_right_solution_above_the_limit_the_stack_is_unsupported(
    make_pod: PodMaker, serve: Serve, faults: str
) -> None:
    pod = make_pod()
    pod.run("warm", HIPBMM_SIM_FAULTS=faults)
    assert (pod.message["state"], pod.message["reason"], pod.message["hipbmm"]) == ("Unsupported", "NoSolution", False)
    assert serve(pod, HIPBMM_SIM_FAULTS=faults).wrong == {}


def test_without_a_fault_all_is_served_by_hipbmm(make_pod: PodMaker, serve: Serve) -> None:
    pod = make_pod()
    pod.run("warm")
    served = serve(pod)
    assert (served.status, served.wrong, served.hipbmm) == (0, {}, True)


def test_a_server_that_crashed_does_not_let_aiter_choose_what_was_found_wrong(make_pod: PodMaker, serve: Serve) -> None:
    first, pod = make_pod("pod-a"), make_pod("pod-b")
    pod.env["HIPBMM_STORE"] = str(pod.home / "store")
    for each in (first, pod):
        each.env["HIPBMM_SIM_JITTER"] = "0"
    first.run("warm")
    choice = next(
        row for row in aiter_csv.parse(first.served_file.read_bytes()).accepted if row.problem == (16, 256, 512)
    )
    faults = f"wrong:M=16,N=256,on={ON},index={choice.algo_index}"
    pod.run("warm", HIPBMM_SIM_FAULTS=faults)
    assert (pod.message["state"], pod.message["vetoed"]) == ("Complete", 1)
    served = serve(pod, HIPBMM_SIM_FAULTS=faults)
    assert (served.wrong, served.hipbmm) == ({}, True)
    pod.run("exec", "--", "false")
    served = serve(pod, HIPBMM_SIM_FAULTS=faults)
    assert (served.wrong, served.hipbmm) == ({}, False)
    assert "start 3 of the server, mode NoHipbmm: " in served.log


def harvest(pod: Pod) -> None:
    """Let the sidecar publish what the server learned."""
    until = time.monotonic() + 60
    with pod.start("harvest", HIPBMM_METRICS_PORT="0", HIPBMM_HARVEST_SECONDS="0.2") as running:
        while not list(pod.store.glob("v1/*/shards/*.harvest.*")) and time.monotonic() < until:
            time.sleep(0.1)
        running.terminate()


def test_what_production_learned_is_served_again_only_when_it_was_found_right(make_pod: PodMaker, serve: Serve) -> None:
    # AITER tunes M = 1 and 2 in production, where nobody verifies; the next pod does, and finds a wrong one.
    first, second, third = make_pod("pod-a"), make_pod("pod-b"), make_pod("pod-c")
    first.run("warm", HIPBMM_TOKENS="[16, 512]")
    serve(first)
    harvest(first)
    faults = f"wrong:M=2,N=256,on={ON}"
    second.run("warm", HIPBMM_TOKENS="[16, 512]", HIPBMM_SIM_FAULTS=faults)
    assert (second.message["hipbmm"], second.message["unproven"]) == (False, ["M=2 N=256 K=512"])
    assert serve(second, HIPBMM_SIM_FAULTS=faults).wrong == {}
    third.run("warm", HIPBMM_TOKENS="[16, 512]")
    assert (third.message["state"], third.message["unverified"]) == ("Complete", 0)
    assert serve(third).wrong == {}


@pytest.mark.parametrize(
    ("faults", "most"),
    [
        ("", 4),
        ("exit:M=16,N=256,K=512,on=tuning", 6),
        ("segv:M=16,N=256,K=512", 6),
        (f"wrong:M=16,N=256,K=512,on={ON}", 6),
        ("no-solution:M=16", 4),
    ],
)
def test_one_visit_per_problem_starts_one_child_per_gpu(make_pod: PodMaker, faults: str, most: int) -> None:
    pod = make_pod(gpus=4)
    pod.run("warm", HIPBMM_SIM_FAULTS=faults)
    assert pod.message["problems"] == PROBLEMS
    assert 0 < pod.message["children"] <= most
