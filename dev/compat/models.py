"""config.json of many architectures, as the installed transformers writes them for its classes' own defaults.

Most defaults are those of a published model. Each gets a compressed-tensors configuration with one FP8 scale per
token and per channel, as llm-compressor's FP8-dynamic recipe writes it.
"""

from __future__ import annotations

import importlib
import json
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PTPC: dict[str, Any] = {
    "quant_method": "compressed-tensors",
    "format": "float-quantized",
    "quantization_status": "compressed",
    "ignore": ["lm_head", "re:.*\\.gate$"],
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"type": "float", "num_bits": 8, "strategy": "channel", "symmetric": True, "dynamic": False},
            "input_activations": {
                "type": "float",
                "num_bits": 8,
                "strategy": "token",
                "symmetric": True,
                "dynamic": True,
            },
        }
    },
}

QUANTISATION = "quantization_config"
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "ApertusForCausalLM": ("apertus", {}),
    "ArceeForCausalLM": ("arcee", {}),
    "AriaForConditionalGeneration": ("aria", {}),
    "Cohere2ForCausalLM": ("cohere2", {}),
    "Cohere2MoeForCausalLM": ("cohere2_moe", {}),
    "Cohere2VisionForConditionalGeneration": ("cohere2_vision", {}),
    "CohereForCausalLM": ("cohere", {}),
    "CwmForCausalLM": ("cwm", {}),
    "DeepseekV32ForCausalLM": ("deepseek_v32", {}),
    "DeepseekV3ForCausalLM": ("deepseek_v3", {}),
    "DeepseekV4ForCausalLM": ("deepseek_v4", {}),
    "Ernie4_5ForCausalLM": ("ernie4_5", {}),
    "Ernie4_5_MoeForCausalLM": ("ernie4_5_moe", {}),
    "Exaone4ForCausalLM": ("exaone4", {}),
    "ExaoneMoeForCausalLM": ("exaone_moe", {}),
    "FalconH1ForCausalLM": ("falcon_h1", {}),
    "FlexOlmoForCausalLM": ("flex_olmo", {}),
    "Gemma2ForCausalLM": ("gemma2", {}),
    "Gemma3ForCausalLM": ("gemma3_text", {}),
    "Gemma3ForConditionalGeneration": ("gemma3", {}),
    "Gemma3nForCausalLM": ("gemma3n_text", {}),
    "Gemma4ForCausalLM": ("gemma4_text", {}),
    "GemmaForCausalLM": ("gemma", {}),
    "Glm4ForCausalLM": ("glm4", {}),
    "Glm4MoeForCausalLM": ("glm4_moe", {"head_dim": 128}),
    "Glm4MoeLiteForCausalLM": ("glm4_moe_lite", {"first_k_dense_replace": 1}),
    "Glm4vForConditionalGeneration": ("glm4v", {}),
    "GlmForCausalLM": ("glm", {}),
    "GlmMoeDsaForCausalLM": ("glm_moe_dsa", {}),
    "GptOssForCausalLM": ("gpt_oss", {}),
    "GraniteForCausalLM": ("granite", {}),
    "GraniteMoeForCausalLM": ("granitemoe", {}),
    "GraniteMoeHybridForCausalLM": ("granitemoehybrid", {}),
    "GraniteMoeSharedForCausalLM": ("granitemoeshared", {}),
    "HunYuanDenseV1ForCausalLM": ("hunyuan_v1_dense", {"head_dim": 128}),
    "HunYuanMoEV1ForCausalLM": ("hunyuan_v1_moe", {"head_dim": 128}),
    "Idefics3ForConditionalGeneration": ("idefics3", {}),
    "InternVLForConditionalGeneration": ("internvl", {}),
    "JambaForCausalLM": ("jamba", {}),
    "Llama4ForConditionalGeneration": ("llama4", {}),
    "LlamaForCausalLM": ("llama", {}),
    "LlavaForConditionalGeneration": ("llava", {}),
    "MiniCPM3ForCausalLM": ("minicpm3", {}),
    "MiniMaxM2ForCausalLM": ("minimax_m2", {"rotary_dim": 64, "scoring_func": "sigmoid", "use_routing_bias": True}),
    "Ministral3ForCausalLM": ("ministral3", {}),
    "Mistral3ForConditionalGeneration": ("mistral3", {}),
    "MistralForCausalLM": ("mistral", {}),
    "MixtralForCausalLM": ("mixtral", {}),
    "Olmo2ForCausalLM": ("olmo2", {}),
    "Olmo3ForCausalLM": ("olmo3", {}),
    "OlmoForCausalLM": ("olmo", {}),
    "OlmoeForCausalLM": ("olmoe", {}),
    "PaddleOCRVLForConditionalGeneration": ("paddleocr_vl", {}),
    "PaliGemmaForConditionalGeneration": ("paligemma", {}),
    "Phi3ForCausalLM": ("phi3", {}),
    "Phi4MultimodalForCausalLM": ("phi4_multimodal", {}),
    "Qwen2ForCausalLM": ("qwen2", {}),
    "Qwen2ForRewardModel": ("qwen2", {}),
    "Qwen2MoeForCausalLM": ("qwen2_moe", {}),
    "Qwen2VLForConditionalGeneration": ("qwen2_vl", {}),
    "Qwen2_5_VLForConditionalGeneration": ("qwen2_5_vl", {}),
    "Qwen3ForCausalLM": ("qwen3", {}),
    "Qwen3MoeForCausalLM": ("qwen3_moe", {}),
    "Qwen3NextForCausalLM": ("qwen3_next", {}),
    "Qwen3VLForConditionalGeneration": ("qwen3_vl", {}),
    "Qwen3_5ForConditionalGeneration": ("qwen3_5", {}),
    "SeedOssForCausalLM": ("seed_oss", {}),
    "SmolLM3ForCausalLM": ("smollm3", {}),
    "SmolVLMForConditionalGeneration": ("smolvlm", {}),
    "StableLmForCausalLM": ("stablelm", {}),
    "Starcoder2ForCausalLM": ("starcoder2", {}),
    "WhisperForConditionalGeneration": ("whisper", {}),
    "Zamba2ForCausalLM": ("zamba2", {}),
}
"""vLLM's architecture -> the model_type of its configuration class, and what a published config.json has beside it."""

_NOISE = ("id2label", "label2id", "transformers_version", "_name_or_path")


def config(architecture: str, known: Mapping[str, tuple[str, dict[str, Any]]] = ARCHITECTURES) -> dict[str, Any]:
    """The config.json of a known architecture."""
    model_type, more = known[architecture]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mapping = importlib.import_module("transformers").CONFIG_MAPPING
        found: dict[str, Any] = _plain(mapping[model_type]().to_dict()) if model_type in mapping else {}
    found |= {"architectures": [architecture], "model_type": model_type, "dtype": "bfloat16"}
    return _merged(found, more) | {QUANTISATION: PTPC}


def _merged(found: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """The fields of both, also within objects."""
    return found | {
        name: _merged(found.get(name, {}), value) if isinstance(value, dict) else value for name, value in more.items()
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Without what says nothing about shapes: nulls, labels, versions."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if item is not None and name not in _NOISE}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def write(architecture: str, folder: Path) -> Path:
    """A model directory with nothing but a config.json; its path."""
    target = folder / architecture
    target.mkdir(parents=True, exist_ok=True)
    (target / "config.json").write_text(json.dumps(config(architecture)))
    return target
