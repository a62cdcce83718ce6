"""Is a result right: every element counts, rounding to bf16 does not."""

import importlib.util

import pytest

if importlib.util.find_spec("torch") is None:
    pytest.skip("results are tensors", allow_module_level=True)

import torch

from hipbmm_kernel.tune.comparison import compare


@pytest.fixture
def expected() -> torch.Tensor:
    return torch.randn(32, 96, generator=torch.Generator().manual_seed(1)) * 7


def test_rounding_is_no_error(expected: torch.Tensor) -> None:
    assert compare(expected.to(torch.bfloat16), expected) is None
    assert compare(expected.clone(), expected) is None


def test_the_reference_is_not_changed(expected: torch.Tensor) -> None:
    before = expected.clone()
    compare(expected, expected)
    compare(expected.to(torch.bfloat16), expected)
    assert torch.equal(expected, before)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 30.0])
@pytest.mark.parametrize("place", [(0, 0), (31, 95), (7, 40)])
def test_one_wrong_element_anywhere_is_found(expected: torch.Tensor, value: float, place: tuple[int, int]) -> None:
    result = expected.to(torch.bfloat16)
    result[place] = value
    assert str(compare(result, expected)).startswith("1 of 3072 elements are wrong")


def test_another_kernels_output_is_wrong(expected: torch.Tensor) -> None:
    assert compare(expected.roll(16, 1), expected) is not None
    assert compare(torch.zeros_like(expected), expected) is not None
    assert compare(expected[:, :48], expected) == "shape [32, 48] instead of [32, 96]"
