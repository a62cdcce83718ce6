"""Programs against the stand-in of AITER, as processes of their own: it ends processes, and changes torch."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kernel.simulator.programs import PREAMBLE, Done, Run

from simulator import sysfs

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / "dev/simulator/python"


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a container with two of a node's eight MI300X."""
    root = tmp_path_factory.mktemp("node")
    devices = sysfs.write_tree(root / "sys")
    sysfs.write_dev(root / "dev", devices[:2])
    return {"HIPBMM_SYSFS": str(root / "sys"), "HIPBMM_DEV": str(root / "dev")}


@pytest.fixture(scope="session")
def environment(node: dict[str, str]) -> dict[str, str]:
    """What a process with the simulator on its path sees."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("HIPBMM_", "HIP_", "VLLM_", "PYTHON"))
    }
    return kept | node | {"PYTHONPATH": str(PYTHON), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def forkserver(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(Path(__file__).with_name("forkserver.py"))]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def run(forkserver: subprocess.Popen[str], tmp_path: Path) -> Run:
    """Run a program after the preamble; ``at`` names its directory, the rest are environment variables."""

    def run(program: str, at: str = "cwd", seconds: float = 50, create: bool = True, **env: str) -> Done:
        directory = tmp_path / at
        directory.mkdir(exist_ok=True)
        for stream in ("stdout", "stderr"):
            (directory / stream).unlink(missing_ok=True)
        env.setdefault("HIPBMM_SIM_STATE", str(tmp_path / "state"))
        text = PREAMBLE + ("aiter.hipb_create_extension()\n" if create else "") + textwrap.dedent(program)
        request = {"program": text, "directory": str(directory), "env": env, "seconds": seconds}
        assert forkserver.stdin is not None
        assert forkserver.stdout is not None
        forkserver.stdin.write(json.dumps(request) + "\n")
        forkserver.stdin.flush()
        return Done(json.loads(forkserver.stdout.readline())["code"], directory)

    return run
