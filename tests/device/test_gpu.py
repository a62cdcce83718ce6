"""The op and the linear on a real GPU: opcheck, compilation into one graph, capture in a CUDA graph and replay."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from tests.device.conftest import StandIn

from hipbmm_kernel.linear.hipbmm import AiterHipbMMPerTokenFp8ScaledMMLinearKernel as HipbMM
from hipbmm_kernel.linear.module import HipbMMLinear
from hipbmm_kernel.linear.op import hipb_mm_fp8, shuffle, transpose_scale
from hipbmm_kernel.linear.quantise import OCP, per_channel, per_token, reference, relative_error
from hipbmm_kernel.linear.torch_kernels import DequantisedFp8Kernel, RowWiseTorchFp8Kernel

KERNELS = [HipbMM, RowWiseTorchFp8Kernel, DequantisedFp8Kernel]
QWEN3_32B_TP4 = [(2560, 5120), (5120, 2048), (12800, 5120), (5120, 6400)]
Options = dict[str, Any]


class Operands(NamedTuple):
    arguments: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]
    expected: torch.Tensor


def _operands(device: torch.device, m: int, n: int, k: int, *, bias: bool = False) -> Operands:
    generator = torch.Generator(device).manual_seed(m + n + k)
    x, w = (torch.randn(rows, k, generator=generator, device=device) for rows in (m, n))
    b = torch.randn(n, generator=generator, device=device).to(torch.bfloat16) if bias else None
    a, a_scale = per_token(x, OCP)
    weight, scale = per_channel(w, OCP)
    expected = reference(a, a_scale, weight, scale, b)
    return Operands((a, shuffle(weight), a_scale, transpose_scale(scale), b), expected)


def _input(device: torch.device, m: int, k: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randn(m, k, generator=generator, device=device).to(torch.bfloat16)


def _linear(device: torch.device, n: int, k: int) -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(k, n, device=device, dtype=torch.bfloat16)


@pytest.fixture(params=KERNELS, ids=lambda kernel: kernel.__name__)
def module(
    request: pytest.FixtureRequest, device: torch.device, aiter_stand_in: StandIn, as_mi300x: Options
) -> HipbMMLinear:
    return HipbMMLinear.from_linear(_linear(device, 2560, 5120), candidates=[request.param], **as_mi300x)


def test_what_is_chosen_on_this_gpu(device: torch.device) -> None:
    selection = HipbMMLinear.from_linear(_linear(device, 2560, 5120)).selection
    if torch.version.hip is None:
        assert selection.kernel is RowWiseTorchFp8Kernel, selection.refusals
        assert selection.refusals == {HipbMM.__name__: "requires ROCm."}


@pytest.mark.parametrize("bias", [False, True])
def test_opcheck_on_the_device(device: torch.device, aiter_stand_in: StandIn, bias: bool) -> None:
    # test_schema compares inputs by torch.allclose, which PyTorch does not have for FP8.
    tests = ("test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    arguments = _operands(device, 16, 64, 128, bias=bias).arguments
    assert torch.library.opcheck(hipb_mm_fp8, arguments, test_utils=tests) == dict.fromkeys(tests, "SUCCESS")
    assert aiter_stand_in.created_on == [device.index]


@pytest.mark.parametrize(("n", "k"), QWEN3_32B_TP4)
@pytest.mark.parametrize("m", [1, 3, 16, 256, 512, 1024])
def test_op_equals_fp32_at_real_sizes(device: torch.device, aiter_stand_in: StandIn, m: int, n: int, k: int) -> None:
    operands = _operands(device, m, n, k, bias=True)
    result = hipb_mm_fp8(*operands.arguments)
    assert torch.allclose(result.float(), operands.expected, atol=0.5, rtol=0.1)
    assert relative_error(result, operands.expected) < 0.004


@pytest.mark.parametrize("m", [1, 16, 512])
def test_linear_is_close_to_the_float_one(module: HipbMMLinear, device: torch.device, m: int) -> None:
    x = _input(device, m, 5120)
    assert relative_error(module(x), _linear(device, 2560, 5120)(x).float()) < 0.05


@pytest.mark.parametrize("m", [1, 16, 512])
def test_capture_and_replay(module: HipbMMLinear, device: torch.device, m: int) -> None:
    static = _input(device, m, 5120)
    with torch.no_grad():
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # warm up outside the capture, as vLLM does
            module(static)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = module(static)
        for seed in (1, 2, 3):
            x = _input(device, m, 5120, seed)
            static.copy_(x)
            captured.fill_(float("nan"))
            graph.replay()
            torch.cuda.synchronize()
            assert torch.equal(captured, module(x))


def test_capture_of_the_op_alone(device: torch.device, aiter_stand_in: StandIn) -> None:
    operands = _operands(device, 16, 2560, 5120, bias=True)
    hipb_mm_fp8(*operands.arguments)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = hipb_mm_fp8(*operands.arguments)
    captured.zero_()
    graph.replay()
    torch.cuda.synchronize()
    assert relative_error(captured, operands.expected) < 0.004


def _compiled(module: HipbMMLinear, **options: object) -> Callable[[torch.Tensor], torch.Tensor]:
    compiled: Callable[[torch.Tensor], torch.Tensor] = torch.compile(module, fullgraph=True, **options)
    return compiled


def test_compiles_into_one_graph_for_all_token_counts(module: HipbMMLinear, device: torch.device) -> None:
    compiled = _compiled(module, dynamic=True)
    with torch.no_grad():
        for m in (2, 16, 300):
            x = _input(device, m, 5120)
            assert relative_error(compiled(x), module(x).float()) < 0.01


# PyTorch's graph trees capture an empty graph on purpose when they start.
@pytest.mark.filterwarnings("ignore:The CUDA Graph is empty:UserWarning")
def test_compiled_with_graph_trees(device: torch.device) -> None:
    module = HipbMMLinear.from_linear(_linear(device, 2560, 5120))
    compiled = _compiled(module, mode="reduce-overhead")
    with torch.no_grad():
        for seed in range(5):
            x = _input(device, 16, 5120, seed)
            assert relative_error(compiled(x).clone(), module(x).float()) < 0.01


def test_quantisation_on_gpu_and_cpu_differs_by_rounding_only(device: torch.device) -> None:
    x = _input(torch.device("cpu"), 64, 512)
    on_cpu, cpu_scale = per_token(x, OCP)
    on_gpu, gpu_scale = per_token(x.to(device), OCP)
    # The GPU divides by a constant as a product with its reciprocal: the last bit of a scale may differ, and with it
    # a value that lies half way between two FP8 numbers.
    torch.testing.assert_close(gpu_scale.cpu(), cpu_scale, rtol=2**-22, atol=0)
    differing = on_gpu.cpu().view(torch.uint8) != on_cpu.view(torch.uint8)
    assert int(differing.sum()) <= x.numel() // 1000


def test_moving_to_the_cpu_is_refused(device: torch.device) -> None:
    module = HipbMMLinear.from_linear(_linear(device, 64, 128))
    module.to(device)
    with pytest.raises(RuntimeError, match="laid out for cuda"):
        module.cpu()
