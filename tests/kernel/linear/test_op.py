"""The op: right numbers, the right layout or a refusal, one extension per device, visible to PyTorch's tracers."""

import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tests.kernel.linear.operands import Operands, make
from torch._subclasses.fake_tensor import FakeTensorMode

from hipbmm_kernel.linear import op
from hipbmm_kernel.linear.op import ensure_extension, hipb_mm_fp8
from hipbmm_kernel.linear.quantise import relative_error
from hipbmm_kernel.rows import aiter_csv, gemm

pytestmark = pytest.mark.torch
TABLE = Path("hip_online_tuning_res.csv")
SHAPES = [(1, 512, 256), (16, 256, 256), (37, 32, 96), (513, 48, 64)]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
def test_result_equals_the_fp32_product(simulated: ModuleType, m: int, n: int, k: int, bias: bool) -> None:
    operands = make(m, n, k, bias=bias)
    result = hipb_mm_fp8(*operands.call())
    assert result.shape == (m, n)
    assert result.dtype is torch.bfloat16
    assert torch.allclose(result.float(), operands.expected, atol=0.5, rtol=0.1)
    assert relative_error(result, operands.expected) < 0.004


def test_scales_of_one_element_apply_to_the_whole_operand(simulated: ModuleType) -> None:
    operands = make(16, 32, 64)
    two = torch.full((1, 1), 2.0)
    result = hipb_mm_fp8(operands.a, operands.call()[1], two, two)
    expected = 4.0 * operands.a.float() @ operands.weight.float().t()
    assert relative_error(result, expected) < 0.004


