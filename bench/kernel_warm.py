"""`warm` on a complete store of 204 rows, as a process: wall time, the same with `import torch` in ratio, memory.

Both processes alternate in one run, so that a busy machine slows both; the ratio is of medians.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.ptpc import PTPC

from hipbmm_kernel.identity import stack
from hipbmm_kernel.planner import cost, plan
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Row
from hipbmm_kernel.store import shard
from simulator import sysfs

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 15
PYTHON = os.environ.get("HIPBMM_TORCH_PYTHON", sys.executable)
"""One interpreter for both, the one that has torch."""
DATABASE_BYTES = 8 << 20
WARM = "from hipbmm_kernel.__main__ import main; code = main(['warm']); assert code == 0"
# Not getrusage: its maximum counts the memory of the process that forked this one.
MEMORY = "; print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
IDENTITY = (
    "import os; from hipbmm_kernel.identity.container import read_identity; e = os.environ; "
    "print(read_identity(e['HIPBMM_SYSFS'], e['HIPBMM_DEV'], e, True).stack.canonical().decode())"
)
CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 5120,
    "intermediate_size": 25600,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "num_hidden_layers": 64,
    "vocab_size": 151936,
    "torch_dtype": "bfloat16",
    "quantization_config": PTPC,
}


def measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        env = pod(Path(directory))
        walls: dict[str, list[float]] = {"warm": [], "torch": []}
        peak = 0
        for number in range(ROUNDS):
            seconds, kilobytes = _timed(WARM + MEMORY, env)
            walls["warm"].append(seconds)
            peak = max(peak, kilobytes)
            if number % 3 == 0:
                walls["torch"].append(_timed("import torch; " + WARM + MEMORY, env)[0])
        report = json.loads((Path(directory) / "hipbmm/report.json").read_text())
        if (report["state"], report["rows"], report["children"]) != ("Complete", 204, 0):
            raise RuntimeError(f"not the path that is measured: {report}")
    return {
        "warm_restored_seconds": min(walls["warm"]),
        "warm_restored_torch_ratio": statistics.median(walls["torch"]) / statistics.median(walls["warm"]),
        "warm_restored_peak_mib": peak / 1024,
    }


def _timed(program: str, env: dict[str, str]) -> tuple[float, int]:
    began = time.perf_counter()
    done = subprocess.run([PYTHON, "-c", program], env=env, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, int(done.stdout)


def pod(root: Path) -> dict[str, str]:
    """A pod on a simulated MI300X whose store has every row of Qwen3-32B at TP 1."""
    sysfs.write_dev(root / "dev", sysfs.write_tree(root / "sys", count=8)[:1])
    rocm = root / "rocm"
    for name, data in {
        "lib/libhipblaslt.so.1": b"\x7fELF",
        "lib/hipblaslt/library/TensileLibrary_lazy_gfx942.dat": os.urandom(DATABASE_BYTES),
        ".info/version": b"7.2.1-81",
    }.items():
        (rocm / name).parent.mkdir(parents=True, exist_ok=True)
        (rocm / name).write_bytes(data)
    (root / "config.json").write_text(json.dumps(CONFIG))
    (root / "hipbmm").mkdir()
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(root),
        "PYTHONPATH": f"{ROOT / 'dev/simulator/python'}:{ROOT / 'kernel'}",
        "PYTHONPYCACHEPREFIX": str(root / "pycache"),
        "ROCM_PATH": str(rocm),
        "HIPBMM_SYSFS": str(root / "sys"),
        "HIPBMM_DEV": str(root / "dev"),
        "HIPBMM_HOME": str(root / "hipbmm"),
        "HIPBMM_STORE": str(root / "store"),
        "HIPBMM_MODEL_CONFIG": str(root / "config.json"),
        "HIPBMM_TERMINATION_LOG": str(root / "termination-log"),
    }
    known = subprocess.run([sys.executable, "-c", IDENTITY], env=env, capture_output=True, check=True)
    _fill(root / "store", stack.parse(known.stdout))
    return env


def _fill(store: Path, known: stack.Stack) -> None:
    made = plan.build(json.dumps(CONFIG).encode(), plan.Options())
    rows = [
        Row(gemm.key_of(problem), 1000 + at, f"Cijk_{at}_{'x' * 560}", us := cost.launch_us(problem), us, verified=True)
        for at, problem in enumerate(made.problems)
    ]
    place = store / "v1" / known.key / "shards"
    place.mkdir(parents=True)
    for first in range(0, len(rows), 16):  # as the tuner publishes them
        data = shard.encode(shard.Shard(known.key, "tuner.warm", first, rows=tuple(rows[first : first + 16])))
        (place / shard.name_of(data)).write_bytes(data)
