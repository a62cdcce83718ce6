"""The kernel classes: which linears they take and in which words they refuse, and what loading does to a weight."""

from types import ModuleType, SimpleNamespace

import pytest
import torch
from tests.kernel.linear.conftest import OrderFault
from tests.kernel.linear.operands import make

from hipbmm_kernel.linear import hipbmm
from hipbmm_kernel.linear.gate import Platform
from hipbmm_kernel.linear.hipbmm import AiterHipbMMPerTokenFp8ScaledMMLinearKernel as HipbMM
from hipbmm_kernel.linear.interface import Fp8LinearKernel, Granularity, LinearConfig
from hipbmm_kernel.linear.op import shuffle
from hipbmm_kernel.linear.probe import probe
from hipbmm_kernel.linear.quantise import FNUZ, relative_error
from hipbmm_kernel.linear.torch_kernels import DequantisedFp8Kernel, RowWiseTorchFp8Kernel

pytestmark = pytest.mark.torch
BF16 = torch.bfloat16
CPU = torch.device("cpu")


def test_supported_with_flags_gpu_and_aiter(simulated: ModuleType, mi300x: Platform, flags_on: dict[str, str]) -> None:
    assert HipbMM.unsupported(mi300x, flags_on) is None


def test_the_gate_comes_first(mi300x: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden() -> ModuleType:
        raise AssertionError("aiter was imported behind a closed gate")

    monkeypatch.setattr(hipbmm, "load_aiter", forbidden)
    assert HipbMM.unsupported(Platform(rocm=False, arch=None), {}) == "requires ROCm."
    reason = HipbMM.unsupported(mi300x, {"VLLM_ROCM_USE_AITER": "1"})
    assert reason is not None
    assert reason.startswith("requires setting `VLLM_ROCM_USE_AITER=1`")


@pytest.mark.parametrize("error", [ModuleNotFoundError("aiter"), OSError("libamdhip64.so.7"), RuntimeError("no hipcc")])
def test_aiter_that_cannot_be_imported(
    mi300x: Platform, flags_on: dict[str, str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken() -> ModuleType:
        raise error

    monkeypatch.setattr(hipbmm, "load_aiter", broken)
    assert HipbMM.unsupported(mi300x, flags_on) == "requires aiter library to be installed."


def test_aiter_without_the_gemm(mi300x: Platform, flags_on: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hipbmm, "load_aiter", SimpleNamespace)
    assert HipbMM.unsupported(mi300x, flags_on) == "requires aiter hipb_mm support."


@pytest.mark.parametrize("shape", [(512, 4096), (16, 32), (10240, 8192)])
def test_accepted(shape: tuple[int, int]) -> None:
    assert HipbMM.refusal(LinearConfig(shape, BF16)) is None


SCALES = "requires per token activation scales and per channel weight scales."


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (LinearConfig(None, torch.float16, "tensor"), "weight_shape is required for Aiter kernels"),
        (LinearConfig((8, 8), torch.float16, "tensor"), "requires bfloat16 output dtype."),
        (LinearConfig((8, 8), BF16, "tensor"), SCALES),
        (LinearConfig((512, 4096), BF16, "tensor"), SCALES),
        (LinearConfig((512, 4096), BF16, "token", "tensor"), SCALES),
        (
            LinearConfig((8, 4090), BF16),
            "requires N >= 16 and both N and K divisible by 16, received N=8 and K=4090.",
        ),
        (
            LinearConfig((24, 4096), BF16),
            "requires N >= 16 and both N and K divisible by 16, received N=24 and K=4096.",
        ),
        (
            LinearConfig((0, 4096), BF16),
            "requires N >= 16 and both N and K divisible by 16, received N=0 and K=4096.",
        ),
    ],
)
def test_rejections_in_vllms_words_and_order(config: LinearConfig, reason: str) -> None:
    assert HipbMM.refusal(config) == reason


def test_a_weight_that_vllm_accepts_and_dies_of_is_not_loaded() -> None:
    config = LinearConfig((8192, 3696), BF16)  # Qwen2.5-72B down_proj at tensor parallel size 8
    reason = HipbMM.refusal(config)
    assert reason is not None
    assert "K divisible by 32" in reason
    assert "K=3696" in reason


def _layer(n: int, k: int, *, parameters: bool) -> torch.nn.Module:
    operands = make(1, n, k)
    layer = torch.nn.Module()
    tensors = {"weight": operands.weight.t(), "weight_scale": operands.weight_scale}
    for name, tensor in tensors.items():
        if parameters:
            layer.register_parameter(name, torch.nn.Parameter(tensor, requires_grad=False))
        else:
            layer.register_buffer(name, tensor)
    return layer


@pytest.mark.parametrize("parameters", [True, False])
@pytest.mark.parametrize(("n", "k"), [(32, 96), (64, 64)])
def test_loading_shuffles_the_weight_and_transposes_the_scale(
    simulated: ModuleType, n: int, k: int, parameters: bool
) -> None:
    layer, given = _layer(n, k, parameters=parameters), make(1, n, k)
    HipbMM(LinearConfig((n, k), BF16)).process_weights_after_loading(layer)
    assert torch.equal(layer.weight.view(torch.uint8), shuffle(given.weight).view(torch.uint8))
    assert layer.weight.stride() == (1, k)
    assert torch.equal(layer.weight_scale, given.weight_scale.t())
    assert layer.weight_scale.is_contiguous()
    kinds = layer.named_parameters() if parameters else layer.named_buffers()
    assert [name for name, _ in kinds] == ["weight", "weight_scale"]


@pytest.mark.parametrize("kernel_class", [HipbMM, RowWiseTorchFp8Kernel, DequantisedFp8Kernel])
def test_loading_twice_is_refused_and_loading_new_weights_is_not(
    simulated: ModuleType, kernel_class: type[Fp8LinearKernel]
) -> None:
    # A square weight: transposed twice it keeps its shape and every result is wrong.
    operands, layer = make(16, 64, 64), torch.nn.Module()
    kernel = kernel_class(LinearConfig((64, 64), BF16))
    for _ in range(2):
        layer.register_buffer("weight", operands.weight.t())
        layer.register_buffer("weight_scale", operands.weight_scale)
        kernel.process_weights_after_loading(layer)
        with pytest.raises(RuntimeError, match="in the kernel's layout already"):
            kernel.process_weights_after_loading(layer)
        x = operands.a.float() * operands.a_scale
        result = kernel.apply_weights(layer, x)
        assert relative_error(result, operands.expected) < 0.03


@pytest.mark.parametrize("kernel_class", [HipbMM, RowWiseTorchFp8Kernel, DequantisedFp8Kernel])
@pytest.mark.parametrize("bias", [False, True])
def test_apply_scaled_mm(simulated: ModuleType, kernel_class: type[Fp8LinearKernel], bias: bool) -> None:
    operands, layer = make(6, 32, 64, bias=bias), torch.nn.Module()
    layer.register_buffer("weight", operands.weight.t())
    layer.register_buffer("weight_scale", operands.weight_scale)
    kernel = kernel_class(LinearConfig((32, 64), BF16))
    kernel.process_weights_after_loading(layer)
    shape = [2, 3, 64]
    result = kernel.apply_scaled_mm(
        A=operands.a,
        B=layer.weight,
        out_dtype=BF16,
        As=operands.a_scale,
        Bs=layer.weight_scale,
        bias=operands.bias,
        output_shape=shape,
    )
    assert shape == [2, 3, 64]
    assert result.dtype is BF16
    assert result.shape == (2, 3, 32)
    assert torch.allclose(result.view(6, 32).float(), operands.expected, atol=0.5, rtol=0.1)
    assert relative_error(result.view(6, 32), operands.expected) < 0.004


def test_probe_accepts_a_good_stack(simulated: ModuleType) -> None:
    assert probe(CPU, FNUZ) is None


def test_probe_names_a_stack_without_solutions(order_fault: OrderFault) -> None:
    order_fault("no-solution")
    reason = probe(CPU, FNUZ)
    assert reason is not None
    assert "found 0 valid solutions" in reason
    assert HipbMM.trial(CPU, FNUZ) == reason


def test_probe_sees_wrong_numbers(order_fault: OrderFault) -> None:
    # AITER before the check for zero solutions runs whatever comes first.
    order_fault("wrong")
    reason = probe(CPU, FNUZ)
    assert reason is not None
    assert reason.startswith("wrong result: relative error")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (LinearConfig(None, BF16), "weight_shape is required."),
        (LinearConfig((32, 64), torch.float16), "requires bfloat16 output dtype."),
        (LinearConfig((32, 64), BF16, "tensor"), SCALES),
        (LinearConfig((32, 60), BF16), "requires N >= 16 and both N and K divisible by 16, received N=32 and K=60."),
        (LinearConfig((8, 64), BF16), "requires N >= 16 and both N and K divisible by 16, received N=8 and K=64."),
    ],
)
def test_rejections_of_pytorchs_gemm(config: LinearConfig, reason: str) -> None:
    assert RowWiseTorchFp8Kernel.refusal(config) == reason


def test_pytorchs_gemm_is_tried_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    RowWiseTorchFp8Kernel.trial.cache_clear()

    def refuse(*_: object, **__: object) -> torch.Tensor:
        raise RuntimeError("Only multiplication of row-major and column-major matrices\nmore")

    monkeypatch.setattr(torch, "_scaled_mm", refuse)
    try:
        reason = RowWiseTorchFp8Kernel.trial(CPU, FNUZ)
        assert reason == "Only multiplication of row-major and column-major matrices"
    finally:
        RowWiseTorchFp8Kernel.trial.cache_clear()


@pytest.mark.parametrize("activation", ["token", "tensor"])
def test_the_last_resort_takes_everything(activation: Granularity) -> None:
    assert DequantisedFp8Kernel.refusal(LinearConfig((7, 13), torch.float32, activation)) is None
