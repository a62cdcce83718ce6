"""The demo says before it installs anything that it cannot run."""

import subprocess
import sys
from pathlib import Path

import pytest

from demo import possible

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("environment", "user", "runs"),
    [({}, 0, True), ({}, 1000, False), ({"KUBECONFIG": "/k"}, 1000, True), ({"KUBECONFIG": ""}, 1000, False)],
)
def test_root_or_a_cluster_is_needed(environment: dict[str, str], user: int, runs: bool) -> None:
    assert (possible.obstacle(environment, user) is None) is runs


def test_it_needs_nothing_but_python_and_names_the_ways_out() -> None:
    program = (
        "import os; os.geteuid = lambda: 1000; import runpy; runpy.run_module('demo.possible', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'dev')!r}); {program}"],
        env={},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    for way in ("sudo make demo", "KUBECONFIG=", "make unit"):
        assert way in done.stderr
