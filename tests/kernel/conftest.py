"""The simulated pod (see pods.py), and a zygote for children that import torch."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.kernel.nodes import write_node
from tests.kernel.pods import a_stack, make_pod, node, pod
from tests.properties import fix_examples

__all__ = ["a_stack", "make_pod", "node", "pod", "write_node"]

fix_examples()

HERE = Path(__file__).parent / "zygote"
SIMULATOR = Path(__file__).resolve().parents[2] / "dev/simulator/python"


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Variables that let a pod's children come from a process that has torch loaded; PYTHONPATH goes before its own."""
    root = tmp_path_factory.mktemp("zygote")
    child = root / "child"
    child.write_text(f"#!{sys.executable} -SE\n{(HERE / 'client.py').read_text()}")
    child.chmod(0o755)
    address = root / "socket"
    env = {"PATH": os.environ["PATH"], "HOME": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "server.py"), str(address)]
    with subprocess.Popen(
        command, env=env, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield {
            "ZYGOTE_CHILD": str(child),
            "ZYGOTE_ADDRESS": str(address),
            "ZYGOTE_PID": str(server.pid),
            "PYTHONPATH": str(HERE / "site"),
        }
        assert server.stdin is not None
        server.stdin.close()


@pytest.fixture
def freezer() -> Iterator[Path]:
    """A group of processes in which nothing ends, as one that waits in the kernel for a hung GPU."""
    group = Path(f"/sys/fs/cgroup/freezer/hipbmm-{os.getpid()}")
    try:
        group.mkdir()
    except OSError:
        pytest.skip("only the freezer of cgroups v1 holds a process that is killed")
    yield group
    (group / "freezer.state").write_text("THAWED")
    while (group / "cgroup.procs").read_text():
        time.sleep(0.01)
    group.rmdir()
