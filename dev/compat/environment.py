"""The versions of vLLM beside the compat environment: `python -m compat.environment` unpacks what is missing.

Each version's Python is unpacked from its wheel (checked by hash, without dependencies and without the compiled
operators, which need a GPU's driver to load) into `<environment>/vllm/<version>`, with a stand-in for `vllm._C`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from simulator import sysfs

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements" / "compat-vllm.txt"
STUBS = Path(__file__).resolve().parent / "stubs"
SIMULATOR = ROOT / "dev" / "simulator" / "python"
HOME = Path(sys.prefix)
NEWEST = "0.33.0"
WITHOUT_KERNEL = "0.22.0"
"""The last one before the HIPBMM kernel, to which the plugin gives the bundled one."""
CONTRACT = ("VLLM_ROCM_USE_AITER", "VLLM_ROCM_USE_AITER_LINEAR", "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM")
GPUS = 8
_KEPT = (".py", ".json", "METADATA", "RECORD", "entry_points.txt", "top_level.txt")


def versions() -> list[str]:
    """The versions in the lock file, oldest first."""
    return [line.split()[0].partition("==")[2] for line in _locked()]


def package(version: str) -> Path:
    """What must be on sys.path for `import vllm` to give that version."""
    return HOME / "vllm" / version


def environment(version: str, *, cpu_tensors: bool = False) -> dict[str, str]:
    """The variables of a process in which this version runs on eight simulated MI300X.

    The stand-in of ROCm's AITER is the simulator's. With `cpu_tensors` tensors of device "cuda" live on the CPU, which
    a forward pass needs; without, asking for one is an error.
    """
    own = [STUBS / "cpu"] if cpu_tensors else [STUBS / "meta"]
    path = [*own, HOME / "simulated", STUBS, package(version), ROOT / "kernel", ROOT / "dev", ROOT]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {
        **kept,
        **dict.fromkeys(CONTRACT, "1"),
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "HIPBMM_SYSFS": str(HOME / "node" / "sys"),
        "HIPBMM_DEV": str(HOME / "node" / "dev"),
        "HIP_ONLINE_TUNING": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CACHE_ROOT": str(HOME / "cache" / version),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "0",
    }


def prepare() -> None:
    """Unpack what is missing, and lay out the simulated node. Raises CalledProcessError when a wheel cannot be had."""
    for line in _locked():
        version = line.split()[0].partition("==")[2]
        if not (package(version) / ".complete").exists():
            _unpack(line, package(version))
        shutil.copy(STUBS / "vllm_extra" / "_C.py", package(version) / "vllm" / "_C.py")
    _node(HOME / "node")
    simulated = HOME / "simulated"
    shutil.rmtree(simulated, ignore_errors=True)
    simulated.mkdir()
    for part in ("aiter", "aiter_simulator", *(path.name for path in SIMULATOR.glob("amd_aiter-*.dist-info"))):
        (simulated / part).symlink_to(SIMULATOR / part)


def _locked() -> list[str]:
    return [line for line in LOCK.read_text().splitlines() if line.startswith("vllm==")]


def _unpack(requirement: str, target: Path) -> None:
    sys.stdout.write(f"vLLM {target.name}: its Python, from the wheel\n")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=HOME) as folder:
        wanted = Path(folder) / "requirement.txt"
        wanted.write_text(f"{requirement}\n")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--require-hashes", "-r", str(wanted), "-d", folder], check=True)
        (wheel,) = Path(folder).glob("vllm-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target, [name for name in archive.namelist() if name.endswith(_KEPT)])
    (target / ".complete").touch()


def _node(folder: Path) -> None:
    """The sysfs and /dev of a node with eight MI300X."""
    if not folder.exists():
        sysfs.write_dev(folder / "dev", sysfs.write_tree(folder / "sys", count=GPUS))


if __name__ == "__main__":
    prepare()
