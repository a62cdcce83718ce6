"""No reason is forgotten: each of the registry is given, explained in docs/troubleshooting.md, and in a test."""

import ast
import re
from pathlib import Path
from typing import get_args

from tests.unit.test_pod_contract import documented_values

from hipbmm_operator.api import reasons

ROOT = Path(__file__).resolve().parents[4]
OPERATOR = ROOT / "operator" / "hipbmm_operator"
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
REASONS = reasons.ALL | documented_values("reason")
"""The operator's own, and those that the contract gives to `warm`."""
WORD = re.compile(r"^[A-Z][a-z]+[A-Za-z0-9]*$")
TESTED = "".join(
    path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py")) if path.name != Path(__file__).name
)


def words(path: Path) -> set[str]:
    """Every constant text of a module."""
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_each_reason_is_given_somewhere() -> None:
    registry = OPERATOR / "api" / "reasons.py"
    given = set().union(*(words(path) for path in OPERATOR.rglob("*.py") if path != registry))
    from_kubernetes = {*get_args(reasons.Event), *get_args(reasons.Kubelet)} | {
        "CreateContainerConfigError",
        "CreateContainerError",
    }
    assert sorted(reasons.ALL - given - from_kubernetes) == []


def test_each_reason_is_explained() -> None:
    assert sorted(reason for reason in REASONS if f"`{reason}`" not in PAGE) == []


def test_each_reason_is_in_a_test() -> None:
    assert sorted(reason for reason in REASONS if f'"{reason}"' not in TESTED) == []


def test_no_reason_is_explained_that_is_never_given() -> None:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    explained = {word for row in rows for word in re.findall(r"`([A-Za-z0-9]+)`", row) if WORD.match(word)}
    assert sorted(explained - REASONS) == []
