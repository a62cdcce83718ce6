"""`HipbMMLinear` as a user of plain PyTorch has it: from a float linear or a checkpoint, compiled, copied, moved."""

import copy
import io
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tests.kernel.linear.operands import make

from hipbmm_kernel.linear.chain import CHAIN
from hipbmm_kernel.linear.gate import Platform
from hipbmm_kernel.linear.hipbmm import AiterHipbMMPerTokenFp8ScaledMMLinearKernel as HipbMM
from hipbmm_kernel.linear.interface import Fp8LinearKernel
from hipbmm_kernel.linear.module import HipbMMLinear
from hipbmm_kernel.linear.quantise import FNUZ, OCP, per_channel, relative_error
from hipbmm_kernel.linear.torch_kernels import DequantisedFp8Kernel, RowWiseTorchFp8Kernel
from hipbmm_kernel.rows import aiter_csv, gemm

pytestmark = pytest.mark.torch
KERNELS = [HipbMM, RowWiseTorchFp8Kernel, DequantisedFp8Kernel]
ELSEWHERE = Platform(rocm=False, arch=None)


def _linear(n: int = 48, k: int = 64, *, bias: bool = True) -> torch.nn.Linear:
    torch.manual_seed(n + k)
    return torch.nn.Linear(k, n, bias=bias).to(torch.bfloat16)


def _input(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)


@pytest.fixture(params=KERNELS, ids=lambda kernel: kernel.__name__)
def module(
    request: pytest.FixtureRequest, simulated: ModuleType, mi300x: Platform, flags_on: dict[str, str]
) -> HipbMMLinear:
    """The same linear through each kernel."""
    candidates: list[type[Fp8LinearKernel]] = [request.param]
    return HipbMMLinear.from_linear(_linear(), platform=mi300x, environ=flags_on, candidates=candidates)


def test_close_to_the_float_linear(module: HipbMMLinear) -> None:
    x = _input(2, 5, 64)
    result = module(x)
    assert result.shape == (2, 5, 48)
    assert result.dtype is torch.bfloat16
    assert relative_error(result, _linear()(x).float()) < 0.05  # two roundings to FP8, each of 3 bits


def test_all_kernels_agree(simulated: ModuleType, mi300x: Platform, flags_on: dict[str, str]) -> None:
    results = []
    for position in range(len(CHAIN)):
        module = HipbMMLinear.from_linear(_linear(), platform=mi300x, environ=flags_on, candidates=CHAIN[position:])
        assert module.selection.kernel is CHAIN[position]
        results.append(module(_input(7, 64)))
    for result in results[1:]:
        assert relative_error(result, results[0].float()) < 0.004


def test_the_chosen_kernel_is_shown(simulated: ModuleType, mi300x: Platform, flags_on: dict[str, str]) -> None:
    chosen = HipbMMLinear.from_linear(_linear(), platform=mi300x, environ=flags_on)
    assert chosen.selection.kernel is HipbMM
    assert "kernel=AiterHipbMMPerTokenFp8ScaledMMLinearKernel" in repr(chosen)
    elsewhere = HipbMMLinear.from_linear(_linear(), platform=ELSEWHERE, environ={})
    assert elsewhere.selection.kernel is RowWiseTorchFp8Kernel
    assert elsewhere.selection.refusals == {HipbMM.__name__: "requires ROCm."}


def test_fp8_type_follows_the_gpu(simulated: ModuleType, mi300x: Platform) -> None:
    assert HipbMMLinear.from_linear(_linear(), platform=mi300x, environ={}).weight.dtype is FNUZ
    assert HipbMMLinear.from_linear(_linear(), platform=ELSEWHERE, environ={}).weight.dtype is OCP


@pytest.mark.parametrize("bias", [False, True])
def test_the_float_linear_is_left_alone(bias: bool) -> None:
    linear = _linear(bias=bias)
    before = copy.deepcopy(linear.state_dict())
    module = HipbMMLinear.from_linear(linear, platform=ELSEWHERE, environ={})
    assert (module.bias is not None) is bias
    assert all(torch.equal(tensor, before[name]) for name, tensor in linear.state_dict().items())
    with torch.no_grad():
        linear.weight.zero_()
    assert module(_input(1, 64)).abs().max() > 0


