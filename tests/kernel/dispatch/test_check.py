"""The child that shows whether the table in memory works may be one that nothing ends."""

import gc
import os
import warnings
from pathlib import Path

import pytest
from tests.kernel.pods import ROOT

from hipbmm_kernel.contract.settings import parse_settings
from hipbmm_kernel.dispatch import check
from hipbmm_kernel.dispatch.table import Entry, Table
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.system import process
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.stop import Stop


def test_a_child_that_cannot_be_ended_is_left_behind(
    tmp_path: Path, a_stack: Stack, freezer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os, time\n"
        f"open('{freezer}/cgroup.procs', 'w').write(str(os.getpid()))\n"
        f"open('{freezer}/freezer.state', 'w').write('FROZEN')\n"
        "time.sleep(1000)\n"
    )
    monkeypatch.setattr(check, "CHECK_SECONDS", 3.0)
    monkeypatch.setattr(process, "END_SECONDS", 0.5)
    table = Table(a_stack, (Entry(1, 256, 512, False, 7, 1),))
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{site}:{ROOT / 'kernel'}"}
    settings = parse_settings({"HIPBMM_HOME": str(tmp_path)})
    with Stop() as stop, warnings.catch_warnings(action="ignore", category=ResourceWarning):  # it is running, indeed
        found = check.check(table, env, settings, Clock(), stop)
        gc.collect()
    assert found.works is None
    assert (freezer / "cgroup.procs").read_text().split()
