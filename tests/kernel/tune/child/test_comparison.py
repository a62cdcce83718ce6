"""Is a result right: every element counts, rounding to bf16 does not."""

import importlib.util

import pytest

if importlib.util.find_spec("torch") is None:
    pytest.skip("results are tensors", allow_module_level=True)

import torch

from hipbmm_kernel.tune.child import comparison
from hipbmm_kernel.tune.child.comparison import Reference


@pytest.fixture
def expected() -> torch.Tensor:
    return torch.randn(32, 96, generator=torch.Generator().manual_seed(1)) * 7


def test_rounding_is_no_error(expected: torch.Tensor) -> None:
    assert Reference(expected).compare(expected.to(torch.bfloat16)) is None
    assert Reference(expected).compare(expected.clone()) is None


def test_the_reference_is_not_changed(expected: torch.Tensor) -> None:
    before = expected.clone()
    Reference(expected).compare(expected)
    Reference(expected).compare(expected.to(torch.bfloat16))
    assert torch.equal(expected, before)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 30.0])
@pytest.mark.parametrize("place", [(0, 0), (31, 95), (7, 40)])
def test_one_wrong_element_anywhere_is_found(expected: torch.Tensor, value: float, place: tuple[int, int]) -> None:
    result = expected.to(torch.bfloat16)
    result[place] = value
    assert str(Reference(expected).compare(result)).startswith("1 of 3072 elements are wrong")


def test_fewer_tokens_are_compared_with_the_first_rows(expected: torch.Tensor) -> None:
    reference = Reference(expected)
    for m in (1, 7, 31):
        assert reference.compare(expected[:m].to(torch.bfloat16)) is None
        assert reference.compare(expected[1 : m + 1].to(torch.bfloat16)) is not None


def test_a_comparison_in_parts_misses_no_row(monkeypatch: pytest.MonkeyPatch, expected: torch.Tensor) -> None:
    monkeypatch.setattr(comparison, "PART_ELEMENTS", 5 * 96)
    reference = Reference(expected)
    assert reference.compare(expected.to(torch.bfloat16)) is None
    for row in range(32):
        result = expected.to(torch.bfloat16)
        result[row, row] = 30
        assert str(reference.compare(result)).startswith("1 of 3072 elements are wrong"), row


def test_another_kernels_output_is_wrong(expected: torch.Tensor) -> None:
    assert Reference(expected).compare(expected.roll(16, 1)) is not None
    assert Reference(expected).compare(torch.zeros_like(expected)) is not None
    assert Reference(expected).compare(expected[:, :48]) == "shape [32, 48] instead of [32, 96]"
