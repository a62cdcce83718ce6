"""What the server computes after `warm`, with AITER's failures switched on: right numbers, or HIPBMM is off."""

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.kernel.pods import Pod, PodMaker
from tests.kernel.tune.conftest import LINEARS, TOKENS, Serve

from hipbmm_kernel.dispatch.check import RACE_SECONDS
from hipbmm_kernel.rows import aiter_csv, gemm
from hipbmm_kernel.store import shard

pytestmark = [
    pytest.mark.timeout(600),
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
    f"wrong:M=16,N=256,on={ON},after=4",
    f"wrong:M=2,N=512,on={ON},how=nan;exit:M=16,N=256,K=512",
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


def test_a_pod_that_restores_knows_where_aiters_own_choice_is_none(make_pod: PodMaker, serve: Serve) -> None:
    """hipBLASLt returned no candidate for one problem: AITER recorded index 0, and would launch it again."""
    fault = "no-solution:M=16,N=256"
    first, second = make_pod("pod-a"), make_pod("pod-b")
    first.run("warm", HIPBMM_SIM_FAULTS=f"{fault},times=1", HIPBMM_NODE_NAME="node-a")
    assert first.message["state"] == "Complete"
    forget_vetoes_of_indices(first.store)
    second.run("warm", HIPBMM_NODE_NAME="node-b")
    assert (second.message["source"], second.message["rows"], second.message["doubted"]) == ("Restored", PROBLEMS, 1)
    for _ in range(2):
        second.run("exec", "--", "false")
    served = serve(second, HIPBMM_SIM_FAULTS=fault)
    assert (served.wrong, served.hipbmm) == ({}, False), served.log


def forget_vetoes_of_indices(store: Path) -> None:
    """As where the first neighbour's index was right: the simulator refuses those as well."""
    for path in store.glob("v1/*/shards/*"):
        one = shard.decode(path.read_bytes())
        vetoes = tuple(veto for veto in one.vetoes if veto.algo_index == gemm.OWN_CHOICE)
        data = shard.encode(one._replace(vetoes=vetoes))
        path.unlink()
        path.with_name(shard.name_of(data)).write_bytes(data)


def harvest(pod: Pod) -> None:
    """Let the sidecar publish what the server learned."""
    until = time.monotonic() + 240
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
    started = with_the_plugin(pod, HIPBMM_SIM_FAULTS=faults)
    assert pod.message["problems"] == PROBLEMS
    assert 0 < pod.message["children"] == len(started) <= most
    assert (pod.message["dispatch"] == "Memory") is pod.message["hipbmm"]


def with_the_plugin(pod: Pod, broken: str = "", text: str = "", **env: str) -> list[str]:
    """`warm` with the program that `payload` left, in which the file `broken` is another `text`: its children."""
    assert pod.run("payload", str(pod.home)).returncode == 0
    if broken:
        next((pod.home / "kernel").glob(broken)).write_text(text)
    starts = pod.root / "starts"
    child = pod.root / "python"
    child.write_text(f'#!/bin/sh\necho "$2" | head -c 200 >> {starts}\nexec {pod.env["ZYGOTE_CHILD"]} "$@"\n')
    child.chmod(0o755)
    more = {"HIPBMM_SIM_SYSFS": pod.env["HIPBMM_SYSFS"], "HIPBMM_SIM_DEV": pod.env["HIPBMM_DEV"]}
    more |= {"ZYGOTE_CHILD": str(child), "PYTHONPATH": pod.env["PYTHONPATH"].rpartition(":")[0]}
    command = [sys.executable, str(pod.home / "kernel"), "warm"]
    subprocess.run(command, env=pod.env | more | env, cwd=pod.root, capture_output=True, timeout=500, check=True)
    return [line for line in starts.read_text().splitlines() if "tune.child" in line or "dispatch." in line]


HANGS = "[vllm.general_plugins]\nhipbmm_dispatch = signal:pause\n"


def test_a_call_that_hangs_in_memory_costs_no_more_than_a_problem(make_pod: PodMaker) -> None:
    pod = make_pod()
    began = time.monotonic()
    with_the_plugin(pod, "*.dist-info/entry_points.txt", HANGS, HIPBMM_PROBLEM_SECONDS="20")
    assert time.monotonic() - began < RACE_SECONDS
    assert (pod.message["state"], pod.message["children"], pod.message["dispatch"]) == ("Complete", 1, "File")
    assert "without an answer (hung" in pod.message["dispatchReason"]


def test_a_pod_whose_hipbmm_is_off_asks_nothing_about_memory(make_pod: PodMaker, tmp_path: Path) -> None:
    """A problem that ended its children is not tuned again, so nothing of this tuning fails."""
    fault = "segv:M=16,N=256,K=512"
    node = {"HIPBMM_NODE_NAME": "node-a", "HIPBMM_SIM_FAULTS": fault}
    make_pod("pod-a").run("warm", HIPBMM_TOKENS="[1, 16]", **node)
    pod, asked = make_pod("pod-b"), tmp_path / "asked"
    text = f"open({str(asked)!r}, 'w').close()\n\ndef race(*_):\n    return ()\n"
    with_the_plugin(pod, "*/dispatch/race.py", text, **node)
    assert (pod.message["hipbmm"], pod.message["reason"]) == (False, "ProblemsUnproven")
    assert pod.message["tuned"] == PROBLEMS - 1
    assert not asked.exists()


ENDS = "import os\nos.abort()\n"
DOES_NOTHING = "[vllm.general_plugins]\nhipbmm_dispatch = builtins:list\n"


@pytest.mark.parametrize(
    ("broken", "text", "children", "dispatch"),
    [
        ("*.dist-info/entry_points.txt", "[vllm.general_plugins]\nhipbmm_dispatch = os:abort\n", 1, "File"),
        ("*.dist-info/entry_points.txt", DOES_NOTHING, 2, "File"),
        ("*/dispatch/race.py", ENDS, 1, "Memory"),
        ("*/dispatch/tuning_child.py", ENDS, 3, "Memory"),
        ("*/dispatch/plugin.py", ENDS, 3, "File"),
    ],
)
def test_a_child_that_fails_to_show_the_table_in_memory_costs_no_row(
    make_pod: PodMaker, broken: str, text: str, children: int, dispatch: str
) -> None:
    pod = make_pod()
    assert len(with_the_plugin(pod, broken, text)) == pod.message["children"] == children
    assert (pod.message["state"], pod.message["rows"], pod.message["unverified"]) == ("Complete", PROBLEMS, 0)
    assert pod.message["dispatch"] == dispatch
