"""The pure rooms import nothing that touches the world, and planning starts without what it does not need."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.kernel.configs import encoded

ROOT = Path(__file__).parents[3] / "kernel"
PACKAGE = ROOT / "hipbmm_kernel"
PURE = ("rows", "planner")
"""Rooms that decide from values alone (pyproject.toml has the same contract)."""
FORBIDDEN = {"os", "time", "random", "subprocess", "socket", "asyncio", "pathlib", "threading", "torch", "io", "sys"}
SLOW = {
    *("argparse", "asyncio", "dataclasses", "inspect", "logging", "numpy", "ssl", "statistics", "subprocess"),
    *("tempfile", "torch"),
}


def sources() -> list[Path]:
    return [path for room in PURE for path in sorted((PACKAGE / room).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.stem)
def test_no_pure_module_touches_the_world(path: Path) -> None:
    modules = imported(path)

    assert modules & FORBIDDEN == set()
    assert {name for name in modules if name not in sys.stdlib_module_names} <= {"hipbmm_kernel"}


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.stem)
def test_the_syntax_is_that_of_python_3_10(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 10))


def imported_by(program: str, *arguments: str) -> set[str]:
    """Modules that a program has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; {program}; print(*sorted(set(sys.modules)))", *arguments],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_planning_and_merging_import_nothing_slow(tmp_path: Path) -> None:
    program = (
        "import hipbmm_kernel.planner.plan as p, hipbmm_kernel.store.table;"
        "import hipbmm_kernel.rows.aiter_csv, hipbmm_kernel.identity.stack;"
        "c = open(sys.argv[1], 'rb').read(); f = p.build(c, p.Options(4)); assert len(f.problems) == 204"
    )
    config = tmp_path / "config.json"
    config.write_bytes(encoded("qwen3-32b"))

    assert imported_by(program, str(config)) & SLOW == set()


def test_warm_imports_nothing_slow_before_it_knows_what_it_has_to_do() -> None:
    assert imported_by("import hipbmm_kernel.pod.warm") & SLOW == set()


def test_the_start_of_a_server_imports_nothing_of_stores_plans_and_tuning() -> None:
    found = imported_by("import hipbmm_kernel.pod.exec")
    rooms = tuple(f"hipbmm_kernel.{room}" for room in ("image", "planner", "store", "tune"))
    assert not [name for name in found if name.startswith(rooms)]
