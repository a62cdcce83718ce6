"""A simulated MI300X for tests in this process: AITER's stand-in on CPU tensors, in an own directory.

What needs torch is collected only where torch is installed (the environment of requirements/torch.txt).
"""

import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from hipbmm_kernel.linear.gate import FLAGS, Platform
from simulator import sysfs

OrderFault = Callable[[str], None]
TORCH_FREE = {"test_gate.py"}
_REMEMBERING = (
    "hipbmm_kernel.linear.op",
    "hipbmm_kernel.linear.probe",
    "aiter_simulator.faults",
    "aiter_simulator.gpu",
    "aiter_simulator.library",
)
SIMULATOR = Path(__file__).resolve().parents[3] / "dev/simulator/python"

if importlib.util.find_spec("torch") is None:
    collect_ignore = [path.name for path in Path(__file__).parent.glob("test_*.py") if path.name not in TORCH_FREE]


@pytest.fixture
def mi300x() -> Platform:
    return Platform(rocm=True, arch="gfx942:sramecc+:xnack-")


@pytest.fixture
def flags_on() -> dict[str, str]:
    return dict.fromkeys(FLAGS, "1")


def _forget() -> None:
    """Drop what the simulator and the linear library remember of a machine."""
    modules = {name: import_module(name) for name in _REMEMBERING}
    modules["hipbmm_kernel.linear.op"]._extensions.clear()
    modules["hipbmm_kernel.linear.probe"].probe.cache_clear()
    modules["aiter_simulator.faults"]._rules.cache_clear()
    modules["aiter_simulator.gpu"].visible.cache_clear()
    modules["aiter_simulator.library"].load.cache_clear()


@pytest.fixture
def simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """AITER's stand-in on one simulated MI300X. The working directory is empty, online tuning off."""
    devices = sysfs.write_tree(tmp_path / "sys", product="MI300X", count=1)
    sysfs.write_dev(tmp_path / "dev", devices)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("HIPBMM_SIM_SYSFS", str(tmp_path / "sys"))
    monkeypatch.setenv("HIPBMM_SIM_DEV", str(tmp_path / "dev"))
    monkeypatch.setenv("HIPBMM_SIM_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("HIP_ONLINE_TUNING", raising=False)
    monkeypatch.chdir(work)
    monkeypatch.setattr(sys, "path", [str(SIMULATOR), *sys.path])
    _forget()
    yield import_module("aiter")
    _forget()


@pytest.fixture
def order_fault(simulated: ModuleType, monkeypatch: pytest.MonkeyPatch) -> OrderFault:
    """Switch faults of the simulator on (its own syntax)."""

    def order(rules: str) -> None:
        monkeypatch.setenv("HIPBMM_SIM_FAULTS", rules)
        _forget()

    return order


@pytest.fixture(autouse=True)
def quiet_logging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="hipbmm_kernel")
