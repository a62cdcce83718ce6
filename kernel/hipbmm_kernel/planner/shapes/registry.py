"""Which family plans which architecture. Adding one is a row here and, for a new family, a small file beside it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hipbmm_kernel.planner.model_config import Fields
    from hipbmm_kernel.planner.shapes.module import Model, Module

_ARCHITECTURES = {
    "DeepseekV2ForCausalLM": "deepseek",
    "DeepseekV3ForCausalLM": "deepseek",
    "DeepseekV32ForCausalLM": "deepseek",
    "Gemma2ForCausalLM": "gemma",
    "Gemma3ForCausalLM": "gemma",
    "Gemma4ForCausalLM": "gemma4",
    "GemmaForCausalLM": "gemma",
    "GptOssForCausalLM": "gpt_oss",
    "LLaMAForCausalLM": "llama",
    "Llama4ForCausalLM": "llama4",
    "LlamaForCausalLM": "llama",
    "Ministral3ForCausalLM": "llama",
    "MistralForCausalLM": "llama",
    "MistralLarge3ForCausalLM": "deepseek",
    "MixtralForCausalLM": "mixtral",
    "Phi3ForCausalLM": "phi3",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen2MoeForCausalLM": "qwen2_moe",
    "Qwen2VLForConditionalGeneration": "qwen2",
    "Qwen2_5_VLForConditionalGeneration": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "Qwen3MoeForCausalLM": "qwen3_moe",
    "Qwen3NextForCausalLM": "qwen3_next",
    "Qwen3_5ForCausalLM": "qwen3_next",
    "Qwen3_5MoeForCausalLM": "qwen3_next",
}

_TEXT_MODELS = {
    "deepseek_v2": "deepseek",
    "deepseek_v3": "deepseek",
    "deepseek_v32": "deepseek",
    "gemma": "gemma",
    "gemma2": "gemma",
    "gemma3_text": "gemma",
    "gemma4_text": "gemma4",
    "gpt_oss": "gpt_oss",
    "kimi_k2": "deepseek",
    "llama": "llama",
    "llama4_text": "llama4",
    "ministral3": "llama",
    "mistral": "llama",
    "mixtral": "mixtral",
    "phi3": "phi3",
    "qwen2": "qwen2",
    "qwen2_5_vl_text": "qwen2",
    "qwen2_moe": "qwen2_moe",
    "qwen2_vl_text": "qwen2",
    "qwen3": "qwen3",
    "qwen3_5_moe_text": "qwen3_next",
    "qwen3_5_text": "qwen3_next",
    "qwen3_moe": "qwen3_moe",
    "qwen3_next": "qwen3_next",
    "qwen3_vl_moe_text": "qwen3_moe",
    "qwen3_vl_text": "qwen3",
}
"""By `model_type`, for the text models nested in multimodal configs, which often name no architecture."""


class Family(NamedTuple):
    """A family's file: its function, and the parts of such a model that are never planned, with the reason."""

    name: str
    modules: Callable[[Model], Iterator[Module]]
    left_out: tuple[tuple[str, str], ...]


def architecture(whole: Fields) -> str:
    """The architecture a config.json names; its model type where it names none."""
    names = whole.texts("architectures")
    return names[0] if names else whole.text("model_type")


def find(whole: Fields) -> Family | None:
    """The family of a config, by its own architecture or that of its nested text model; None when it is unknown."""
    text = whole.language()
    for fields in (text, whole):
        names = fields.texts("architectures")
        family = _ARCHITECTURES.get(names[0]) if names else None
        family = family or _TEXT_MODELS.get(fields.text("model_type"))
        if family is not None:
            return _load(family)
    return None


def _load(family: str) -> Family:
    """Import one family only: the others cost start-up time that a complete store has no use for."""
    module = import_module(f"hipbmm_kernel.planner.shapes.{family}")
    return Family(family, module.modules, module.LEFT_OUT)
