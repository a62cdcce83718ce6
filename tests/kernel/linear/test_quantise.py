"""FP8 quantisation and the fp32 reference."""

import pytest
import torch

from hipbmm_kernel.linear import quantise

pytestmark = pytest.mark.torch
TYPES = [torch.float8_e4m3fnuz, torch.float8_e4m3fn]


def normal(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("arch", "dtype"),
    [
        ("gfx942", torch.float8_e4m3fnuz),
        ("gfx942:sramecc+:xnack-", torch.float8_e4m3fnuz),
        ("gfx940", torch.float8_e4m3fnuz),
        ("gfx950", torch.float8_e4m3fn),
        ("gfx1201", torch.float8_e4m3fn),
        (None, torch.float8_e4m3fn),
    ],
)
def test_fp8_type_of_an_architecture(arch: str | None, dtype: torch.dtype) -> None:
    assert quantise.fp8_dtype(arch) is dtype


@pytest.mark.parametrize("dtype", TYPES)
def test_each_row_has_its_own_scale_and_uses_the_whole_range(dtype: torch.dtype) -> None:
    x = normal(5, 64) * torch.tensor([[1e-6], [1e-2], [1.0], [1e3], [1e20]])
    values, scale = quantise.per_token(x, dtype)
    assert values.dtype is dtype
    assert values.is_contiguous()
    assert scale.shape == (5, 1)
    assert scale.dtype is torch.float32
    limit = quantise.fp8_limit(dtype)
    torch.testing.assert_close(values[1:].float().abs().amax(dim=1), torch.full((4,), limit))
    difference = (values.float() * scale - x)[1:].norm(dim=1) / x[1:].norm(dim=1)
    assert difference.max() < 0.04


@pytest.mark.parametrize("dtype", TYPES)
def test_no_finite_value_becomes_nan(dtype: torch.dtype) -> None:
    extremes = torch.tensor([[0.0, 0.0], [3.4e38, -3.4e38], [1e-38, -1e-45], [1.0, -0.0]])
    values, scale = quantise.per_row(extremes, dtype)
    assert not values.float().isnan().any()
    assert (scale > 0).all()
    assert (values[0].float() == 0).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_bad_numbers_spoil_their_row_only(bad: float) -> None:
    x = torch.tensor([[bad, 1.0], [2.0, 1.0]])
    values, scale = quantise.per_row(x, torch.float8_e4m3fn)
    back = values.float() * scale
    assert back[0].isnan().any()
    torch.testing.assert_close(back[1], x[1], rtol=0.07, atol=0)


def test_every_bit_pattern_of_a_checkpoint_keeps_its_number() -> None:
    bits = torch.arange(256, dtype=torch.int16).to(torch.uint8).view(torch.float8_e4m3fn).reshape(16, 16)
    scale = torch.full((16, 1), 0.5)
    values, doubled = quantise.to_fnuz(bits, scale)
    before, after = bits.float() * scale, values.float() * doubled
    numbers = ~before.isnan()
    assert int(numbers.sum()) == 254
    assert torch.equal(before[numbers], after[numbers])


def test_only_ocp_values_are_converted() -> None:
    with pytest.raises(ValueError, match="only float8_e4m3fn can be converted"):
        quantise.to_fnuz(torch.zeros(1, 1, dtype=torch.float8_e4m3fnuz), torch.ones(1, 1))


def test_reference_is_the_product_of_the_dequantised_operands() -> None:
    a = torch.tensor([[1.0, 2.0], [0.5, -1.0]]).to(torch.float8_e4m3fn)
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]).to(torch.float8_e4m3fn)
    result = quantise.reference(
        a, torch.tensor([[2.0], [4.0]]), weight, torch.tensor([[1.0], [10.0], [0.5]]), torch.tensor([0.0, 1.0, 0.0])
    )
    assert torch.equal(result, torch.tensor([[2.0, 41.0, 6.0], [2.0, -39.0, -2.0]]))


def test_relative_error_tells_wrong_from_rounded() -> None:
    expected = normal(8, 8)
    assert quantise.relative_error(expected.to(torch.bfloat16), expected) < 0.005
    assert quantise.relative_error(expected.t().contiguous(), expected) > 1
    assert quantise.relative_error(expected * float("nan"), expected) != 0
    assert not quantise.relative_error(expected * float("nan"), expected) <= 1
