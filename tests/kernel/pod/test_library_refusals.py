"""What `warm` and the server's environment are where hipBLASLt or AITER refuse in ways of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kernel.pods import Pod

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]

OLD = {"HIPBMM_SIM_AITER": "0.1.11"}
"""Without AITER's check for zero solutions: an unset candidate, index 0, is launched."""
NEW: dict[str, str] = {}


def flag(pod: Pod) -> str:
    """The switch of the kernel as the server gets it, at its first start."""
    started = pod.run("exec", "--", "sh", "-c", "echo $VLLM_ROCM_USE_AITER_LINEAR_HIPBMM")
    assert started.returncode == 0, started.stderr
    return started.stdout.strip()


@pytest.mark.parametrize("generation", [OLD, NEW], ids=["old", "new"])
@pytest.mark.parametrize("index_0", ["", ";no-index-0"], ids=["taken", "refused"])
def test_a_library_without_a_solution_leaves_hipbmm_off_from_the_first_start(
    pod: Pod, generation: dict[str, str], index_0: str
) -> None:
    done = pod.run("warm", HIPBMM_SIM_FAULTS=f"no-solution{index_0}", **generation)
    assert done.returncode == 0, done.stderr
    assert (pod.message["hipbmm"], pod.message["rows"]) == (False, 0), pod.message
    assert flag(pod) == "0"


def test_one_problem_without_a_solution_does_not_cost_the_others_their_rows(pod: Pod) -> None:
    pod.run("warm", HIPBMM_SIM_FAULTS="no-solution:M=2,N=256,K=512;no-index-0")
    assert pod.message["failed"] <= 1, pod.message
    assert pod.message["rows"] >= pod.message["problems"] - 1, pod.message
    assert flag(pod) == ("1" if pod.message["hipbmm"] else "0")
    assert pod.message["hipbmm"] is (pod.message["failed"] == 0)


def test_a_failed_launch_that_goes_well_when_run_again_is_a_failure_whatever_its_message_says(pod: Pod) -> None:
    pod.run("warm", HIPBMM_SIM_FAULTS="exit:M=2,N=256,K=512,again=0")
    assert (pod.message["failed"], pod.message["hipbmm"]) == (1, False)
    assert "hipBLAS error: 'HIPBLAS_STATUS_SUCCESS'(0)" in pod.report["failures"][0]["reason"]
    assert flag(pod) == "0"


@pytest.mark.parametrize("archs", ["gfx942;gfx950", "gfx950", "native"])
def test_the_architectures_an_image_was_built_for_do_not_change_the_type(pod: Pod, archs: str) -> None:
    pod.run("warm", GPU_ARCHS=archs)
    assert (pod.message["state"], pod.message["unverified"], pod.message["hipbmm"]) == ("Complete", 0, True), (
        pod.message
    )
    keys = {line.split(",")[7] for line in pod.served_file.read_text().splitlines()[1:]}
    assert keys == {"f8_e4m3_fnuz_r"}
