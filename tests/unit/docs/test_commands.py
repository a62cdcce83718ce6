"""Commands that the pages print and that need a pod, a cluster or root: their names exist at least."""

import re
from pathlib import Path

import pytest
import yaml

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


EXEC = re.compile(r" exec .*?-c ([a-z]+) -- .*?/hipbmm/kernel ([a-z]+)")
POD = ROOT / "tests" / "golden" / "operator" / "minimal" / "children.yaml"


def test_what_writes_to_the_store_runs_where_it_may_write() -> None:
    """The server mounts the store read-only."""
    (template,) = (
        body["data"]["template"]["spec"]
        for body in yaml.safe_load_all(POD.read_text())
        if body["kind"] == "ControllerRevision"
    )
    writable = {
        container["name"]: not mount.get("readOnly", False)
        for container in (*template["initContainers"], *template["containers"])
        for mount in container["volumeMounts"]
        if mount["mountPath"] == "/hipbmm/store"
    }
    found = [pair for page in PAGES for pair in EXEC.findall(code(page.read_text()))]
    assert {command for _, command in found} >= {"import", "compact", "export", "merge"}
    assert [pair for pair in found if pair[1] in ("import", "compact") and not writable[pair[0]]] == []
