"""The kernel's own words, in its own order."""

from __future__ import annotations

import pytest

from hipbmm_kernel.linear import eligibility

GATE = "requires N >= 16 and both N and K divisible by 16, received N={} and K={}."


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((10240, 5120, "bfloat16", True, True), None),
        ((16, 16, "bfloat16", True, True), None),
        ((None, 5120, "bfloat16", True, True), "weight_shape is required for Aiter kernels"),
        ((5120, None, "float16", False, True), "weight_shape is required for Aiter kernels"),
        ((8, 5120, "float16", False, True), "requires bfloat16 output dtype."),
        (
            (8, 5120, "bfloat16", False, True),
            "requires per token activation scales and per channel weight scales.",
        ),
        (
            (8, 5120, "bfloat16", True, False),
            "requires per token activation scales and per channel weight scales.",
        ),
        ((8, 5120, "bfloat16", True, True), GATE.format(8, 5120)),
        ((0, 5120, "bfloat16", True, True), GATE.format(0, 5120)),
        ((24, 5120, "bfloat16", True, True), GATE.format(24, 5120)),
        ((32, 5128, "bfloat16", True, True), GATE.format(32, 5128)),
    ],
)
def test_can_implement(arguments: tuple[int | None, int | None, str, bool, bool], reason: str | None) -> None:
    assert eligibility.can_implement(*arguments) == reason


def test_what_passes_the_gate_and_dies_at_load() -> None:
    assert eligibility.shuffle_reason(8192, 3696) == (
        "shuffle_weight requires N divisible by 16 and K divisible by 32, received N=8192 and K=3696."
    )
    assert eligibility.shuffle_reason(8192, 3712) is None
