"""What a call runs and computes when the table is in memory."""

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tests.kernel.linear.operands import Operands, make

from hipbmm_kernel.dispatch import wrapper
from hipbmm_kernel.dispatch.demand_lines import Demand
from hipbmm_kernel.dispatch.recorder import Recorder
from hipbmm_kernel.dispatch.table import Entry
from hipbmm_kernel.linear.op import hipb_mm_fp8
from hipbmm_kernel.linear.quantise import FNUZ, relative_error

N, K = 256, 512
CSV = Path("hip_online_tuning_res.csv")
CPU = -1
"""What get_device says of the simulated GPU's tensors."""


class Served:
    """`aiter.hipb_mm` with a table, the indices that AITER was called with, and the counters."""

    def __init__(self, simulated: ModuleType, folder: Path, entries: list[Entry], device: int = CPU) -> None:
        self.calls: list[tuple[int, int]] = []
        self.recorder = Recorder(str(folder), 0)
        original = simulated.hipb_mm

        def watched(mat1: torch.Tensor, mat2: torch.Tensor, solution_index: int, **rest: object) -> torch.Tensor:
            self.calls.append((mat1.shape[0], solution_index))
            result: torch.Tensor = original(mat1, mat2, solution_index, **rest)
            return result

        self.function = wrapper.make(watched, entries, device, (FNUZ, torch.bfloat16), self.recorder)
        simulated.hipb_create_extension()

    def __call__(self, operands: Operands, **changed: object) -> torch.Tensor:
        a, b, a_scale, b_scale, bias = operands.call()
        keywords = {"bias": bias, "out_dtype": torch.bfloat16, "scaleA": a_scale, "scaleB": b_scale}
        keywords |= {"solution_index": -1, "scaleOut": None, "bpreshuffle": True} | changed
        return self.function(a, b, **keywords)


def right_indices(simulated: ModuleType, operands: Operands) -> list[int]:
    """Indices that compute this problem rightly; the heuristic's own choice is not among the last ones."""
    gpu, library = import_module("aiter_simulator.gpu"), import_module("aiter_simulator.library")
    describe = import_module("aiter_simulator.operands").describe

    a, b, a_scale, b_scale, bias = operands.call()
    problem = describe(a, b, bias, torch.bfloat16, (a_scale, b_scale), preshuffle=True)
    return [solution.index for solution in library.load(gpu.visible()[0]).candidates(problem, 32)]


@pytest.fixture
def serve(simulated: ModuleType, tmp_path: Path) -> Callable[..., Served]:
    def make_served(*entries: Entry, device: int = CPU) -> Served:
        return Served(simulated, tmp_path, list(entries), device)

    return make_served


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("m", [1, 2, 16, 512])
def test_a_known_problem_runs_its_index(
    simulated: ModuleType, serve: Callable[..., Served], m: int, bias: bool
) -> None:
    operands = make(m, N, K, bias=bias)
    index = right_indices(simulated, operands)[-1]
    served = serve(Entry(m, N, K, bias, index, m))
    assert relative_error(served(operands), operands.expected) < 0.004
    assert served.calls == [(m, index)]
    assert served.recorder.totals() == (1, 0, 0)


