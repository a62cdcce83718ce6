"""Architectures that have no golden: what is found out about them is said of those that nobody has tried.

Layers are few: those of one kind are alike.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from compat import models
from compat.recent import RECENT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_DEFAULTS = """
AXK1ForCausalLM axk1
AudioFlamingo3ForConditionalGeneration audioflamingo3
BeamForCausalLM beam
BertForSequenceClassification bert
BertModel bert
Blip2ForConditionalGeneration blip-2
CLIPModel clip
Exaone4_5_ForConditionalGeneration exaone4_5
ExaoneMoEForCausalLM exaone_moe
FalconForCausalLM falcon
FalconMambaForCausalLM falcon_mamba
GPT2ForSequenceClassification gpt2
GPT2LMHeadModel gpt2
GPTBigCodeForCausalLM gpt_bigcode
GPTJForCausalLM gptj
GPTNeoXForCausalLM gpt_neox
Gemma2Model gemma2
Gemma3TextModel gemma3_text
GlmOcrForConditionalGeneration glm_ocr
GraniteMoeSWAForCausalLM granitemoe_swa
GraniteSWAForCausalLM granite_swa
GraniteSpeechForConditionalGeneration granite_speech
GraniteSpeechPlusForConditionalGeneration granite_speech_plus
HYV4ForCausalLM hy_v4
HeliumForCausalLM helium
HrmTextForCausalLM hrm_text
HyperCLOVAXForCausalLM hyperclovax
InklingForConditionalGeneration inkling_mm_model
Jais2ForCausalLM jais2
JambaForSequenceClassification jamba
KimiK25ForConditionalGeneration kimi_k25
LagunaForCausalLM laguna
Llama4ForCausalLM llama4_text
LlamaModel llama
LlavaNextForConditionalGeneration llava_next
LlavaNextVideoForConditionalGeneration llava_next_video
LlavaOnevisionForConditionalGeneration llava_onevision
Mamba2ForCausalLM mamba2
MambaForCausalLM mamba
MellumForCausalLM mellum
MiniCPMV4_6ForConditionalGeneration minicpmv4_6
MistralModel mistral
ModernBertForSequenceClassification modernbert
ModernBertModel modernbert
ModernVBertModel modernvbert
NanoChatForCausalLM nanochat
OPTForCausalLM opt
OlmoHybridForCausalLM olmo_hybrid
OpenAIPrivacyFilterForTokenClassification openai_privacy_filter
PersimmonForCausalLM persimmon
PhiForCausalLM phi
PhiMoEForCausalLM phimoe
Qwen2AudioForConditionalGeneration qwen2_audio
Qwen2Model qwen2
Qwen3ASRForConditionalGeneration qwen3_asr
Qwen3_5ForCausalLM qwen3_5_text
Qwen3_5MoeForCausalLM qwen3_5_moe_text
Qwen3_5MoeForConditionalGeneration qwen3_5_moe
RobertaModel roberta
SiglipModel siglip
SolarOpenForCausalLM solar_open
VaultGemmaForCausalLM vaultgemma
YoutuForCausalLM youtu
"""
"""vLLM's architecture and the model_type of its configuration class, whose defaults are complete."""
_OF_8B: dict[str, Any] = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
"""The sizes of a Llama of eight billion parameters, which many have taken over."""
_MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "ChatGLMModel": (
        "chatglm",
        {
            "num_layers": 6,
            "num_hidden_layers": 6,
            "hidden_size": 4096,
            "ffn_hidden_size": 13696,
            "num_attention_heads": 32,
            "multi_query_attention": True,
            "multi_query_group_num": 2,
            "add_qkv_bias": True,
            "add_bias_linear": False,
            "kv_channels": 128,
            "padded_vocab_size": 65024,
            "vocab_size": 65024,
            "seq_length": 32768,
            "layernorm_epsilon": 1e-05,
            "rmsnorm": True,
            "post_layer_norm": True,
            "apply_residual_connection_post_layernorm": False,
            "original_rope": True,
            "tie_word_embeddings": False,
            "hidden_dropout": 0.0,
            "fp32_residual_connection": False,
        },
    ),
    "DeepseekForCausalLM": (
        "llama",
        {
            "hidden_size": 2048,
            "intermediate_size": 10944,
            "moe_intermediate_size": 1408,
            "n_routed_experts": 64,
            "n_shared_experts": 2,
            "num_experts_per_tok": 6,
            "first_k_dense_replace": 1,
            "moe_layer_freq": 1,
            "num_hidden_layers": 6,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "head_dim": 128,
            "norm_topk_prob": False,
        },
    ),
    "DeepseekV2ForCausalLM": (
        "deepseek_v2",
        {
            "n_shared_experts": 2,
            "n_routed_experts": 64,
            "num_experts_per_tok": 6,
            "moe_intermediate_size": 1408,
            "num_hidden_layers": 4,
            "topk_method": "greedy",
            "moe_layer_freq": 1,
            "scoring_func": "softmax",
            "norm_topk_prob": False,
            "n_group": 1,
            "topk_group": 1,
        },
    ),
    "ExaoneForCausalLM": (
        "llama",
        {
            **_OF_8B,
            "num_hidden_layers": 32,
            "head_dim": 128,
            "num_layers": 32,
            "activation_function": "silu",
            "layer_norm_epsilon": 1e-05,
        },
    ),
    "IQuestCoderForCausalLM": (
        "llama",
        {
            **_OF_8B,
            "num_hidden_layers": 32,
            "head_dim": 128,
        },
    ),
    "InternLM2ForCausalLM": (
        "llama",
        {
            **_OF_8B,
            "num_hidden_layers": 32,
            "head_dim": 128,
            "bias": False,
        },
    ),
    "InternLM2ForRewardModel": (
        "llama",
        {
            **_OF_8B,
            "num_hidden_layers": 32,
            "head_dim": 128,
            "bias": False,
        },
    ),
    "InternLM3ForCausalLM": (
        "llama",
        {
            "hidden_size": 4096,
            "intermediate_size": 10240,
            "num_attention_heads": 32,
            "num_key_value_heads": 2,
            "num_hidden_layers": 48,
            "qkv_bias": True,
            "bias": False,
            "head_dim": 128,
        },
    ),
    "KimiVLForConditionalGeneration": (
        "kimi_vl",
        {
            "text_config": {
                "model_type": "deepseek_v3",
                "architectures": ["DeepseekV3ForCausalLM"],
                "hidden_size": 2048,
                "intermediate_size": 11264,
                "moe_intermediate_size": 1408,
                "num_hidden_layers": 4,
                "num_attention_heads": 16,
                "num_key_value_heads": 16,
                "n_routed_experts": 64,
                "n_shared_experts": 2,
                "num_experts_per_tok": 6,
                "kv_lora_rank": 512,
                "q_lora_rank": None,
                "qk_nope_head_dim": 128,
                "qk_rope_head_dim": 64,
                "v_head_dim": 128,
                "first_k_dense_replace": 1,
                "scoring_func": "sigmoid",
                "topk_method": "noaux_tc",
                "n_group": 1,
                "topk_group": 1,
                "routed_scaling_factor": 2.446,
                "norm_topk_prob": True,
                "vocab_size": 163840,
                "moe_layer_freq": 1,
            },
            "vision_config": {
                "model_type": "moonvit",
                "hidden_size": 1152,
                "intermediate_size": 4304,
                "num_attention_heads": 16,
                "num_hidden_layers": 4,
                "patch_size": 14,
                "merge_kernel_size": [2, 2],
                "init_pos_emb_height": 64,
                "init_pos_emb_width": 64,
            },
            "media_placeholder_token_id": 163605,
        },
    ),
    "LLaMAForCausalLM": (
        "llama",
        {
            "hidden_size": 6656,
            "intermediate_size": 17920,
            "num_attention_heads": 52,
            "num_hidden_layers": 60,
            "num_key_value_heads": 52,
        },
    ),
    "MiMoForCausalLM": (
        "qwen2",
        {
            "intermediate_size": 11008,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "num_nextn_predict_layers": 1,
        },
    ),
    "MiniCPMForCausalLM": (
        "llama",
        {
            "hidden_size": 2304,
            "intermediate_size": 5760,
            "num_attention_heads": 36,
            "num_key_value_heads": 36,
            "num_hidden_layers": 40,
            "scale_emb": 12,
            "scale_depth": 1.4,
            "dim_model_base": 256,
            "head_dim": 64,
        },
    ),
    "NanbeigeForCausalLM": (
        "llama",
        {
            **_OF_8B,
            "num_hidden_layers": 32,
            "head_dim": 128,
        },
    ),
    "NemotronForCausalLM": ("nemotron", {"num_key_value_heads": 8}),
    "NemotronHForCausalLM": (
        "nemotron_h",
        {"layers_block_type": ["linear_attention", "mlp", "full_attention", "mlp"], "num_hidden_layers": 4},
    ),
    "OrionForCausalLM": (
        "llama",
        {
            "hidden_size": 5120,
            "intermediate_size": 15360,
            "num_attention_heads": 40,
            "num_key_value_heads": 40,
            "num_hidden_layers": 40,
            "head_dim": 128,
        },
    ),
    "PanguEmbeddedForCausalLM": (
        "llama",
        {
            "hidden_size": 4096,
            "intermediate_size": 12800,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "num_hidden_layers": 34,
            "bias": True,
        },
    ),
    "RobertaForSequenceClassification": ("roberta", {"position_embedding_type": "absolute"}),
    "SolarForCausalLM": (
        "llama",
        {
            **_OF_8B,
            "num_hidden_layers": 48,
            "bskcn_1": [12, 20, 32, 44],
            "bskcn_2": [20, 32],
            "bskcn_3": [16, 24, 36, 48],
            "bskcn_4": [28, 40],
            "bskcn_tv": [0.9, 0.8],
        },
    ),
    "TeleChat2ForCausalLM": (
        "llama",
        {
            **_OF_8B,
            "num_hidden_layers": 32,
            "head_dim": 128,
            "n_layer": 32,
            "n_head": 32,
            "ffn_hidden_size": 12288,
            "layer_norm_epsilon": 1e-05,
            "hidden_dropout": 0.0,
        },
    ),
    "TeleChat3ForCausalLM": (
        "llama",
        {
            **_OF_8B,
            "num_hidden_layers": 32,
            "head_dim": 128,
        },
    ),
}
"""The same, and what a published config.json has beside the defaults."""
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (kind, {}) for name, kind in map(str.split, _DEFAULTS.strip().splitlines())},
    **_MORE,
    **RECENT,
}
LAYERS = 6
_OWN = "per_layer_config"
_PATTERN = "hybrid_override_pattern"
"""What differs in a layer, by its number; and the layers' kinds, a letter for each."""


def write(architecture: str, folder: Path, quantisation: Mapping[str, Any]) -> Path:
    """A model directory with nothing but a config.json; its path."""
    found = _short(models.config(architecture, ARCHITECTURES))
    target = folder / architecture
    target.mkdir(parents=True, exist_ok=True)
    (target / "config.json").write_text(json.dumps({**found, models.QUANTISATION: quantisation}))
    return target


def _short(config: dict[str, Any]) -> dict[str, Any]:
    """With few layers, and lists of as many items as there are layers cut to them."""
    count = config.get("num_hidden_layers")
    found: dict[str, Any] = {
        name: _short(value) if isinstance(value, dict) else value for name, value in config.items()
    }
    if not isinstance(count, int) or count <= LAYERS:
        return found
    each = {name: value for name, value in found.items() if isinstance(value, list) or name == _PATTERN}
    cut = {name: value[:LAYERS] for name, value in each.items() if len(value) == count}
    own = {name: value for name, value in found.get(_OWN, {}).items() if int(name) < LAYERS}
    return {**found, **cut, "num_hidden_layers": LAYERS, **({_OWN: own} if own else {})}
