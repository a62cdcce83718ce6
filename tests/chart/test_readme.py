"""The chart's README: its table of values is the schema's, and its commands set values that exist."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.chart.golden import assert_same
from tests.chart.test_values_schema import SCHEMA, VALUES, leaves
from tests.chart.tools import CHART, ROOT

if TYPE_CHECKING:
    from pathlib import Path

README = CHART / "README.md"
START, END = "<!-- values: generated from values.schema.json and values.yaml -->\n", "<!-- end of values -->\n"
KEEPS = "--reset-then-reuse-values"
"""An upgrade with it names what changes only."""


def table() -> str:
    """One row per value that a user sets."""
    rows = ["| value | default | meaning |", "|---|---|---|"]
    for path, part, default in leaves(SCHEMA, VALUES):
        if "description" not in part or ("properties" in part and path != "resources"):
            continue
        rows.append(f"| `{path}` | `{json.dumps(default)}` | {part.get('description', '')} |")
    return "\n".join(rows) + "\n"


def set_flags(text: str) -> list[str]:
    return re.findall(r"--set(?:-string|-json)? '?([A-Za-z.]+)", text)


def known(path: str) -> bool:
    node: Any = SCHEMA
    for part in path.split("."):
        node = node.get("properties", {}).get(part)
        if node is None:
            return False
    return True


def test_table_of_values_is_the_schema_s() -> None:
    text = README.read_text()
    head, _, rest = text.partition(START)
    _, _, tail = rest.partition(END)
    assert_same(README, head + START + table() + END + tail)


def test_commands_of_all_pages_set_values_that_exist() -> None:
    for page in (README, ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for path in set_flags(page.read_text()):
            assert known(path), f"{page.name}: --set {path}"


def installed_with(page: Path) -> set[str]:
    """What the page's commands for installing the chart set; an upgrade keeps what the release has."""
    text = page.read_text().replace("\\\n", " ")
    lines = re.findall(r"helm (?:upgrade --install|install) hipbmm-operator .*", text)
    installing = (line for line in lines if "--set" in line and KEEPS not in line)
    return {" ".join(sorted(re.findall(r"image\.\w+=\S+", line))) for line in installing}


def test_all_pages_install_the_same_image() -> None:
    pages = (README, ROOT / "README.md", ROOT / "docs" / "install.md")
    found = {page.name: installed_with(page) for page in pages}
    assert set().union(*found.values()) == {"image.registry=registry.example image.tag=0.1.0"}, found
    assert all(found.values()), found
