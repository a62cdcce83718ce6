"""`warm` with rows missing: the real children on the simulated GPU, with AITER's failures switched on."""

import importlib.util
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.kernel.pods import Pod, PodMaker, write_rocm

from hipbmm_kernel.rows import aiter_csv

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="children need torch"),
]
PROBLEMS = 12


@pytest.fixture
def make_pod(make_pod: PodMaker, zygote: Mapping[str, str]) -> PodMaker:
    """Pods whose children need not import torch themselves: that would be most of the time of these tests."""

    def make(name: str = "pod-a", gpus: int = 1) -> Pod:
        pod = make_pod(name, gpus)
        pod.env |= {**zygote, "PYTHONPATH": f"{zygote['PYTHONPATH']}:{pod.env['PYTHONPATH']}"}
        return pod

    return make


def served(pod: Pod) -> dict[tuple[int, int, int], int]:
    parsed = aiter_csv.parse(pod.served_file.read_bytes())
    assert not parsed.rejected
    assert parsed.refused is None
    return {row.problem: row.algo_index for row in parsed.accepted}


def shards(pod: Pod) -> list[Path]:
    return sorted(pod.store.glob("v1/*/shards/*.csv"))


def test_a_pod_tunes_once_and_the_next_one_restores_without_torch(make_pod: PodMaker) -> None:
    first, second = make_pod("pod-a"), make_pod("pod-b")
    with_children_of_its_own = {"PYTHONPATH": first.env["PYTHONPATH"].partition(":")[2]}
    done = first.run("warm", **with_children_of_its_own)
    assert done.returncode == 0, done.stderr
    message = first.message
    assert (message["state"], message["reason"], message["source"]) == ("Complete", "Tuned", "Tuned")
    assert message["problems"] == message["tuned"] == message["rows"] == PROBLEMS
    assert (message["restored"], message["failed"], message["unverified"]) == (0, 0, 0)
    assert message["stack"]["simulated"] is True
    assert float(message["geomean"]) > 1.0
    assert message["torchImported"] is False
    assert message["children"] == 1
    assert not (first.home / "tune").exists()
    lines = [line for line in done.stderr.splitlines() if line.startswith("hipbmm progress ")]
    assert lines[0].startswith("hipbmm progress phase=Identity tuned=0 problems=0 failed=0 verified=0 elapsed_s=")
    counts = f"tuned={PROBLEMS} problems={PROBLEMS} failed=0 verified={PROBLEMS}"
    assert lines[-1].startswith(f"hipbmm progress phase=Done {counts} ")

    done = second.run("warm")
    assert done.returncode == 0, done.stderr
    message = second.message
    assert (message["state"], message["reason"], message["source"]) == ("Complete", "Restored", "Restored")
    assert (message["restored"], message["children"], message["torchImported"]) == (PROBLEMS, 0, False)
    assert served(second) == served(first)
    assert second.served_file.read_bytes() == first.served_file.read_bytes()


def test_a_problem_that_ends_every_child_is_given_up_after_two_and_hipbmm_is_off(make_pod: PodMaker) -> None:
    first, second = make_pod("pod-a"), make_pod("pod-b")
    first.run("warm", HIPBMM_SIM_FAULTS="exit:M=2,N=256,K=512")
    message = first.message
    assert (message["state"], message["reason"], message["hipbmm"]) == ("Partial", "ProblemsUnproven", False)
    assert (message["tuned"], message["failed"], message["vetoed"]) == (PROBLEMS - 1, 1, 1)
    assert message["unproven"] == ["M=2 N=256 K=512"]
    assert "HIPBMM is off" in message["message"]
    assert "1 failed: killed: exit(1): hipBLAS error" in message["message"]
    assert message["children"] == 3
    assert (2, 256, 512) not in served(first)
    assert first.report["failures"][0]["problem"] == "M=2 N=256 K=512"
    second.run("warm", HIPBMM_SIM_FAULTS="exit:M=2,N=256,K=512")
    assert (second.message["state"], second.message["hipbmm"]) == ("Partial", False)


def test_a_child_that_dies_once_costs_nothing_but_a_new_child(pod: Pod) -> None:
    done = pod.run("warm", HIPBMM_SIM_FAULTS="segv:M=16,on=tuning,times=1", HIPBMM_VERIFY="0")
    assert (pod.message["state"], pod.message["tuned"], pod.message["children"]) == ("Complete", PROBLEMS, 2)
    planned = [line for line in done.stderr.splitlines() if f" problems={PROBLEMS} " in line]
    assert planned
    assert not [line for line in planned if "verified=" in line], "a count that never moves"


def test_a_problem_that_hangs_is_ended_by_its_deadline(pod: Pod) -> None:
    limits = {"HIPBMM_PROBLEM_SECONDS": "5", "HIPBMM_DISPATCH": "File"}  # from memory, the server's child hangs as well
    pod.run("warm", HIPBMM_SIM_FAULTS="hang:M=1,N=256,K=256", HIPBMM_VERIFY="0", **limits)
    assert (pod.message["state"], pod.message["tuned"], pod.message["failed"]) == ("Partial", PROBLEMS - 1, 1)
    assert pod.message["hipbmm"] is False
    assert "hung" in pod.message["message"]


