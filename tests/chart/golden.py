"""Files in the repository that must equal what the project generates."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING

from tests.chart.tools import ROOT, UPDATE

if TYPE_CHECKING:
    from pathlib import Path


def assert_same(path: Path, expected: str) -> None:
    """Compare a file with its content; `HIPBMM_UPDATE_GOLDEN=1` writes it instead (read the diff before a commit)."""
    if os.environ.get(UPDATE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(expected)
        return
    found = path.read_text() if path.exists() else ""
    name = str(path.relative_to(ROOT))
    diff = "".join(difflib.unified_diff(found.splitlines(True), expected.splitlines(True), name, "generated"))
    assert not diff, f"{name} is not what is generated; {UPDATE}=1 rewrites it:\n{diff}"
