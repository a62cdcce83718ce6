"""The choice among kernels: HIPBMM first, a reason for each refusal, and a fallback that always answers."""

from types import ModuleType

import pytest
import torch
from tests.kernel.linear.conftest import OrderFault

from hipbmm_kernel.linear.chain import CHAIN, select_kernel
from hipbmm_kernel.linear.gate import Platform
from hipbmm_kernel.linear.hipbmm import AiterHipbMMPerTokenFp8ScaledMMLinearKernel as HipbMM
from hipbmm_kernel.linear.interface import LinearConfig
from hipbmm_kernel.linear.quantise import FNUZ, OCP
from hipbmm_kernel.linear.torch_kernels import DequantisedFp8Kernel, RowWiseTorchFp8Kernel

pytestmark = pytest.mark.torch
CPU = torch.device("cpu")
CONFIG = LinearConfig((512, 4096), torch.bfloat16)
NAMES = [kernel.__name__ for kernel in CHAIN]


def test_hipbmm_is_first_and_something_always_last() -> None:
    assert NAMES == ["AiterHipbMMPerTokenFp8ScaledMMLinearKernel", "RowWiseTorchFp8Kernel", "DequantisedFp8Kernel"]


def test_hipbmm_where_the_gate_is_open(
    simulated: ModuleType, mi300x: Platform, flags_on: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    selection = select_kernel(CONFIG, CPU, FNUZ, platform=mi300x, environ=flags_on)
    assert selection.kernel is HipbMM
    assert selection.refusals == {}
    assert flags_on["HIP_ONLINE_TUNING"] == "1"
    assert "Selected AiterHipbMMPerTokenFp8ScaledMMLinearKernel for (512, 4096)" in caplog.text


def test_tuning_is_switched_on_before_hipblaslt_starts(
    simulated: ModuleType, mi300x: Platform, flags_on: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_start: list[str | None] = []
    original = simulated.hipb_create_extension

    def create() -> None:
        at_start.append(flags_on.get("HIP_ONLINE_TUNING"))
        original()

    monkeypatch.setattr(simulated, "hipb_create_extension", create)
    select_kernel(CONFIG, CPU, FNUZ, platform=mi300x, environ=flags_on)
    assert at_start == ["1"]


@pytest.mark.parametrize("missing", ["VLLM_ROCM_USE_AITER", "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM"])
def test_pytorch_where_a_flag_is_missing(mi300x: Platform, flags_on: dict[str, str], missing: str) -> None:
    del flags_on[missing]
    selection = select_kernel(CONFIG, CPU, FNUZ, platform=mi300x, environ=flags_on)
    assert selection.kernel is RowWiseTorchFp8Kernel
    assert list(selection.refusals) == NAMES[:1]
    assert "and `VLLM_ROCM_USE_AITER_LINEAR_HIPBMM=1`." in selection.refusals[NAMES[0]]
    assert "HIP_ONLINE_TUNING" not in flags_on


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (LinearConfig((512, 4096), torch.bfloat16, "tensor"), "requires per token activation scales"),
        (LinearConfig((8, 4096), torch.bfloat16), "requires N >= 16"),
        (LinearConfig((512, 4096), torch.float16), "requires bfloat16 output dtype."),
    ],
)
def test_a_refused_linear_leaves_the_process_alone(
    simulated: ModuleType, mi300x: Platform, flags_on: dict[str, str], config: LinearConfig, reason: str
) -> None:
    selection = select_kernel(config, CPU, FNUZ, platform=mi300x, environ=flags_on)
    assert selection.kernel is DequantisedFp8Kernel
    assert selection.refusals[NAMES[0]].startswith(reason)
    assert "HIP_ONLINE_TUNING" not in flags_on


def test_a_weight_that_kills_vllm_at_load_goes_to_the_next_kernel(
    simulated: ModuleType, mi300x: Platform, flags_on: dict[str, str]
) -> None:
    config = LinearConfig((64, 48), torch.bfloat16)
    selection = select_kernel(config, CPU, FNUZ, platform=mi300x, environ=flags_on)
    assert selection.kernel is RowWiseTorchFp8Kernel
    assert "K divisible by 32" in selection.refusals[NAMES[0]]


def test_a_stack_without_solutions_goes_to_the_next_kernel(
    order_fault: OrderFault, mi300x: Platform, flags_on: dict[str, str]
) -> None:
    order_fault("no-solution")
    selection = select_kernel(CONFIG, CPU, FNUZ, platform=mi300x, environ=flags_on)
    assert selection.kernel is RowWiseTorchFp8Kernel
    assert "found 0 valid solutions" in selection.refusals[NAMES[0]]


def test_disabled_by_name_as_in_vllm(simulated: ModuleType, mi300x: Platform, flags_on: dict[str, str]) -> None:
    flags_on["VLLM_DISABLED_KERNELS"] = ",".join(NAMES[:2])
    selection = select_kernel(CONFIG, CPU, FNUZ, platform=mi300x, environ=flags_on)
    assert selection.kernel is DequantisedFp8Kernel
    assert selection.refusals == dict.fromkeys(NAMES[:2], "is disabled by environment variable.")
    assert "HIP_ONLINE_TUNING" not in flags_on


def test_all_refuse() -> None:
    with pytest.raises(ValueError, match=r"no kernel takes .*HipbMM.*requires ROCm\.; RowWise.*is disabled"):
        select_kernel(
            CONFIG,
            CPU,
            OCP,
            platform=Platform(rocm=False, arch=None),
            environ={"VLLM_DISABLED_KERNELS": "RowWiseTorchFp8Kernel"},
            candidates=CHAIN[:2],
        )
