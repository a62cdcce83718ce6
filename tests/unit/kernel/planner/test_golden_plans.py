"""Whole plans of well-known models, as people see them. `python -m tests.unit.kernel.golden` writes them anew."""

from __future__ import annotations

import pytest
from tests.unit.kernel.golden import CASES, FOLDER, rendered


@pytest.mark.parametrize("name", CASES)
def test_plan_is_unchanged(name: str) -> None:
    assert rendered(name) == (FOLDER / f"{name}.txt").read_text()


def test_no_plan_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(CASES)
