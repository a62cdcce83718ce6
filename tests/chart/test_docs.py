"""The pages for users: links that lead somewhere, and every reason that a condition can have."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest
from tests.chart.tools import EXAMPLES, ROOT

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in ("out", "shared") for part in page.relative_to(ROOT).parts)
)
OPERATOR = ROOT / "operator" / "hipbmm_operator"
SIDECAR = ROOT / "kernel" / "hipbmm_kernel" / "harvest" / "sidecar.py"
REASON = re.compile(r"[A-Z][a-z]+(?:[A-Z][A-Za-z0-9]*)*|[A-Z]+[A-Za-z]*[a-z][A-Za-z]*")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if path.startswith("http"):
            continue
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


def test_every_example_is_shown() -> None:
    text = (DOCS / "install.md").read_text()
    for path in EXAMPLES.glob("*.yaml"):
        assert f"](../examples/{path.name})" in text


def literals(path: Path, functions: set[str] | None = None) -> set[str]:
    """CamelCase string constants of a module: everywhere, or only as arguments of the named functions."""
    tree = ast.parse(path.read_text())
    nodes: list[ast.AST] = [tree]
    if functions is not None:
        nodes = [
            node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") in functions
        ]
    constants = (node for root in nodes for node in ast.walk(root) if isinstance(node, ast.Constant))
    return {str(node.value) for node in constants if isinstance(node.value, str) and REASON.fullmatch(node.value)}


CONDITIONS = {"Ready", "ConfigValid", "HardwareCompatible", "StorageReady", "Tuned", "Warm", "Available", "Progressing"}


def reasons_in_code() -> set[str]:
    """Reasons that the operator itself puts into conditions, from the calls that make them."""
    makers = {"true", "false", "unknown", "Failure", "Problem"}
    found: set[str] = set()
    for path in [
        *(OPERATOR / "status").glob("*.py"),
        OPERATOR / "pods" / "failures.py",
        OPERATOR / "plan" / "validation.py",
    ]:
        found |= literals(path, makers)
    found |= returned(OPERATOR / "pods" / "failures.py") | returned(OPERATOR / "status" / "storage.py")
    found |= tables(OPERATOR / "status" / "rollout.py") | tables(OPERATOR / "pods" / "failures.py")
    found |= tables(OPERATOR / "plan" / "write_failure.py") | returned(OPERATOR / "plan" / "write_failure.py")
    found |= tables(OPERATOR / "detect" / "node_fit.py")
    return found - CONDITIONS - {"Error"}  # a word of Kubernetes that is compared with, not given


def returned(path: Path) -> set[str]:
    """CamelCase constants in `return` statements."""
    tree = ast.parse(path.read_text())
    returns = [node for node in ast.walk(tree) if isinstance(node, ast.Return) and node.value is not None]
    constants = [part for node in returns for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return {str(part.value) for part in constants if isinstance(part.value, str) and REASON.fullmatch(part.value)}


def tables(path: Path) -> set[str]:
    """CamelCase constants in tuples: tables of reasons."""
    tuples = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Tuple)]
    constants = [part for node in tuples for part in node.elts if isinstance(part, ast.Constant)]
    return {str(part.value) for part in constants if isinstance(part.value, str) and REASON.fullmatch(part.value)}


def reasons_of_the_kernel() -> set[str]:
    """Reasons of `warm`'s report, from the pod contract."""
    (row,) = re.findall(r"^\| `reason` \| (.+) \|$", (DOCS / "pod-contract.md").read_text(), re.MULTILINE)
    return set(re.findall(r"`(\w+)`", row))


def documented() -> set[str]:
    """Words in the first column of the tables."""
    text = (DOCS / "troubleshooting.md").read_text().partition("## Alerts")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`(\w+)`", row)}


def test_every_reason_is_explained() -> None:
    missing = (reasons_in_code() | reasons_of_the_kernel()) - documented()
    assert not missing, f"docs/troubleshooting.md does not explain {sorted(missing)}"


def test_no_reason_is_invented() -> None:
    sources = "".join(path.read_text() for path in OPERATOR.rglob("*.py"))
    invented = {reason for reason in documented() if f'"{reason}"' not in sources} - reasons_of_the_kernel()
    assert not invented


@pytest.mark.parametrize(
    "source",
    [
        OPERATOR / "telemetry" / "metrics.py",
        OPERATOR / "telemetry" / "status_metrics.py",
        SIDECAR,
        SIDECAR.with_name("dispatch_files.py"),
    ],
    ids=lambda path: path.stem,
)
def test_metrics_are_documented(source: Path) -> None:
    text = (DOCS / "operations.md").read_text()
    names = re.findall(r'"(hipbmm_\w+)"', source.read_text())
    assert names
    for name in names:
        assert re.search(rf"\b{name}(_total)?\b", text), name
