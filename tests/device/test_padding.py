"""Which sizes are padded, measured on a real GPU: by the function that serves, copy included, against the other choice.

hipBLASLt is AMD's, so the GEMM is PyTorch's. Its choice without an index is made bad for some sizes: the same GEMM four
times. Padding must win there, and lose where both choices are the same kernel, for it adds two copies.
"""

import functools
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.device.conftest import StandIn, scaled_mm

from hipbmm_kernel.dispatch import bands, wrapper
from hipbmm_kernel.dispatch.bands import Timed
from hipbmm_kernel.dispatch.race import race
from hipbmm_kernel.dispatch.recorder import Recorder
from hipbmm_kernel.dispatch.table import Entry
from hipbmm_kernel.rows.gemm import Linear
from hipbmm_kernel.tune.child.device import Device
from hipbmm_kernel.tune.child.operands import Operands

N, K, INDEX = 10240, 5120, 7
PLANNED = (1, 4, 8, 16, 32, 64, 128)
BAD = range(17, 65)
"""Sizes for which the choice without an index is bad: two bands."""
WORSE = 4
LAUNCHES, TURNS = 32, 7
SCATTER = 0.03
"""Two measurements of one call differ by so much; a band this close to the tie may be chosen either way."""


@functools.wraps(scaled_mm)
def hipb_mm(mat1: torch.Tensor, mat2: torch.Tensor, solution_index: int, **others: Any) -> torch.Tensor:  # noqa: ANN401  # AITER's
    """A bad choice where it is asked to choose."""
    bad = solution_index < 0 and mat1.shape[0] in BAD
    for _ in range(WORSE - 1 if bad else 0):
        scaled_mm(mat1, mat2, solution_index, **others)
    return scaled_mm(mat1, mat2, solution_index, **others)


def exact() -> list[Entry]:
    return [Entry(m, N, K, False, INDEX, m) for m in PLANNED]


class Clock:
    """Times a call on the device, apart from the stopwatch of the program: replays of a graph of one call alone."""

    def __init__(self) -> None:
        self.device = Device()
        self.operands = Operands(self.device, Linear(N, K, bias=False), max(PLANNED))
        self.operands.rotate(LAUNCHES)

    def us(self, function: Callable[..., torch.Tensor], m: int, index: int = -1) -> float:
        """Median microseconds of one call."""
        x, scale = self.operands.tokens(m)
        rest = {"solution_index": index, "bias": None, "out_dtype": torch.bfloat16, "scaleOut": None}

        def call(copy: int) -> torch.Tensor:
            weight, its_scale = self.operands.copies[copy], self.operands.weight_scale
            return function(x, weight, scaleA=scale, scaleB=its_scale, bpreshuffle=True, **rest)

        call(0)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for copy in range(LAUNCHES):
                call(copy)
        times: list[float] = []
        for _ in range(TURNS):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            graph.replay()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) * 1000.0 / LAUNCHES)
        return statistics.median(times)


@pytest.fixture
def measured(aiter_stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Timed]]:
    monkeypatch.setattr(aiter_stand_in, "hipb_mm", hipb_mm, raising=False)
    yield list(race(exact(), float("inf"), lambda: None))
    torch.cuda.empty_cache()


def test_padding_wins_and_loses_as_it_is_measured(
    measured: list[Timed], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {timed[:4] for timed in measured} == {gap[:4] for gap in bands.samples(exact())}
    chosen = bands.choose(measured)
    pays = {band.top: band.pays for band in chosen}
    assert {top for top, wins in pays.items() if wins} >= {32, 64}, "the bad choice loses"
    assert not all(pays.values()), "where both are one kernel, two copies are too many"
    served = {entry.m: entry.padded_m for entry in bands.with_padding(exact(), chosen)}
    assert set(served) == {*PLANNED, *(gap.m for gap in bands.gaps(exact()) if pays[bands.top_of(gap.m)])}
    assert (served[17], served[33], served[63]) == (32, 64, 64)

    clock = Clock()
    dtypes = (clock.device.fp8, torch.bfloat16)
    gaps = {gap.m: gap for gap in bands.gaps(exact())}
    lines = []
    ratios: dict[int, list[float]] = defaultdict(list)
    for timed in measured:
        serving = wrapper.make(hipb_mm, [gaps[timed.m]], 0, dtypes, Recorder(str(tmp_path), 0))
        padded, default = clock.us(serving, timed.m), clock.us(hipb_mm, timed.m)
        bare = clock.us(hipb_mm, gaps[timed.m].padded_m, INDEX)
        lines.append(f"M {timed.m}: padded {timed.padded_us:.1f} us ({padded:.1f}), else {timed.default_us:.1f}")
        assert timed.padded_us == pytest.approx(padded, rel=0.2)
        assert timed.default_us == pytest.approx(default, rel=0.2)
        assert padded > bare + 0.5, "the copies are in it"
        ratios[bands.top_of(timed.m)].append(padded / default / bands.TIE)
    for top, ratio in ratios.items():
        clear = max(ratio) < 1 - SCATTER or min(ratio) > 1 + SCATTER
        assert not clear or pays[top] is (max(ratio) < 1), f"band {top}: {ratio}"
    with capsys.disabled():
        print("\n" + "\n".join(lines))  # noqa: T201 - figures for the reader
