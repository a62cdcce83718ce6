"""A resource gives exactly these children: a change of the pod template is seen, and meant."""

from pathlib import Path

import pytest
import yaml
from tests.golden.operator.render import CASES, children


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_children_are_as_recorded(case: Path) -> None:
    recorded = (case / "children.yaml").read_text()
    assert list(yaml.safe_load_all(children(case))) == list(yaml.safe_load_all(recorded)), (
        "the children changed; if that is meant: python -m tests.golden.operator"
    )


def test_there_are_cases() -> None:
    assert {case.name for case in CASES} >= {"minimal", "everything"}
