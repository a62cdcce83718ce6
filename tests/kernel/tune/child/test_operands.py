"""Operands that tell a right kernel from a wrong one, whatever part of it is wrong."""

import importlib.util
from types import ModuleType, SimpleNamespace

import pytest

if importlib.util.find_spec("torch") is None:
    pytest.skip("operands are tensors", allow_module_level=True)

import torch
from tests.kernel.linear.conftest import simulated

from hipbmm_kernel.linear import quantise
from hipbmm_kernel.rows.gemm import Linear
from hipbmm_kernel.tune.child.operands import Operands

__all__ = ["simulated"]

M = 2


@pytest.fixture(params=[256, 8192, 28672])
def operands(request: pytest.FixtureRequest, simulated: ModuleType) -> Operands:
    assert simulated.hipb_mm
    device = SimpleNamespace(torch_device=torch.device("cpu"), fp8=quantise.fp8_dtype("gfx942"))
    return Operands(device, Linear(64, request.param, bias=True), M)  # type: ignore[arg-type] # all that it uses


@pytest.mark.parametrize("wrong", ["none", "of the next tile", "without one column", "twice"])
def test_a_bias_that_is_wrong_is_found(operands: Operands, wrong: str) -> None:
    assert operands.bias is not None
    expected, bias = operands.expected, operands.bias.float()
    product = expected.values - bias
    without_one = bias.clone()
    without_one[bias.abs().argmax()] = 0
    kinds = {"none": bias * 0, "of the next tile": bias.roll(16), "without one column": without_one, "twice": bias * 2}
    assert expected.compare((product + bias).to(torch.bfloat16)) is None
    assert expected.compare((product + kinds[wrong]).to(torch.bfloat16)) is not None
