"""Commands that the pages print and that need a pod, a cluster or root: their names exist at least."""

import re
from pathlib import Path

import pytest

from demo import possible
from hipbmm_kernel.__main__ import ANYWHERE, IN_A_POD

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "dev").glob("*/README.md"),
]
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
CODE = re.compile(r"^```(?:console|sh)\n(.*?)^```$|`([^`\n]+)`", re.MULTILINE | re.DOTALL)


def code(text: str) -> str:
    """All that a page shows as code."""
    return "\n".join(block or inline for block, inline in CODE.findall(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_targets_of_make_exist(page: Path) -> None:
    assert set(re.findall(r"\bmake ([a-z0-9-]+)", code(page.read_text()))) <= TARGETS


def test_the_demo_s_ways_out_exist() -> None:
    assert set(re.findall(r"\bmake ([a-z0-9-]+)", possible.NO_CLUSTER)) <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_the_kernel_program_exist(page: Path) -> None:
    named = re.findall(r"(?:-m hipbmm_kernel|/hipbmm/kernel) ([a-z]+)", code(page.read_text()))
    assert set(named) <= {*ANYWHERE, *IN_A_POD}