def test_a_wrong_result_is_vetoed_and_never_served(pod: Pod) -> None:
    pod.run("warm", HIPBMM_SIM_FAULTS="wrong:M=16,N=256,K=512,how=nan,on=explicit")
    assert (pod.message["state"], pod.message["reason"], pod.message["hipbmm"]) == (
        "Partial",
        "ProblemsUnproven",
        False,
    )
    assert (16, 256, 512) not in served(pod)
    # AITER would choose the same index again while it serves: the server runs without it.
    started = pod.run("exec", "--", "sh", "-c", "echo $VLLM_ROCM_USE_AITER_LINEAR_HIPBMM")
    assert (started.stdout, pod.message["unproven"]) == ("0\n", ["M=16 N=256 K=512"])
    assert any("vetoes" in path.read_text().splitlines()[0] for path in shards(pod))


def test_a_machine_that_computes_nothing_right_vetoes_nothing_for_others(make_pod: PodMaker) -> None:
    broken, other = make_pod("pod-a"), make_pod("pod-b")
    broken.run("warm", HIPBMM_SIM_FAULTS="wrong:on=explicit")
    assert (broken.message["rows"], broken.message["hipbmm"]) == (0, False)
    assert shards(broken) == []
    other.run("warm")
    assert (other.message["state"], other.message["unverified"], other.message["vetoed"]) == ("Complete", 0, 0)


def test_a_machine_whose_children_die_while_verifying_vetoes_nothing(pod: Pod) -> None:
    pod.run("warm", HIPBMM_SIM_FAULTS="segv:on=explicit")
    assert (pod.message["reason"], pod.message["vetoed"], pod.message["hipbmm"]) == ("TunerFailed", 0, False)
    assert "6 children ended in a row: killed: SIGSEGV" in pod.message["message"]
    assert shards(pod) == []


def test_a_problem_that_cannot_be_tuned_is_served_by_its_neighbours_kernel(pod: Pod) -> None:
    # Without a row the server itself would tune it, and end as the child did.
    pod.run("warm", HIPBMM_SIM_FAULTS="exit:M=2,N=256,K=512,on=tuning")
    message = pod.message
    assert (message["state"], message["vetoed"], message["failed"], message["unverified"]) == ("Complete", 0, 0, 0)
    rows = served(pod)
    assert rows[2, 256, 512] in {rows[1, 256, 512], rows[16, 256, 512]}


def explicit(pod: Pod, tokens: str, faults: str = "") -> dict[str, str]:
    """One small linear in place of the model's four: a search has hundreds of candidates for each problem."""
    return {
        "HIPBMM_MODEL_CONFIG": str(pod.root / "none"),
        "HIPBMM_LINEARS": '[{"n": 64, "k": 64}]',
        "HIPBMM_TOKENS": tokens,
        "HIPBMM_SIM_JITTER": "0",
        "HIPBMM_SIM_FAULTS": faults,
    }


def test_an_exhaustive_search_finds_a_faster_kernel(make_pod: PodMaker, tmp_path: Path) -> None:
    online, exhaustive = make_pod("online"), make_pod("exhaustive")
    exhaustive.env["HIPBMM_STORE"] = str(tmp_path)
    online.run("warm", **explicit(online, "[1, 2]"))
    exhaustive.run("warm", HIPBMM_SEARCH="Exhaustive", **explicit(exhaustive, "[1, 2]"))
    message = exhaustive.message
    assert (message["state"], message["tuned"], message["unverified"]) == ("Complete", 2, 0)
    assert float(message["geomean"]) > float(online.message["geomean"])


def test_an_exhaustive_search_passes_over_indices_that_kill_or_are_wrong(pod: Pod) -> None:
    faults = "segv:on=explicit,index=2000-2040;wrong:on=explicit,index=3000-9000"
    slow = {"HIPBMM_SIM_SLEEP": "20"}  # a line comes every two seconds at most
    done = pod.run("warm", HIPBMM_SEARCH="Exhaustive", **explicit(pod, "[1]", faults), **slow)
    assert "hipbmm progress phase=Improving tuned=1 problems=1 failed=0 verified=1 " in done.stderr
    message = pod.message
    assert (message["state"], message["tuned"], message["unverified"]) == ("Complete", 1, 0)
    assert message["vetoed"] > 0
    assert not any(2000 <= index <= 2040 or 3000 <= index <= 9000 for index in served(pod).values())


@pytest.mark.parametrize("generation", ["0.1.20", "0.1.11"])
def test_a_stack_without_solutions_is_unsupported_and_nothing_is_tuned(pod: Pod, generation: str) -> None:
    pod.run("warm", HIPBMM_SIM_FAULTS="no-solution", HIPBMM_SIM_AITER=generation)
    message = pod.message
    assert (message["state"], message["reason"], message["hipbmm"]) == ("Unsupported", "NoSolution", False)
    assert (message["tuned"], message["rows"]) == (0, 0)
    assert shards(pod) == []


