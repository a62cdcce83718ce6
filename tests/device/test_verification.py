"""The tuner's verification on a real GPU: right results pass, one wrong element does not, times are measured."""

import functools
import statistics
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.device.conftest import StandIn

from hipbmm_kernel.rows.gemm import Linear, Problem, key_of
from hipbmm_kernel.tune import protocol
from hipbmm_kernel.tune.child.device import Device
from hipbmm_kernel.tune.child.operands import Operands
from hipbmm_kernel.tune.child.stopwatch import Stopwatch
from hipbmm_kernel.tune.child.tasks import Tasks

LINEAR = Linear(5120, 8192, bias=False)
INDEX = 7
ROUNDS = 5


def _command(kind: str, m: int) -> dict[str, object]:
    shape: dict[str, object] = {"m": m, "n": LINEAR.n, "k": LINEAR.k, "bias": False, "rows": 1024}
    key = key_of(Problem(m, LINEAR.n, LINEAR.k))
    return {"do": kind, **shape, "key": key, "index": INDEX, "rounds": ROUNDS, "default": True}


def test_a_right_result_is_found_right_and_timed(
    aiter_stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tasks = Tasks(Device())
    for m in (1, 64, 512):
        reported: list[dict[str, object]] = []
        for turned in (False, True):
            probe = {**_command(protocol.PROBE, m), "turned": turned}
            assert tasks.run(probe, reported.append) == {"reason": None}
        answer = tasks.run(_command(protocol.VERIFY, m), reported.append)
        assert (answer["correct"], answer["defaultWrong"]) == (True, None)
        assert [each["event"] for each in reported] == [protocol.RIGHT]
        medians = []
        for side in ("tuned", "default"):
            times = answer[side]
            assert isinstance(times, list)
            assert len(times) == ROUNDS
            assert all(us > 0 for us in times)
            medians.append(statistics.median(times))
        # Both are the same kernel here, so they must take the same time.
        assert medians[0] == pytest.approx(medians[1], rel=0.1)


def test_a_replay_does_not_time_the_host(aiter_stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    device, watch = Device(), Stopwatch()
    operands = Operands(device, LINEAR, 1024)
    operands.rotate(8)

    def launch(copy: int) -> None:
        operands.launch(1, copy=copy)

    replayed = statistics.median(watch.race([launch], 8, ROUNDS)[0])
    torch.cuda.synchronize()
    began = time.perf_counter()
    for number in range(200):
        launch(number % 8)
    host = (time.perf_counter() - began) / 200 * 1e6
    torch.cuda.synchronize()
    with capsys.disabled():
        sys.stdout.write(f"M=1 N={LINEAR.n} K={LINEAR.k}: {replayed:.1f} us by replay, {host:.1f} us of the host\n")
    weight_us = LINEAR.n * LINEAR.k / 20e12 * 1e6  # no device reads HBM at 20 TB/s
    assert weight_us < replayed < 1000


def test_what_shares_a_graph_takes_the_time_that_it_takes_alone(aiter_stand_in: StandIn) -> None:
    device, watch = Device(), Stopwatch()
    operands = Operands(device, LINEAR, 1024)
    operands.rotate(8)
    launches = [functools.partial(operands.launch, m, -1) for m in (1, 1024)]
    together = [statistics.median(times) for times in watch.race(launches, 8, ROUNDS)]
    alone = [statistics.median(watch.race([launch], 8, ROUNDS)[0]) for launch in launches]
    assert together == [pytest.approx(us, rel=0.1) for us in alone]
    assert together[1] > 1.5 * together[0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e4])
def test_one_wrong_element_is_found(aiter_stand_in: StandIn, value: float) -> None:
    device = Device()
    expected = Operands(device, LINEAR, 512).expected
    for m in (1, 64, 512):
        result = expected.values[:m].to(torch.bfloat16)
        assert expected.compare(result) is None
        result[m - 1, LINEAR.n // 3] = value
        assert str(expected.compare(result)).startswith(f"1 of {m * LINEAR.n} elements are wrong")
