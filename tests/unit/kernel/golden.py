"""The golden plans: which models, parallelism and flags, and how they are rendered."""

from __future__ import annotations

from pathlib import Path

from tests.ptpc import PTPC
from tests.unit.kernel.configs import BLOCK, MODELS, MXFP4, QUARK, Config, encoded

from hipbmm_kernel.planner import plan, plan_text, vllm_version
from hipbmm_kernel.planner.plan import Options
from hipbmm_kernel.planner.server_flags import ServerFlags

FOLDER = Path(__file__).parents[2] / "golden" / "plan"
ONLINE = ServerFlags(quantization="fp8_per_channel")

CASES: dict[str, tuple[str, Config | None, Options]] = {
    **{f"{model}.tp1": (model, PTPC, Options()) for model in MODELS},
    "qwen3-32b.tp4": ("qwen3-32b", PTPC, Options(4)),
    "qwen3-32b.tp8.seqs64": ("qwen3-32b", PTPC, Options(8, flags=ServerFlags(max_num_seqs=64))),
    "qwen3-32b.tp16": ("qwen3-32b", PTPC, Options(16)),
    "qwen3-32b.plain": ("qwen3-32b", None, Options()),
    "qwen3-32b.quark.0.23": ("qwen3-32b", QUARK, Options(vllm=vllm_version.Version(0, 23))),
    "llama-3.1-70b.tp8": ("llama-3.1-70b", PTPC, Options(8)),
    "llama-3.1-70b.tp8.eager": ("llama-3.1-70b", PTPC, Options(8, flags=ServerFlags(graph_mode="NONE"))),
    "qwen2.5-72b.tp8": ("qwen2.5-72b", PTPC, Options(8)),
    "deepseek-v2-lite.tp4": ("deepseek-v2-lite", PTPC, Options(4)),
    "deepseek-v3.tp8": ("deepseek-v3", PTPC, Options(8)),
    "deepseek-v3.tp8.block": ("deepseek-v3", BLOCK, Options(8)),
    "deepseek-v3.2.tp8": ("deepseek-v3.2", PTPC, Options(8)),
    "kimi-k2.tp16": ("kimi-k2", PTPC, Options(16)),
    "gpt-oss-120b.tp8.mxfp4": ("gpt-oss-120b", MXFP4, Options(8)),
    "gemma-3-27b.tp8.online": ("gemma-3-27b", None, Options(8, flags=ONLINE)),
    "qwen3-next-80b.tp8": ("qwen3-next-80b", PTPC, Options(8)),
    "llama-4-maverick.tp8": ("llama-4-maverick", PTPC, Options(8)),
}


def rendered(name: str) -> str:
    """The text of one plan."""
    model, quantisation, options = CASES[name]
    found = plan.build(encoded(model, quantisation), options)
    tokens = " ".join(str(size) for size in found.tokens.planned[:60])
    return f"{plan_text.text(found)}tokens: {tokens}\n"


if __name__ == "__main__":
    for each in CASES:
        (FOLDER / f"{each}.txt").write_text(rendered(each))
