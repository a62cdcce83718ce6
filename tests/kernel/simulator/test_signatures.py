"""AITER's functions take what each generation takes, and a padded weight has another K than the activations."""

import subprocess
import sys

import pytest
from tests.kernel.simulator.programs import Run

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]


def test_only_the_newer_generation_asks_for_solutions_with_gelu(run: Run, environment: dict[str, str]) -> None:
    done = run(
        """
        x, xs, w, ws = operands(8)
        given = dict(out_dtype=torch.bfloat16, scaleA=xs, scaleB=ws.t().contiguous(), bpreshuffle=True)
        weight = shuffle_weight(w, layout=(16, 16)).t()
        plain = aiter.hipb_findallsols(x, weight, **given)
        assert plain
        assert aiter.hipb_findallsols(x, weight, use_gelu=True, **given) == plain
        """
    )
    assert done.code == 0, done.stderr
    program = "import aiter, inspect; print('use_gelu' in inspect.signature(aiter.hipb_findallsols).parameters)"
    old = environment | {"HIPBMM_SIM_AITER": "0.1.11"}
    assert (
        subprocess.run([sys.executable, "-c", program], env=old, capture_output=True, check=True).stdout == b"False\n"
    )


def test_a_weight_padded_in_k_is_shuffled_and_no_longer_fits_its_activations(run: Run) -> None:
    done = run(
        """
        x, xs, w, ws = operands(8, K=528)
        try:
            shuffle_weight(w)
        except AssertionError as error:
            print(error)
        padded = shuffle_weight(w, pad_k_to=64)
        scales = dict(out_dtype=torch.bfloat16, scaleA=xs, scaleB=ws.t().contiguous(), bpreshuffle=True)
        assert (tuple(padded.shape), padded.aiter_original_k, padded.aiter_padded_k) == ((256, 576), 528, 576)
        try:
            aiter.hipb_mm(x, padded.t(), -1, **scales)
        except RuntimeError as error:
            print(error)
        wide = torch.nn.functional.pad(x.view(torch.uint8), (0, 48)).view(x.dtype)
        assert right(aiter.hipb_mm(wide, padded.t(), -1, **scales), x, xs, w, ws)
        """
    )
    assert done.stdout == "528 % 32 == 16\nmat1 dim 1 must match mat2 dim 0\n", done.stderr
    assert done.code == 0


@pytest.mark.parametrize("archs", ["gfx950", "gfx942;gfx950"])
def test_the_fp8_type_is_that_of_the_gpu_that_is_there(run: Run, archs: str) -> None:
    assert run("print(aiter.dtypes.fp8, call(8))", GPU_ARCHS=archs).stdout == "torch.float8_e4m3fnuz True\n"


def test_the_message_of_a_failed_launch_is_that_of_its_second_run(run: Run) -> None:
    done = run("call(8)", HIPBMM_SIM_FAULTS="exit:M=8,again=0", HIP_ONLINE_TUNING="1")
    assert (done.code, done.stderr.split(" at ")[0]) == (1, "hipBLAS error: 'HIPBLAS_STATUS_SUCCESS'(0)")


def test_a_library_that_refuses_index_0_ends_the_process_after_the_row_is_written(run: Run) -> None:
    done = run("call(8)", HIPBMM_SIM_FAULTS="no-solution;no-index-0", HIP_ONLINE_TUNING="1")
    assert (done.code, [row[18] for row in done.rows]) == (1, ["0"])
