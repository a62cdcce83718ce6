"""The tuner's verification on a real GPU: right results pass, one wrong element does not, times are measured."""

import pytest
import torch
from tests.device.conftest import StandIn

from hipbmm_kernel.tune.child.device import Device
from hipbmm_kernel.tune.child.operands import Linear, Operands
from hipbmm_kernel.tune.child.tasks import Tasks

LINEAR = Linear(5120, 8192, bias=False)
HEURISTIC = -1


def test_a_right_result_is_found_right_and_timed(aiter_stand_in: StandIn) -> None:
    tasks = Tasks(Device())
    for m in (1, 64, 512):
        command = {"do": "verify", "id": m, "m": m, "n": LINEAR.n, "k": LINEAR.k, "bias": False, "rows": 512}
        answer = tasks.run({**command, "index": HEURISTIC, "rounds": 5}, lambda _message: None)
        assert (answer["correct"], answer["defaultWrong"]) == (True, None)
        times = answer["tuned"]
        assert isinstance(times, list)
        assert len(times) == 5
        assert all(us > 0 for us in times)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e4])
def test_one_wrong_element_is_found(aiter_stand_in: StandIn, value: float) -> None:
    device = Device()
    expected = Operands(device, LINEAR, 512).expected()
    for m in (1, 64, 512):
        result = expected._values[:m].to(torch.bfloat16)
        assert expected.compare(result) is None
        result[m - 1, LINEAR.n // 3] = value
        assert str(expected.compare(result)).startswith(f"1 of {m * LINEAR.n} elements are wrong")
