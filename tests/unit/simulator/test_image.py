"""The simulated image has real files where a stack's identity looks, and another build has other ones."""

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

from simulator import image, sysfs

PACKAGE = Path(image.__file__).parent


def test_a_rocm_directory(tmp_path: Path) -> None:
    image.write_rocm(tmp_path, image.Build())
    image.write_rocm(tmp_path, image.Build())
    assert (tmp_path / ".info/version").read_text() == "7.2.1\n"
    assert (tmp_path / "lib/libhipblaslt.so").resolve().name == "libhipblaslt.so.1.2"
    header = (tmp_path / "include/hipblaslt/hipblaslt-version.h").read_text()
    assert "#define HIPBLASLT_VERSION_MAJOR 1\n#define HIPBLASLT_VERSION_MINOR 2\n" in header


def test_another_build_is_another_database_for_each_architecture(tmp_path: Path) -> None:
    contents = set()
    for build in (image.Build(), image.Build(hipblaslt_build="2"), image.Build(hipblaslt="1.4.1")):
        image.write_rocm(tmp_path, build)
        contents |= {path.read_bytes() for path in (tmp_path / "lib/hipblaslt/library").iterdir()}
    assert len(contents) == 6


def test_a_whole_image(tmp_path: Path) -> None:
    package = tmp_path / "opt/simulator/src/simulator"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    image.write_image(tmp_path, package, image.Build(gpus=2, aiter="0.1.11", vllm="0.23.0"))
    found = {
        item.metadata["Name"]: item.version for item in importlib.metadata.distributions(path=[str(package / "python")])
    }
    assert found == {"amd-aiter": "0.1.11+simulator", "vllm": "0.23.0+simulator"}
    assert len(list((tmp_path / "opt/simulator/sys/class/kfd/kfd/topology/nodes").iterdir())) == 4
    assert "AITER_BRANCH: v0.1.11\n" in (tmp_path / "app/versions.txt").read_text()
    (pth,) = tmp_path.rglob("hipbmm-simulator.pth")
    assert pth.read_text().splitlines() == [
        "/opt/simulator/src/simulator/python",
        "/opt/simulator/src",
        "import aiter_simulator.hook",
    ]
    assert (tmp_path / "usr/local/bin/vllm").stat().st_mode & 0o111 == 0o111


def test_a_process_without_torch_pays_for_one_small_module() -> None:
    program = "import sys; print(*sorted(m for m in sys.modules if m.startswith(('aiter', 'typing', 'torch'))))"
    environment = {"PYTHONPATH": str(PACKAGE / "python")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["aiter_simulator", "aiter_simulator.hook"]


def test_visible_devices(tmp_path: Path) -> None:
    devices = sysfs.write_tree(tmp_path / "sys")
    sysfs.write_dev(tmp_path / "dev", devices[:4])
    program = "from aiter_simulator import gpu; print(*(item.minor for item in gpu.visible()))"
    base = {
        "PYTHONPATH": str(PACKAGE / "python"),
        "HIPBMM_SYSFS": str(tmp_path / "sys"),
        "HIPBMM_DEV": str(tmp_path / "dev"),
    }
    expected = {
        (): "128 136 144 152",
        (("HIP_VISIBLE_DEVICES", "2"),): "144",
        (("HIP_VISIBLE_DEVICES", "3,1"),): "152 136",
        (("HIP_VISIBLE_DEVICES", "0,9,1"),): "128",
        (("HIP_VISIBLE_DEVICES", ""),): "128 136 144 152",  # none to HIP (clr, rocdevice.cpp)
        (("ROCR_VISIBLE_DEVICES", "2,3"), ("HIP_VISIBLE_DEVICES", "1")): "152",
        (("CUDA_VISIBLE_DEVICES", "1"),): "136",
    }
    for extra, minors in expected.items():
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=base | dict(extra), capture_output=True, text=True, check=True)
        assert done.stdout.strip() == minors, extra
