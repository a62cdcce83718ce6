"""docs/development.md names files and rooms that exist, and all rooms in the order of their floors."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "development.md").read_text()
PACKAGES = {
    "hipbmm_operator": ROOT / "operator" / "hipbmm_operator",
    "hipbmm_kernel": ROOT / "kernel" / "hipbmm_kernel",
}
PLACE = re.compile(r"`([A-Za-z0-9_.\-]+(?:/[A-Za-z0-9_.\-]*)+|[a-z_]+\.py)`")


def floors(package: str) -> list[str]:
    """The rooms of a package from the top, as import-linter is told; modules at its top are none."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract.get("containers") == [package])
    return [layer for layer in layers if (PACKAGES[package] / layer).is_dir()]


def tables() -> list[list[str]]:
    """The rooms of each table of rooms, in its order."""
    section = PAGE.partition("## Rooms\n")[2].partition("\n## ")[0]
    parts = section.split("| room | what lives there |")[1:]
    return [re.findall(r"^\| `(\w+)/` \|", part, re.MULTILINE) for part in parts]


def test_every_place_exists() -> None:
    places = PLACE.findall(PAGE)
    gone = [p for p in places if not any((base / p).exists() for base in (ROOT, *PACKAGES.values()))]
    assert gone == []
    assert len(places) > 80


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_is_listed_by_its_floor(package: str) -> None:
    rooms = sorted(path.parent.name for path in PACKAGES[package].glob("*/__init__.py"))
    assert sorted(floors(package)) == rooms
    assert floors(package) in tables()
