"""A simulated pod: a node's sysfs and ROCm, a home, a store, and commands of the program run as processes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.mi300x import STACK
from tests.ptpc import PTPC

from hipbmm_kernel.contract import settings
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem, Row
from hipbmm_kernel.store import shard
from simulator import sysfs

ROOT = Path(__file__).resolve().parents[2]
SIMULATOR = ROOT / "dev/simulator/python"
HEADER = "".join(
    f"#define HIPBLASLT_VERSION_{name} {value}\n" for name, value in (("MAJOR", 1), ("MINOR", 2), ("PATCH", 2))
)
SMALL_MODEL = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "num_hidden_layers": 2,
    "vocab_size": 1000,
    "torch_dtype": "bfloat16",
    "quantization_config": PTPC,
}


WITHOUT_OVERRIDE = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
if os.geteuid() == 0:
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        if ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_CAPBSET_DROP)")
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Becomes another program, for which root's right to pass over permissions is gone."""


class Pod:
    """One pod on a simulated node; `env` is what its containers see."""

    def __init__(self, root: Path, node: Path, store: Path, gpus: int) -> None:
        self.root = root
        self.home = root / "hipbmm"
        self.store = store
        self.home.mkdir(parents=True)
        store.mkdir(exist_ok=True)
        (root / "config.json").write_text(json.dumps(SMALL_MODEL))
        dev = root / "dev"
        sysfs.write_dev(dev, sysfs.write_tree(root / "throwaway", count=8)[:gpus])
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "PYTHONPATH": f"{SIMULATOR}:{ROOT / 'kernel'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "ROCM_PATH": str(node / "rocm"),
            "HIPBMM_SIM_ROCM": str(node / "rocm"),
            "HIPBMM_SIM_STATE": str(root / "state"),
            "HIPBMM_SYSFS": str(node / "sys"),
            "HIPBMM_DEV": str(dev),
            "HIPBMM_HOME": str(self.home),
            "HIPBMM_STORE": str(store),
            "HIPBMM_MODEL_CONFIG": str(root / "config.json"),
            "HIPBMM_TERMINATION_LOG": str(root / "termination-log"),
            "HIPBMM_POD_UID": root.name,
            "HIPBMM_TOKENS": "[1, 2, 16]",
            "OMP_NUM_THREADS": "1",
        }

    @property
    def served_file(self) -> Path:
        return self.home / "work" / settings.SERVED_NAME

    @property
    def report(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.home / "report.json").read_text())
        return document

    @property
    def message(self) -> dict[str, Any]:
        text = (self.root / "termination-log").read_bytes()
        assert len(text) <= 4096
        document: dict[str, Any] = json.loads(text)
        return document

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "hipbmm_kernel", *arguments]

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self._done(self.command(*arguments), env)

    def run_bound_by_permissions(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """The same, with root held to the permissions of files, too."""
        return self._done([sys.executable, "-c", WITHOUT_OVERRIDE, *self.command(*arguments)], env)

    def _done(self, command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env={**self.env, **env},
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            env={**self.env, **env},
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def settings(self, **env: str) -> settings.Settings:
        return settings.parse_settings({**self.env, **env})

    def stack(self) -> Stack:
        """The stack as a process of this pod reads it."""
        program = "import json, os; from hipbmm_kernel.identity import container; "
        program += (
            "i = container.read_identity(os.environ['HIPBMM_SYSFS'], os.environ['HIPBMM_DEV'], os.environ, True); "
        )
        program += "print(i.stack.canonical().decode())"
        done = subprocess.run(
            [sys.executable, "-c", program], env=self.env, cwd=self.root, capture_output=True, text=True, check=True
        )
        from hipbmm_kernel.identity import stack as stacks  # noqa: PLC0415 - the fixture's only use

        return stacks.parse(done.stdout.encode())


PodMaker = Callable[..., Pod]


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node with 8 MI300X and ROCm 7.2.1."""
    root = tmp_path / "node"
    sysfs.write_tree(root / "sys", count=8)
    write_rocm(root / "rocm")
    return root


def write_rocm(root: Path, database: bytes = b"solutions of one build " * 1000, version: str = "7.2.1-81") -> None:
    files = {
        "lib/libhipblaslt.so.1": b"\x7fELF",
        "lib/hipblaslt/library/TensileLibrary_lazy_gfx942.dat": database,
        "include/hipblaslt/hipblaslt-version.h": HEADER.encode(),
        ".info/version": version.encode(),
    }
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture
def make_pod(tmp_path: Path, node: Path) -> PodMaker:
    """Pods of one node that share a store: `make_pod("a", gpus=2)`."""

    def make(name: str = "pod-a", gpus: int = 1) -> Pod:
        return Pod(tmp_path / name, node, tmp_path / "store", gpus)

    return make


@pytest.fixture
def pod(make_pod: PodMaker) -> Pod:
    return make_pod()


@pytest.fixture
def a_stack() -> Stack:
    return STACK


def row(m: int = 1, n: int = 256, k: int = 512, index: int = 77, **more: Any) -> Row:  # noqa: ANN401 - fields of a Row
    return Row(gemm.key_of(Problem(m, n, k)), index, "Cijk_Alik_Bljk", **more)


def rows(count: int, first: int = 1) -> tuple[Row, ...]:
    return tuple(row(m=1 + at % 512, n=16 * (1 + at // 512), index=first + at) for at in range(count))


def fill(store: Path, stack: Stack, problems: list[Problem], **more: Any) -> None:  # noqa: ANN401 - fields of a Shard
    """Put a whole table into a store, as one shard."""
    made = [
        Row(gemm.key_of(problem), 100 + at, "Cijk", 9.0, 10.0, verified=True) for at, problem in enumerate(problems)
    ]
    data = shard.encode(shard.Shard(stack.key, "someone.warm", 1, rows=tuple(made), **more))
    place = store / "v1" / stack.key / "shards"
    place.mkdir(parents=True, exist_ok=True)
    (place / shard.name_of(data)).write_bytes(data)