def test_another_problem_is_left_to_the_heuristic_and_asked_for(
    simulated: ModuleType, serve: Callable[..., Served]
) -> None:
    served = serve(Entry(16, N, K, False, right_indices(simulated, make(16, N, K))[0], 16))
    for operands in (make(15, N, K), make(16, N, K, bias=True), make(16, 512, 256), make(600, N, K)):
        assert relative_error(served(operands), operands.expected) < 0.004
    assert [index for _, index in served.calls] == [-1] * 4
    assert served.recorder.totals() == (0, 0, 4)
    assert served.recorder.demand() == [
        Demand(15, N, K, False, 1), Demand(16, N, K, True, 1), Demand(16, 512, 256, False, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("m", [1, 3, 15])
def test_a_padded_problem_computes_the_same_rows(simulated: ModuleType, serve: Callable[..., Served], m: int) -> None:
    operands = make(m, N, K, bias=True)
    index = right_indices(simulated, make(16, N, K, bias=True))[-1]
    served = serve(Entry(m, N, K, True, index, 16))
    result = served(operands)
    assert relative_error(result, operands.expected) < 0.004
    assert (tuple(result.shape), result.stride(), result.is_contiguous()) == ((m, N), (N, 1), True)
    assert served.calls == [(16, index)]
    assert served.recorder.totals() == (0, 1, 0)


@pytest.mark.parametrize("form", ["flat scales", "rows of a wider tensor", "every other row"])
def test_operands_of_another_form_are_padded_right(
    simulated: ModuleType, serve: Callable[..., Served], form: str
) -> None:
    operands = make(3, N, K)
    a, b, a_scale, b_scale, _ = operands.call()
    if form == "flat scales":
        a_scale = a_scale.reshape(-1)
    elif form == "rows of a wider tensor":
        wide = a.new_empty((3, 2 * K))
        wide[:, :K] = a
        a = wide[:, :K]
    else:
        long, scales = a.new_empty((6, K)), a_scale.new_empty((6, 1))
        long[::2], scales[::2] = a, a_scale
        a, a_scale = long[::2], scales[::2]
    served = serve(Entry(3, N, K, False, right_indices(simulated, make(16, N, K))[-1], 16))
    keywords = {"bias": None, "out_dtype": torch.bfloat16, "scaleA": a_scale, "scaleB": b_scale}
    result = served.function(a, b, -1, **keywords, bpreshuffle=True)
    assert relative_error(result, operands.expected) < 0.004
    assert served.recorder.totals() == (0, 1, 0)


def test_padding_with_rubbish_changes_no_row(
    simulated: ModuleType, serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve(Entry(3, N, K, False, right_indices(simulated, make(16, N, K))[-1], 16))
    clean = served(make(3, N, K)).clone()
    plain = torch.Tensor.new_empty

    def rubbish(tensor: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
        made = plain(tensor, size)
        made.view(torch.uint8).fill_(0x80)  # NaN in e4m3fnuz, and in float32 a number of no sense
        return made

    monkeypatch.setattr(torch.Tensor, "new_empty", rubbish)
    assert torch.equal(served(make(3, N, K)), clean)


@pytest.mark.parametrize(
    "changed",
    [
        {"solution_index": 2003},
        {"bpreshuffle": False},
        {"scaleOut": torch.ones(1)},
        {"use_gelu": True},
        {"scaleA": None, "scaleB": None},
        {"out_dtype": torch.float32},
        {"scaleA": torch.ones(1), "scaleB": torch.ones(1)},
    ],
    ids=",".join,
)
def test_calls_of_another_kind_reach_aiter_as_they_are(
    simulated: ModuleType, tmp_path: Path, changed: dict[str, Any]
) -> None:
    seen: list[dict[str, Any]] = []

    def inner(mat1: object, mat2: object, solution_index: int, **rest: object) -> None:
        seen.append({"solution_index": solution_index, **rest})

    operands = make(16, N, K)
    entry = Entry(16, N, K, False, 2003, 16)
    a, b, a_scale, b_scale, _ = operands.call()
    asked = {"solution_index": -1, "bias": None, "out_dtype": torch.bfloat16, "scaleA": a_scale, "scaleB": b_scale}
    asked |= {"scaleOut": None, "bpreshuffle": True} | changed
    recorder = Recorder(str(tmp_path), 0)
    wrapper.make(inner, [entry], CPU, (FNUZ, torch.bfloat16), recorder)(a, b, **asked)
    (call,) = seen
    assert {name: value for name, value in call.items() if name != "scaleOut" or value is not None} == {
        name: value for name, value in asked.items() if name != "scaleOut" or value is not None
    }
    assert recorder.totals()[:2] == (0, 0)
    assert recorder.demand() == []


def test_a_second_device_gets_no_index(simulated: ModuleType, serve: Callable[..., Served]) -> None:
    served = serve(Entry(16, N, K, False, 2003, 16), device=1)
    operands = make(16, N, K)
    assert relative_error(served(operands), operands.expected) < 0.004
    assert served.calls == [(16, -1)]


def test_nothing_is_read_tuned_or_written(simulated: ModuleType, serve: Callable[..., Served]) -> None:
    served = serve(Entry(2, N, K, False, right_indices(simulated, make(2, N, K))[-1], 2))
    for m in (1, 2, 3, 512, 600):
        served(make(m, N, K))
    assert not CSV.exists()


def test_torch_compile_sees_the_op_and_not_the_table(
    simulated: ModuleType, serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = right_indices(simulated, make(16, N, K))[-1]
    served = serve(Entry(16, N, K, False, index, 16))
    monkeypatch.setattr(simulated, "hipb_mm", served.function)
    weights = make(2, N, K).call()

    def layer(a: torch.Tensor, a_scale: torch.Tensor) -> torch.Tensor:
        return hipb_mm_fp8(a, weights[1], a_scale, weights[3]) * 2

    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="eager")
    for m in (16, 48):
        operands = make(m, N, K)
        assert torch.equal(compiled(operands.a, operands.a_scale), layer(operands.a, operands.a_scale))
    assert served.calls == [(16, index), (16, index), (48, -1), (48, -1)]


def test_the_parameters_are_those_of_aiter(simulated: ModuleType) -> None:
    assert wrapper.fits(simulated.hipb_mm)
    assert tuple(inspect.signature(simulated.hipb_mm).parameters)[: len(wrapper.PARAMETERS)] == wrapper.PARAMETERS
    for other in (torch.mm, make, print, 7):
        assert not wrapper.fits(other)  # type: ignore[arg-type]


REST = "bias=None, out_dtype=None, scaleA=None, scaleB=None, scaleOut=None, bpreshuffle=None"


@pytest.mark.parametrize(
    ("parameters", "fits"),
    [
        (f"mat1, mat2, solution_index, {REST}", True),
        (f"mat1, mat2, solution_index, {REST}, use_gelu=False", True),
        (f"mat1, mat2, solution_index, {REST}, *, stream=None, **more", True),
        (f"mat1, mat2, solution_index=-1, {REST}", True),
        (f"mat1, mat2, solution_index=0, {REST}", False),
        (f"mat1, mat2, solution_index, {REST.replace('bpreshuffle=None', 'bpreshuffle=True')}", False),
        (f"mat1, mat2, solution_index, {REST}, *, out", False),
        (f"mat1, mat2, solution_index, /, {REST}", True),
        (f"mat1, mat2, solution_index, *, {REST}", False),
        ("mat1, mat2, solution_index, bias, out_dtype, scaleA, scaleB, scaleOut, bpreshuffle, /", False),
        (f"mat1, mat2, {REST}, solution_index=-1", False),
        ("*arguments, **keywords", False),
    ],
)
def test_only_a_function_that_takes_what_the_wrapper_gives_is_wrapped(parameters: str, *, fits: bool) -> None:
    """And where it is wrapped, no call of any spelling reaches it otherwise than without the wrapper."""
    seen: list[Any] = []
    scope: dict[str, Any] = {"seen": seen}
    exec(f"def hipb_mm({parameters}):\n    seen.append(locals())", scope)  # noqa: S102 - a signature of each kind
    function = scope["hipb_mm"]
    assert wrapper.fits(function) is fits
    if not fits:
        return
    a = torch.zeros(16, K)
    wrapped = wrapper.make(function, [], CPU, (FNUZ, torch.bfloat16), Recorder("", 0))
    scales = {"scaleA": torch.ones(16, 1), "scaleB": torch.ones(1, N)}
    spelled: list[tuple[tuple[object, ...], dict[str, object]]] = [
        ((a, a, 7), {}),
        ((a, a, -1), {**scales, "bpreshuffle": True}),
        ((a, a, -1, None, torch.bfloat16, *scales.values(), None, True), {}),
    ]
    for arguments, keywords in spelled:
        function(*arguments, **keywords)
        wrapped(*arguments, **keywords)
        plain, ours = seen[-2:]
        assert plain.keys() == ours.keys()
        assert all(plain[name] is ours[name] or plain[name] == ours[name] for name in plain)
