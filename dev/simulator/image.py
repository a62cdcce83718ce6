"""Writes what makes a Python image with torch a simulated vLLM ROCm image.

`python3 -m simulator.image` (see Dockerfile).
"""

import argparse
import hashlib
import os
import shutil
import site
import sys
from dataclasses import dataclass
from pathlib import Path

from simulator.sysfs import write_tree

_DATABASE_BYTES = 1 << 16
_ARCHITECTURES = ("gfx942", "gfx950")


@dataclass(frozen=True, slots=True)
class Build:
    """What an image is made of. ``hipblaslt_build`` changes the solution database, and with it every solution index."""

    product: str = "MI300X"
    gpus: int = 8
    partition: str = "SPX"
    rocm: str = "7.2.1"
    hipblaslt: str = "1.2.2"
    hipblaslt_build: str = "1"
    aiter: str = "0.1.20"
    vllm: str = "0.33.0"


def write_rocm(root: Path, build: Build) -> None:
    """A ROCm directory (/opt/rocm) as far as a stack's identity reads it.

    Versions, the library file, the solution database.
    """
    major, minor, patch = build.hipblaslt.split(".")
    _text(root / ".info/version", f"{build.rocm}\n")
    names = ("MAJOR", major), ("MINOR", minor), ("PATCH", patch), ("TWEAK", f"sim{build.hipblaslt_build}")
    header = "".join(f"#define HIPBLASLT_VERSION_{name} {value}\n" for name, value in names)
    _text(root / "include/hipblaslt/hipblaslt-version.h", header)
    library = root / f"lib/libhipblaslt.so.{major}.{minor}"
    _text(
        library,
        f"This file stands for hipBLASLt {build.hipblaslt} build {build.hipblaslt_build}; nothing can load it.\n",
    )
    for link in (f"libhipblaslt.so.{major}", "libhipblaslt.so"):
        (root / "lib" / link).unlink(missing_ok=True)
        (root / "lib" / link).symlink_to(library.name)
    for arch in _ARCHITECTURES:
        database = root / f"lib/hipblaslt/library/TensileLibrary_lazy_{arch}.dat"
        database.parent.mkdir(parents=True, exist_ok=True)
        seed = f"{arch} {build.hipblaslt} {build.hipblaslt_build}".encode()
        database.write_bytes(hashlib.shake_256(seed).digest(_DATABASE_BYTES))


def write_versions(app: Path, build: Build) -> None:
    """/app/versions.txt in the form of vLLM's ROCm base image."""
    lines = {
        "BASE_IMAGE": f"hipbmm-simulator:{build.rocm}",
        "PYTORCH_BRANCH": "simulator",
        "AITER_BRANCH": f"v{build.aiter}",
        "VLLM_BRANCH": f"v{build.vllm}",
    }
    _text(app / "versions.txt", "".join(f"{key}: {value}\n" for key, value in lines.items()))


def write_metadata(python: Path, name: str, version: str) -> None:
    """Give one stand-in distribution another version.

    Its dist-info directory and METADATA are what importlib.metadata reads.
    """
    (present,) = python.glob(f"{name}-*.dist-info")
    target = python / f"{name}-{version}+simulator.dist-info"
    if present != target:
        present.rename(target)
    metadata = target / "METADATA"
    lines = metadata.read_text(encoding="utf-8").splitlines()
    changed = [f"Version: {version}+simulator" if line.startswith("Version:") else line for line in lines]
    _text(metadata, "\n".join(changed) + "\n")


def write_site(packages: Path, scripts: Path, paths: list[Path]) -> None:
    """The .pth file that makes the stand-ins importable and hooks `import torch`, and the console script `vllm`."""
    lines = [*map(str, paths), "import aiter_simulator.hook"]
    _text(packages / "hipbmm-simulator.pth", "".join(f"{line}\n" for line in lines))
    script = scripts / "vllm"
    _text(script, f"#!{sys.executable}\nfrom vllm.entrypoints.cli.main import main\n\nmain()\n")
    script.chmod(0o755)


def write_image(root: Path, package: Path, build: Build) -> None:
    """Everything, for a simulator package that was copied to ``package`` below ``root``."""
    sys_tree = root / "opt/simulator/sys"
    if sys_tree.exists():
        shutil.rmtree(sys_tree)
    write_tree(sys_tree, build.product, build.gpus, build.partition)
    write_rocm(root / "opt/rocm", build)
    write_versions(root / "app", build)
    python = package / "python"
    write_metadata(python, "amd_aiter", build.aiter)
    write_metadata(python, "vllm", build.vllm)
    inside = [Path("/") / path.relative_to(root) for path in (python, package.parent)]
    packages = Path(site.getsitepackages()[0]).relative_to("/")
    write_site(root / packages, root / "usr/local/bin", inside)


def main() -> None:
    """Write the image this program runs in."""
    parser = argparse.ArgumentParser(prog="simulator.image", description=__doc__)
    for name, default in {field: getattr(Build(), field) for field in Build.__dataclass_fields__}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    build = Build(**vars(parser.parse_args()))
    write_image(Path("/"), Path(__file__).resolve().parent, build)
    os.sync()


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