def test_an_index_of_an_unset_candidate_is_no_row(pod: Pod) -> None:
    # Without a solution AITER times an unset candidate, whose index is 0, and records it.
    pod.run("warm", HIPBMM_SIM_FAULTS="no-solution:M=2")
    assert (pod.message["state"], pod.message["failed"], pod.message["tuned"]) == ("Partial", 4, PROBLEMS - 4)
    assert "algo_index" in pod.message["message"]
    assert pod.message["hipbmm"] is False
    assert not any(m == 2 for m, _, _ in served(pod))


def test_a_machine_that_fails_everything_vetoes_nothing(pod: Pod) -> None:
    pod.run("warm", HIPBMM_SIM_FAULTS="exit:on=tuning")
    message = pod.message
    assert (message["state"], message["reason"], message["tuned"], message["vetoed"]) == ("Failed", "TunerFailed", 0, 0)
    assert "hipBLAS error" in message["message"]
    assert shards(pod) == []


def test_problems_that_do_not_fit_are_skipped_because_aiter_would_exit(pod: Pod) -> None:
    pod.run("warm", HIPBMM_SIM_FREE_MIB="300", HIPBMM_VERIFY="0", HIPBMM_LINEARS='[{"n": 4096, "k": 4096}]')
    message = pod.message
    assert (message["state"], message["reason"], message["skipped"]) == ("Partial", "LowMemory", 3)
    assert (message["tuned"], message["failed"], message["children"]) == (PROBLEMS, 0, 1)
    assert "MiB" in message["message"]


@pytest.mark.parametrize("lie", [{"HIPBMM_SIM_CU": "80"}, {"HIPBMM_SIM_ARCH": "gfx950"}])
def test_another_gpu_than_sysfs_says_stops_the_tuning(pod: Pod, lie: dict[str, str]) -> None:
    pod.run("warm", **lie)
    assert (pod.message["state"], pod.message["reason"], pod.message["rows"]) == ("Failed", "StackMismatch", 0)
    assert shards(pod) == []


def test_a_pod_that_is_asked_to_stop_publishes_what_it_has(make_pod: PodMaker) -> None:
    pod = make_pod("pod-a")
    running = pod.start("warm", HIPBMM_SIM_FAULTS="hang:M=16,N=1024", HIPBMM_VERIFY="0")
    with running:
        assert running.stderr is not None
        for line in running.stderr:
            if " phase=Tuning " in line and " tuned=0 " not in line:
                break
        running.send_signal(signal.SIGTERM)
        assert running.wait(150) == 0
    message = pod.message
    assert (message["state"], message["source"]) == ("Partial", "Tuned")
    assert 0 < message["tuned"] == message["rows"] < PROBLEMS
    assert shards(pod)


def test_a_budget_that_is_used_up_gives_a_partial_table(pod: Pod) -> None:
    pod.run("warm", HIPBMM_SIM_FAULTS="hang:M=16,N=1024", HIPBMM_BUDGET_SECONDS="40")
    assert (pod.message["state"], pod.message["reason"]) == ("Partial", "BudgetExhausted")
    assert pod.message["hipbmm"] is True  # nothing speaks against what was not reached
    assert 0 < pod.message["tuned"] < PROBLEMS


def test_policy_block_fails_unless_the_table_is_complete(pod: Pod) -> None:
    done = pod.run("warm", HIPBMM_SIM_FAULTS="no-solution", HIPBMM_POLICY="Block")
    assert done.returncode == 1


@pytest.mark.parametrize("generation", ["0.1.20", "0.1.11"])
def test_two_gpus_share_the_work_in_both_generations_of_aiter(make_pod: PodMaker, generation: str) -> None:
    pod = make_pod("pod-a", gpus=2)
    pod.run("warm", HIPBMM_VERIFY="0", HIPBMM_SIM_AITER=generation)
    assert (pod.message["state"], pod.message["children"]) == ("Complete", 2)


@pytest.mark.parametrize("missing", [True, False])
def test_a_store_that_is_no_directory_stops_neither_tuning_nor_serving(pod: Pod, missing: bool) -> None:
    pod.store.rmdir()
    if not missing:
        pod.store.write_text("not a directory")
    pod.run("warm", HIPBMM_VERIFY="0")
    message = pod.message
    assert (message["state"], message["rows"]) == ("Complete", PROBLEMS)
    assert message["storage"]["writable"] is False
    assert message["storage"]["error"]
    assert pod.store.exists() is not missing


def test_rows_of_another_library_build_are_not_used(make_pod: PodMaker, node: Path) -> None:
    first, second = make_pod("pod-a"), make_pod("pod-b")
    first.run("warm", HIPBMM_VERIFY="0")
    write_rocm(node / "rocm", database=b"another build")
    second.run("warm", HIPBMM_VERIFY="0")
    assert second.message["source"] == "Tuned"
    assert first.message["key"] != second.message["key"]
