"""Rows that real vLLM asks AITER for, as a batch passes through its own layers, are the rows that are planned."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.ptpc import PTPC
from tests.unit.kernel.configs import QUARK

from compat import environment
from compat.worker import Worker
from hipbmm_kernel.planner import plan
from hipbmm_kernel.planner.plan import Options
from hipbmm_kernel.planner.server_flags import ServerFlags
from hipbmm_kernel.rows import gemm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)

TOKENS = [1, 3, 512]
EXPORT = {"kv_cache_group": [], "pack_method": "order"}
ONLINE = ("--quantization", "fp8_per_channel")
TINY: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "num_hidden_layers": 2,
    "vocab_size": 512,
    "torch_dtype": "bfloat16",
    "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
}
MODELS: dict[str, tuple[str, str, dict[str, Any] | None, tuple[str, ...]]] = {
    "qwen3": ("Qwen3ForCausalLM", "qwen3", PTPC, ()),
    "qwen2": ("Qwen2ForCausalLM", "qwen2", PTPC, ()),
    "llama": ("LlamaForCausalLM", "llama", PTPC, ()),
    "mistral": ("MistralForCausalLM", "mistral", PTPC, ()),
    "quark": ("Qwen3ForCausalLM", "qwen3", {**QUARK, "export": EXPORT}, ()),
    "ignored": ("Qwen3ForCausalLM", "qwen3", {**PTPC, "ignore": ["lm_head", "re:.*down_proj"]}, ()),
    "plain": ("Qwen3ForCausalLM", "qwen3", None, ONLINE),
}


@pytest.fixture(scope="module")
def on_cpu() -> Iterator[Worker]:
    worker = Worker(environment.NEWEST, cpu_tensors=True)
    yield worker
    worker.close()


@pytest.mark.parametrize("name", MODELS)
def test_rows_asked_for_are_rows_planned(name: str, on_cpu: Worker, tmp_path: Path) -> None:
    architecture, kind, quantisation, arguments = MODELS[name]
    config = {**TINY, "architectures": [architecture], "model_type": kind}
    if quantisation is not None:
        config["quantization_config"] = quantisation
    (tmp_path / "config.json").write_text(json.dumps(config))
    lines = on_cpu.run("rows", TOKENS, str(tmp_path), *arguments)
    assert lines[0] == gemm.HEADER
    asked = [",".join(line.split(",")[: gemm.KEY_COLUMNS]) for line in lines[1:]]
    flags = ServerFlags.from_argv(arguments)
    made = plan.build(json.dumps(config).encode(), Options(flags=flags, tokens=tuple(TOKENS)))
    assert made.problems
    assert sorted(asked) == sorted(gemm.key_of(problem) for problem in made.problems)
