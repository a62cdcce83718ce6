"""Quantities as exact numbers, whoever wrote them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipbmm_operator.kube import quantity


@given(st.integers(0, 10**6), st.sampled_from(["", "k", "M", "G", "T", "m", "u", "Ki", "Mi", "Gi"]))
def test_equal_quantities_in_other_words(number: int, suffix: str) -> None:
    assert quantity.equal(f"{number}{suffix}", f"{number}.0{suffix}")
    assert quantity.equal(f"{number * 1024}Ki", f"{number}Mi")
    assert not quantity.equal(f"{number + 1}{suffix}", f"{number}{suffix}")


@pytest.mark.parametrize("text", ["", "1Xi", "1.2.3", "Gi", "1 Gi", "٣", "1e999", "1" * 30, "1\n" * 40])
def test_nonsense_is_no_quantity(text: str) -> None:
    assert quantity.value(text) is None


def test_a_number_of_the_api_is_a_quantity() -> None:
    assert quantity.value(8) == quantity.value("8") == quantity.value("8000m")
    assert quantity.equal(8, "8")
