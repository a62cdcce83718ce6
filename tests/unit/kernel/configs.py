"""config.json of well-known models, cut down to the fields that decide shapes; values as published."""

from __future__ import annotations

import json

from tests.ptpc import PTPC

QUARK: dict[str, object] = {
    "quant_method": "quark",
    "exclude": ["lm_head"],
    "global_quant_config": {
        "weight": {"dtype": "fp8_e4m3", "qscheme": "per_channel", "is_dynamic": False, "ch_axis": 0},
        "input_tensors": {"dtype": "fp8_e4m3", "qscheme": "per_channel", "is_dynamic": True, "ch_axis": 1},
    },
    "layer_quant_config": {},
    "layer_type_quant_config": {},
}
BLOCK: dict[str, object] = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
MXFP4: dict[str, object] = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}

Config = dict[str, object]


def dense(
    architecture: str, model_type: str, h: int, i: int, a: int, g: int | None, layers: int, **more: object
) -> Config:
    found: Config = {
        "architectures": [architecture],
        "model_type": model_type,
        "hidden_size": h,
        "intermediate_size": i,
        "num_attention_heads": a,
        "num_hidden_layers": layers,
        "torch_dtype": "bfloat16",
        **more,
    }
    if g is not None:
        found["num_key_value_heads"] = g
    return found


def nested(architecture: str, text: Config, **more: object) -> Config:
    return {"architectures": [architecture], "text_config": text, **more}


LATENT: Config = {
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "moe_layer_freq": 1,
    "n_shared_experts": 1,
    "moe_intermediate_size": 2048,
}
GEMMA3_27B = dense("Gemma3ForCausalLM", "gemma3_text", 5376, 21504, 32, 16, 62, head_dim=128)
SIGLIP: Config = {"hidden_size": 1152, "num_hidden_layers": 27, "num_attention_heads": 16, "intermediate_size": 4304}
SCOUT = dense(
    "Llama4ForCausalLM",
    "llama4_text",
    5120,
    8192,
    40,
    8,
    48,
    head_dim=128,
    intermediate_size_mlp=16384,
    interleave_moe_layer_step=1,
    num_local_experts=16,
)
DELTA_NET: Config = {
    "head_dim": 256,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "full_attention_interval": 4,
}
GEMMA4: Config = {
    "num_kv_shared_layers": 4,
    "use_double_wide_mlp": True,
    "attention_k_eq_v": True,
    "num_global_key_value_heads": 2,
    "head_dim": 256,
    "global_head_dim": 512,
    "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 2,
    "hidden_size_per_layer_input": 256,
}

