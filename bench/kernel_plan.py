"""Planning: processor time of a new interpreter that plans a model, against one that does nothing."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

KERNEL = Path(__file__).parents[1] / "kernel"
ROUNDS = 7
CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 5120,
    "intermediate_size": 25600,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "num_hidden_layers": 64,
    "head_dim": 128,
    "quantization_config": {
        "quant_method": "compressed-tensors",
        "ignore": ["lm_head"],
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
                "input_activations": {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True},
            }
        },
    },
}
PROGRAM = """
import sys
from hipbmm_kernel.planner import plan
with open(sys.argv[1], "rb") as file:
    found = plan.build(file.read(), plan.Options())
sys.exit(len(found.problems) != 204)
"""


def processor_ms(*argv: str) -> float:
    """Median processor time of a child."""
    times = []
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-S", *argv], check=True, env={"PYTHONPATH": str(KERNEL)})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(times) * 1e3


def measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(CONFIG))
        empty = processor_ms("-c", "pass")
        return {"plan_processor_ms": processor_ms("-c", PROGRAM, str(config)) - empty}
