"""Variables of the contract that a user has set."""

from __future__ import annotations

import pytest

from hipbmm_kernel.contract.settings import CONTRACT_ENV, parse_settings


@pytest.mark.parametrize("name", CONTRACT_ENV)
@pytest.mark.parametrize(
    ("value", "off"),
    [
        *((value, False) for value in ("", "1", "true", "True", "TRUE")),
        *((value, True) for value in ("0", "false", "no", "yes", "on", "2", " 1", "1\n", " ")),
    ],
)
def test_a_part_is_off_where_vllm_reads_the_value_as_false(name: str, value: str, off: bool) -> None:
    assert parse_settings({name: value}).conflicting_env == ((name,) if off else ())