def _checkpoint() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weight e4m3fn [48, 64], scale (48, 1), bias, and the weight in float32."""
    weight, scale = per_channel(make(1, 48, 64).weight.float(), OCP)
    return weight, scale, _input(48), weight.float() * scale


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_checkpoint_weights_on_an_mi300x(
    simulated: ModuleType, mi300x: Platform, flags_on: dict[str, str], kernel: type[Fp8LinearKernel], flat: bool
) -> None:
    weight, scale, bias, values = _checkpoint()
    module = HipbMMLinear.from_checkpoint(
        weight, scale[:, 0] if flat else scale, bias, platform=mi300x, environ=flags_on, candidates=[kernel]
    )
    assert module.weight.dtype is FNUZ
    x = _input(9, 64)
    assert (
        relative_error(module(x), x.float() @ values.t() + bias.float()) < 0.04
    )  # x is rounded to FP8, W is not again


def test_checkpoint_weights_elsewhere_keep_their_type() -> None:
    weight, scale, bias, values = _checkpoint()
    module = HipbMMLinear.from_checkpoint(weight, scale, bias, platform=ELSEWHERE, environ={})
    assert module.weight.dtype is OCP
    x = _input(9, 64)
    assert relative_error(module(x), x.float() @ values.t() + bias.float()) < 0.04


W, S = torch.zeros(48, 64, dtype=OCP), torch.ones(48, 1)


@pytest.mark.parametrize(
    ("weight", "scale", "bias", "message"),
    [
        (W.float(), S, None, "weight must be an FP8 matrix"),
        (W.reshape(48, 8, 8), S, None, "weight must be an FP8 matrix"),
        (W, torch.ones(()), None, r"weight_scale must be \(48,\) or \(48, 1\), received \[\]"),
        (W, torch.ones(1, 48), None, "weight_scale must be"),
        (W, torch.ones(64), None, "weight_scale must be"),
        (W, S, torch.ones(64), r"bias must be \(48,\)"),
        (W.view(FNUZ), S, None, "weight must be torch.float8_e4m3fn on None, received torch.float8_e4m3fnuz"),
    ],
)
def test_other_checkpoints_are_refused(
    weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        HipbMMLinear.from_checkpoint(weight, scale, bias, platform=ELSEWHERE, environ={})


def test_tuning_through_the_module_fills_the_table(
    simulated: ModuleType, mi300x: Platform, flags_on: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIP_ONLINE_TUNING", "1")
    module = HipbMMLinear.from_linear(_linear(), platform=mi300x, environ=flags_on)
    for m in (1, 16, 512, 1024):
        module(_input(m, 64))
    rows = aiter_csv.parse(Path("hip_online_tuning_res.csv").read_bytes()).accepted
    assert [row.key for row in rows] == [gemm.key_of(gemm.Problem(m, 48, 64)) for m in (1, 16, 512)]


@pytest.mark.parametrize("shape", [(64,), (1, 64), (0, 64), (2, 0, 64), (3, 1, 2, 64)])
def test_leading_sizes_are_kept(module: HipbMMLinear, shape: tuple[int, ...]) -> None:
    assert module(_input(*shape)).shape == (*shape[:-1], 48)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_input_of_another_floating_type(module: HipbMMLinear, dtype: torch.dtype) -> None:
    x = _input(5, 64)
    assert torch.equal(module(x.to(dtype)), module(x))


def test_compiles_into_one_graph(module: HipbMMLinear) -> None:
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend="aot_eager")
    for m in (3, 16, 40):
        assert torch.equal(compiled(_input(m, 64)), module(_input(m, 64)))


def test_copies_and_saved_modules_compute_the_same(module: HipbMMLinear) -> None:
    x = _input(5, 64)
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    for other in (copy.deepcopy(module), torch.load(file, weights_only=False)):
        assert torch.equal(other(x), module(x))
        with pytest.raises(RuntimeError, match="in the kernel's layout already"):
            other.kernel.process_weights_after_loading(other)


def test_state_dict_holds_no_tensor_in_a_kernels_layout(module: HipbMMLinear) -> None:
    assert dict(torch.nn.Sequential(module).state_dict()) == {}


def test_casts_of_the_model_do_not_touch_fp8(module: HipbMMLinear) -> None:
    x = _input(5, 64)
    before = module(x)
    model = torch.nn.Sequential(module, torch.nn.LayerNorm(48)).half().to(torch.float32).to("cpu").eval()
    assert torch.equal(model[0](x), before)


def test_moving_is_refused(module: HipbMMLinear) -> None:
    with pytest.raises(RuntimeError, match="laid out for cpu: build it on meta"):
        torch.nn.Sequential(module).to("meta")


def test_no_silent_loss_of_gradients(module: HipbMMLinear) -> None:
    x = _input(5, 64).requires_grad_()
    with pytest.raises(RuntimeError, match="for inference"):
        module(x)
    with torch.no_grad():
        assert module(x).shape == (5, 48)


def test_a_shape_no_fp8_gemm_takes_is_computed_all_the_same() -> None:
    linear = _linear(7, 13)
    module = HipbMMLinear.from_linear(linear, platform=ELSEWHERE, environ={})
    assert module.selection.kernel is DequantisedFp8Kernel
    assert len(module.selection.refusals) == len(CHAIN) - 1
    x = _input(5, 13)
    assert relative_error(module(x), linear(x).float()) < 0.05