MODELS: dict[str, Config] = {
    "deepseek-v2-lite": dense(
        "DeepseekV2ForCausalLM",
        "deepseek_v2",
        2048,
        10944,
        16,
        16,
        27,
        **{**LATENT, "q_lora_rank": None, "n_shared_experts": 2, "moe_intermediate_size": 1408},
        n_routed_experts=64,
        first_k_dense_replace=1,
    ),
    "deepseek-v3": dense(
        "DeepseekV3ForCausalLM",
        "deepseek_v3",
        7168,
        18432,
        128,
        128,
        61,
        **LATENT,
        n_routed_experts=256,
        first_k_dense_replace=3,
    ),
    "deepseek-v3.2": dense(
        "DeepseekV32ForCausalLM",
        "deepseek_v32",
        7168,
        18432,
        128,
        128,
        61,
        **LATENT,
        n_routed_experts=256,
        first_k_dense_replace=3,
        index_topk=2048,
        index_head_dim=128,
        index_n_heads=64,
    ),
    "gemma-2-27b": dense("Gemma2ForCausalLM", "gemma2", 4608, 36864, 32, 16, 46, head_dim=128),
    "gemma-3-27b": nested("Gemma3ForConditionalGeneration", GEMMA3_27B, vision_config=SIGLIP),
    "gemma-3-4b": nested(
        "Gemma3ForConditionalGeneration",
        {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34},
        vision_config=SIGLIP,
        torch_dtype="bfloat16",
    ),
    "gemma-4-like": nested(
        "Gemma4ForConditionalGeneration", dense("Gemma4ForCausalLM", "gemma4_text", 2560, 10240, 8, 4, 12, **GEMMA4)
    ),
    "gpt-oss-120b": dense("GptOssForCausalLM", "gpt_oss", 2880, 2880, 64, 8, 36, head_dim=64, num_local_experts=128),
    "kimi-k2": dense(
        "DeepseekV3ForCausalLM",
        "kimi_k2",
        7168,
        18432,
        64,
        64,
        61,
        **LATENT,
        n_routed_experts=384,
        first_k_dense_replace=1,
    ),
    "llama-2-7b": dense("LlamaForCausalLM", "llama", 4096, 11008, 32, None, 32),
    "llama-3.1-70b": dense("LlamaForCausalLM", "llama", 8192, 28672, 64, 8, 80),
    "llama-4-maverick": nested(
        "Llama4ForConditionalGeneration", {**SCOUT, "interleave_moe_layer_step": 2, "num_local_experts": 128}
    ),
    "llama-4-scout": nested("Llama4ForConditionalGeneration", SCOUT),
    "mistral-7b": dense("MistralForCausalLM", "mistral", 4096, 14336, 32, 8, 32),
    "mistral-small-24b": nested(
        "Mistral3ForConditionalGeneration", dense("MistralForCausalLM", "mistral", 5120, 32768, 32, 8, 40, head_dim=128)
    ),
    "mixtral-8x7b": dense("MixtralForCausalLM", "mixtral", 4096, 14336, 32, 8, 32, num_local_experts=8),
    "phi-3-mini": dense("Phi3ForCausalLM", "phi3", 3072, 8192, 32, 32, 32),
    "phi-4": dense("Phi3ForCausalLM", "phi3", 5120, 17920, 40, 10, 40),
    "qwen2-57b-a14b": dense(
        "Qwen2MoeForCausalLM",
        "qwen2_moe",
        3584,
        18944,
        28,
        4,
        28,
        num_experts=64,
        shared_expert_intermediate_size=20480,
        moe_intermediate_size=2560,
        decoder_sparse_step=1,
        mlp_only_layers=[],
    ),
    "qwen2.5-72b": dense("Qwen2ForCausalLM", "qwen2", 8192, 29568, 64, 8, 80),
    "qwen3-30b-a3b": dense(
        "Qwen3MoeForCausalLM",
        "qwen3_moe",
        2048,
        6144,
        32,
        4,
        48,
        head_dim=128,
        num_experts=128,
        moe_intermediate_size=768,
        decoder_sparse_step=1,
        mlp_only_layers=[],
    ),
    "qwen3-32b": dense("Qwen3ForCausalLM", "qwen3", 5120, 25600, 64, 8, 64, head_dim=128),
    "qwen3-next-80b": dense(
        "Qwen3NextForCausalLM",
        "qwen3_next",
        2048,
        5120,
        16,
        2,
        48,
        **DELTA_NET,
        num_experts=512,
        shared_expert_intermediate_size=512,
        decoder_sparse_step=1,
        mlp_only_layers=[],
    ),
    "qwen3.5-like": nested(
        "Qwen3_5ForConditionalGeneration",
        dense("Qwen3_5ForCausalLM", "qwen3_5_text", 2048, 6144, 16, 2, 8, **DELTA_NET),
    ),
}


def encoded(model: str, quantisation: Config | None = PTPC, /, **more: object) -> bytes:
    """The bytes of a model's config.json; `more` replaces top-level fields."""
    config = {**MODELS[model], **more}
    if quantisation is not None:
        config["quantization_config"] = quantisation
    return json.dumps(config).encode()
