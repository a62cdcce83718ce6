"""A resource gives exactly these children: a change of the pod template is seen, and meant."""

from pathlib import Path

import pytest
import yaml
from tests.golden.operator.render import AFFINITY, CASES, affinity, children

MEANT = "the children changed; if that is meant: python -m tests.golden.operator"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_children_are_as_recorded(case: Path) -> None:
    recorded = (case / "children.yaml").read_text()
    assert list(yaml.safe_load_all(children(case))) == list(yaml.safe_load_all(recorded)), MEANT


def test_the_node_affinity_is_as_recorded() -> None:
    assert yaml.safe_load(affinity()) == yaml.safe_load(AFFINITY.read_text()), MEANT


def test_the_cases_can_be_read_by_a_person() -> None:
    assert {case.name for case in CASES} >= {"minimal", "everything", "update", "mirror", "partition", "suspended"}
    for case in CASES:
        assert len(children(case).splitlines()) < 900
