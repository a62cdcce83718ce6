"""The table in memory on a real GPU: numbers, capture and replay of graphs through the wrapped call, cost of a call."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.device.conftest import scaled_mm

from hipbmm_kernel.dispatch import wrapper
from hipbmm_kernel.dispatch.recorder import Recorder
from hipbmm_kernel.dispatch.table import Entry

N, K = 10240, 5120
FP8 = torch.float8_e4m3fn
CALLS = 2000


def operands(m: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator("cuda").manual_seed(m)
    a = torch.randn(m, K, device="cuda", generator=generator).to(FP8)
    b = torch.randn(N, K, device="cuda", generator=generator).to(FP8).t()
    a_scale = torch.rand(m, 1, device="cuda", generator=generator) + 0.5
    return a, b, a_scale, torch.rand(1, N, device="cuda", generator=generator) + 0.5


def expected(a: torch.Tensor, b: torch.Tensor, a_scale: torch.Tensor, b_scale: torch.Tensor) -> torch.Tensor:
    return (a.float() * a_scale) @ (b.float() * b_scale)


def call(function: Callable[..., torch.Tensor], parts: tuple[torch.Tensor, ...], index: int = -1) -> torch.Tensor:
    a, b, a_scale, b_scale = parts
    return function(
        a, b, solution_index=index, bias=None, out_dtype=torch.bfloat16, scaleA=a_scale, scaleB=b_scale, scaleOut=None,
        bpreshuffle=True,
    )  # fmt: skip


@pytest.fixture
def served(device: torch.device, tmp_path: Path) -> tuple[Callable[..., torch.Tensor], Recorder]:
    """16 and 64 tokens have an index, 5 are padded to 16."""
    entries = [Entry(16, N, K, False, 7, 16), Entry(64, N, K, False, 7, 64), Entry(5, N, K, False, 7, 16)]
    recorder = Recorder(str(tmp_path), 0)
    return wrapper.make(scaled_mm, entries, device.index, (FP8, torch.bfloat16), recorder), recorder


@pytest.mark.parametrize("m", [5, 16, 64, 33, 600])
def test_eager_calls_compute_what_fp32_does(served: tuple[Callable[..., torch.Tensor], Recorder], m: int) -> None:
    parts = operands(m)
    result, wanted = call(served[0], parts), expected(*parts)
    assert (result.float() - wanted).norm() / wanted.norm() < 0.004
    assert sum(served[1].totals()) == 1


@pytest.mark.parametrize("m", [5, 16, 33])
def test_a_captured_call_is_replayed_with_new_operands(
    served: tuple[Callable[..., torch.Tensor], Recorder], m: int
) -> None:
    function, recorder = served
    parts = operands(m)
    call(function, parts)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = call(function, parts)
    for turn in range(3):
        parts[0].copy_(torch.randn(m, K, device="cuda").to(FP8))
        parts[2].fill_(turn + 0.5)
        graph.replay()
        wanted = expected(*parts)
        assert (captured.float() - wanted).norm() / wanted.norm() < 0.004
    assert sum(recorder.totals()) == 2  # the eager call and the capture; a replay runs no Python


def test_the_cost_of_a_call(
    device: torch.device,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Host time of a call over a bare one with an index, at 204 and 20,000 entries (interleaved, medians)."""

    def nothing(*_arguments: object, **_keywords: object) -> None:
        """No GEMM: a launch would hide the difference."""

    parts = operands(16)
    figures = {}
    for count in (204, 20_000):
        entries = [Entry(1 + i % 512, N + 16 * (i // 512), K, False, 7, 1 + i % 512) for i in range(count)]
        function = wrapper.make(
            nothing,
            entries,
            device.index,
            (FP8, torch.bfloat16),
            Recorder(str(tmp_path), 0),
        )
        differences = []
        for _ in range(9):
            began = time.perf_counter()
            for _ in range(CALLS):
                call(function, parts)
            middle = time.perf_counter()
            for _ in range(CALLS):
                call(nothing, parts, 7)
            differences.append((2 * middle - began - time.perf_counter()) / CALLS * 1e6)
        figures[count] = statistics.median(differences)
    with capsys.disabled():
        line = ", ".join(f"{count} entries {value:.2f} us" for count, value in figures.items())
        print(f"\ndispatch, host time over a bare call: {line}")  # noqa: T201 - a figure for the reader