def test_what_aiter_is_called_with(simulated: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    original = simulated.hipb_mm

    def spy(*args: torch.Tensor, **names: torch.Tensor) -> torch.Tensor:
        seen.append((args, names))
        return original(*args, **names)

    monkeypatch.setattr(simulated, "hipb_mm", spy)
    a, b, a_scale, b_scale, bias = make(16, 64, 64, bias=True).call()
    assert bias is not None
    hipb_mm_fp8(a, b, a_scale, b_scale, bias)
    ((given_a, given_b), names) = seen[0]
    # N equals K here: a second transposition would not show in any shape, only in address and strides.
    assert (given_a.data_ptr(), given_a.stride()) == (a.data_ptr(), (64, 1))
    assert (given_b.data_ptr(), given_b.stride()) == (b.data_ptr(), (1, 64))
    assert names.pop("bias").data_ptr() == bias.data_ptr()
    assert names.pop("scaleA").data_ptr() == a_scale.data_ptr()
    assert names.pop("scaleB").data_ptr() == b_scale.data_ptr()
    assert names == {"solution_index": -1, "out_dtype": torch.bfloat16, "scaleOut": None, "bpreshuffle": True}


def test_an_explicit_index_reaches_aiter(simulated: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    original = simulated.hipb_mm

    def spy(*args: torch.Tensor, solution_index: int, **names: object) -> torch.Tensor:
        given.append(solution_index)
        return original(*args, solution_index=-1, **names)

    monkeypatch.setattr(simulated, "hipb_mm", spy)
    hipb_mm_fp8(*make(16, 32, 64).call(), solution_index=4711)
    assert given == [4711]


def _squared() -> Operands:
    return make(16, 64, 64)


def test_an_unshuffled_weight_gives_wrong_numbers(simulated: ModuleType) -> None:
    # Proves that the accuracy tests above can tell: the simulator computes with hipBLASLt's layout.
    operands = _squared()
    a, _, a_scale, b_scale, _ = operands.call()
    assert relative_error(hipb_mm_fp8(a, operands.weight.t(), a_scale, b_scale), operands.expected) > 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b, s, t: (a, b.contiguous(), s, t), r"strides \(1, K\)"),
        (lambda a, b, s, t: (a, b.t().contiguous().t()[:, :32], s, t), r"scales must be \(M, 1\) and \(1, N\)"),
        (lambda a, b, s, t: (a.t().contiguous().t(), b, s, t), "a must be contiguous"),
        (lambda a, b, s, t: (a[:, :32].contiguous(), b, s, t), r"a must be \[M, K\] and b \[K, N\]"),
        (lambda a, b, s, t: (a.unsqueeze(0), b, s, t), r"a must be \[M, K\] and b \[K, N\]"),
        (lambda a, b, s, t: (a, b, s, t.t()), "b_scale must be contiguous|scales must be"),
        (lambda a, b, s, t: (a, b, s.to(torch.bfloat16), t), "a_scale must be contiguous float32"),
        (lambda a, b, s, t: (a, b, s[:, 0], t), "scales must be"),
        (lambda a, b, s, t: (a, b, s, t[:, :1]), "scales must be|b_scale must be contiguous"),
    ],
)
def test_other_layouts_are_refused(
    simulated: ModuleType, change: Callable[..., tuple[torch.Tensor, ...]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        hipb_mm_fp8(*change(*_squared().call()[:4]))


def test_no_tokens_no_call(simulated: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(simulated, "hipb_mm")
    a, b, a_scale, b_scale, _ = _squared().call()
    assert hipb_mm_fp8(a[:0], b, a_scale[:0], b_scale).shape == (0, 64)


def test_one_extension_per_device(
    simulated: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[int] = []
    monkeypatch.setattr(simulated, "hipb_create_extension", lambda: made.append(1))
    device, other = torch.device("cpu", 0), torch.device("cpu", 1)
    starts = threading.Barrier(8)

    def use() -> None:
        starts.wait()
        assert ensure_extension(device) is simulated

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert not caplog.records
    ensure_extension(other)
    ensure_extension(device)
    assert len(made) == 2
    assert "one hipBLASLt handle per process" in caplog.text


def test_a_failed_start_of_the_extension_is_tried_again(simulated: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    original = simulated.hipb_create_extension

    def fail() -> None:
        raise RuntimeError("HIP error: out of memory")

    monkeypatch.setattr(simulated, "hipb_create_extension", fail)
    operands = _squared()
    with pytest.raises(RuntimeError, match="out of memory"):
        hipb_mm_fp8(*operands.call())
    monkeypatch.setattr(simulated, "hipb_create_extension", original)
    assert relative_error(hipb_mm_fp8(*operands.call()), operands.expected) < 0.004


def test_a_tuned_problem_is_found_in_the_table(simulated: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    counters = import_module("aiter_simulator.counters").COUNTERS
    monkeypatch.setenv("HIP_ONLINE_TUNING", "1")
    operands = make(16, 256, 512)
    first = hipb_mm_fp8(*operands.call())
    parsed = aiter_csv.parse(TABLE.read_bytes())
    assert [row.key for row in parsed.accepted] == [gemm.key_of(gemm.Problem(m=16, n=256, k=512))]
    assert parsed.accepted[0].algo_index > 0
    assert not parsed.rejected
    before, hits = TABLE.read_bytes(), counters.hits
    second = hipb_mm_fp8(*operands.call())
    assert counters.hits == hits + 1
    assert TABLE.read_bytes() == before
    assert torch.equal(first, second)


@pytest.mark.parametrize(("tuning", "m"), [("0", 16), ("1", 513)])
def test_no_row_without_tuning_or_above_512_tokens(
    simulated: ModuleType, monkeypatch: pytest.MonkeyPatch, tuning: str, m: int
) -> None:
    monkeypatch.setenv("HIP_ONLINE_TUNING", tuning)
    hipb_mm_fp8(*make(m, 32, 64).call())
    assert not TABLE.exists()


def test_the_oldest_aiter_that_writes_the_table_knows_no_gelu(simulated: ModuleType, tmp_path: Path) -> None:
    program = (
        "from tests.kernel.linear.operands import make\n"
        "from hipbmm_kernel.linear.op import hipb_mm_fp8\n"
        "from hipbmm_kernel.linear.quantise import relative_error\n"
        "o = make(16, 32, 64)\n"
        "import aiter, inspect\n"
        "assert 'use_gelu' not in inspect.signature(aiter.hipb_mm).parameters\n"
        "assert relative_error(hipb_mm_fp8(*o.call()), o.expected) < 0.004\n"
    )
    environ = {
        "PYTHONPATH": ":".join(sys.path),
        "HIPBMM_SIM_AITER": "0.1.10",
        "HIPBMM_SIM_SYSFS": str(tmp_path / "sys"),
        "HIPBMM_SIM_DEV": str(tmp_path / "dev"),
    }
    subprocess.run([sys.executable, "-c", program], env=environ, check=True)


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
def test_fake_result_has_the_dimensions_of_the_real_one(m: int, n: int, k: int) -> None:
    with FakeTensorMode():
        a = torch.empty(m, k, dtype=torch.float8_e4m3fnuz)
        b = torch.empty(n, k, dtype=torch.float8_e4m3fnuz).t()
        result = hipb_mm_fp8(a, b, torch.empty(m, 1), torch.empty(1, n))
    # n = B.shape[1]: with B.shape[0] a square weight alone would come out right.
    assert (tuple(result.shape), result.dtype) == ((m, n), torch.bfloat16)


def test_fake_refuses_inner_sizes_that_differ() -> None:
    with FakeTensorMode(), pytest.raises(RuntimeError):
        hipb_mm_fp8(torch.empty(4, 64), torch.empty(32, 96).t(), torch.empty(4, 1), torch.empty(1, 32))


@pytest.mark.parametrize("bias", [False, True])
def test_opcheck(simulated: ModuleType, bias: bool) -> None:
    # test_schema compares inputs by torch.allclose, which PyTorch does not have for FP8: the next test does its part.
    tests = ("test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    outcome = torch.library.opcheck(hipb_mm_fp8, make(16, 32, 64, bias=bias).call(), test_utils=tests)
    assert outcome == dict.fromkeys(tests, "SUCCESS")


def test_inputs_are_neither_changed_nor_returned(simulated: ModuleType) -> None:
    inputs = [tensor for tensor in make(16, 32, 64, bias=True).call() if tensor is not None]
    before = [tensor.clone().view(torch.uint8) for tensor in inputs]
    result = hipb_mm_fp8(*inputs)
    assert all(torch.equal(tensor.view(torch.uint8), copy) for tensor, copy in zip(inputs, before, strict=True))
    assert all(result.untyped_storage().data_ptr() != tensor.untyped_storage().data_ptr() for tensor in inputs)


def test_schema_check_with_types_that_pytorch_can_compare(
    simulated: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def multiply(a: torch.Tensor, b: torch.Tensor, *, out_dtype: torch.dtype, **_: object) -> torch.Tensor:
        return (a.float() @ b.float()).to(out_dtype)

    monkeypatch.setattr(simulated, "hipb_mm", multiply)
    arguments = (torch.randn(4, 64), torch.randn(32, 64).t(), torch.ones(4, 1), torch.ones(1, 32))
    assert torch.library.opcheck(hipb_mm_fp8, arguments)["test_schema"] == "SUCCESS"


def test_compiles_into_one_graph_for_all_token_counts(simulated: ModuleType) -> None:
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        run: Callable[..., Any] = graph.forward
        return run

    weights = make(2, 32, 64).call()

    def layer(a: torch.Tensor, a_scale: torch.Tensor) -> torch.Tensor:
        return torch.ops.hipbmm.hipb_mm_fp8(a, weights[1], a_scale, weights[3]) * 2

    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend=backend)
    for m in (2, 16, 48):
        operands = make(m, 32, 64)
        again = Operands(
            operands.a, operands.a_scale, make(2, 32, 64).weight, make(2, 32, 64).weight_scale, None, operands.expected
        )
        assert torch.equal(compiled(operands.a, operands.a_scale), hipb_mm_fp8(*again.call()) * 2)
    assert len(graphs) == 1
    assert op.NAME.replace("::", ".") in str(graphs[0].graph)
