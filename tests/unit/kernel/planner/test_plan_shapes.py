"""Shapes of every family on one rank, against numbers that were computed by hand or read from vLLM's own classes."""

from __future__ import annotations

import json

import pytest
from tests.ptpc import PTPC
from tests.unit.kernel.configs import MODELS, encoded

from hipbmm_kernel.planner import plan
from hipbmm_kernel.planner.model_config import ConfigInvalid
from hipbmm_kernel.planner.plan import Options
from hipbmm_kernel.planner.server_flags import ServerFlags
from hipbmm_kernel.planner.vllm_version import Version


def shapes(model: str, tensor: int, **flags: object) -> dict[str, tuple[int, int]]:
    """Name -> (N, K) of a model that has each name once."""
    found = plan.build(encoded(model), Options(tensor, flags=ServerFlags()._replace(**flags)))  # type: ignore[arg-type]
    names = [each.linear.name for each in found.linears]
    assert len(set(names)) == len(names)
    return {each.linear.name: (each.linear.n, each.linear.k) for each in found.linears}


def every(model: str, tensor: int) -> set[tuple[str, int, int, int]]:
    found = plan.build(encoded(model), Options(tensor))
    return {(each.linear.name, each.linear.n, each.linear.k, each.linear.copies) for each in found.linears}


WORKED = {
    ("qwen3-32b", 1): ((10240, 5120), (5120, 8192), (51200, 5120), (5120, 25600)),
    ("qwen3-32b", 4): ((2560, 5120), (5120, 2048), (12800, 5120), (5120, 6400)),
    ("qwen3-32b", 8): ((1280, 5120), (5120, 1024), (6400, 5120), (5120, 3200)),
    ("qwen3-32b", 16): ((768, 5120), (5120, 512), (3200, 5120), (5120, 1600)),
    ("llama-3.1-70b", 1): ((10240, 8192), (8192, 8192), (57344, 8192), (8192, 28672)),
    ("llama-3.1-70b", 8): ((1280, 8192), (8192, 1024), (7168, 8192), (8192, 3584)),
    ("llama-2-7b", 1): ((12288, 4096), (4096, 4096), (22016, 4096), (4096, 11008)),
    ("mistral-7b", 2): ((3072, 4096), (4096, 2048), (14336, 4096), (4096, 7168)),
    ("mistral-small-24b", 1): ((6144, 5120), (5120, 4096), (65536, 5120), (5120, 32768)),
    ("qwen2.5-72b", 8): ((1280, 8192), (8192, 1024), (7392, 8192), (8192, 3696)),
    ("phi-3-mini", 1): ((9216, 3072), (3072, 3072), (16384, 3072), (3072, 8192)),
    ("phi-4", 2): ((3840, 5120), (5120, 2560), (17920, 5120), (5120, 8960)),
    ("gemma-2-27b", 1): ((8192, 4608), (4608, 4096), (73728, 4608), (4608, 36864)),
}


@pytest.mark.parametrize(("case", "expected"), WORKED.items(), ids=[f"{m} tp{t}" for m, t in WORKED])
def test_dense_models(case: tuple[str, int], expected: tuple[tuple[int, int], ...]) -> None:
    assert shapes(*case) == dict(zip(("qkv_proj", "o_proj", "gate_up_proj", "down_proj"), expected, strict=True))


def test_counts_are_those_of_the_layers() -> None:
    found = plan.build(encoded("qwen3-32b"), Options())

    assert [each.linear.copies for each in found.linears] == [64] * 4
    assert len(found.problems) == 4 * 51


def test_qwen2_has_a_bias_on_qkv_only() -> None:
    found = plan.build(encoded("qwen2.5-72b"), Options())

    assert [each.linear.bias for each in found.linears] == [True, False, False, False]
    assert found.biased == {(10240, 8192)}


def test_moe_families_keep_attention_gates_and_shared_experts() -> None:
    assert shapes("mixtral-8x7b", 1) == {"qkv_proj": (6144, 4096), "o_proj": (4096, 4096)}
    assert shapes("qwen3-30b-a3b", 1) == {"qkv_proj": (5120, 2048), "o_proj": (2048, 4096), "gate": (128, 2048)}
    assert shapes("qwen2-57b-a14b", 4) == {
        "qkv_proj": (1152, 3584),
        "o_proj": (3584, 896),
        "shared_expert.gate_up_proj": (10240, 3584),
        "shared_expert.down_proj": (3584, 5120),
    }


def test_llama_4_alternates_dense_and_expert_layers() -> None:
    assert shapes("llama-4-scout", 8) == {
        "qkv_proj": (896, 5120),
        "o_proj": (5120, 640),
        "shared_expert.gate_up_proj": (2048, 5120),
        "shared_expert.down_proj": (5120, 1024),
    }
    assert every("llama-4-maverick", 8) == {
        ("qkv_proj", 896, 5120, 48),
        ("o_proj", 5120, 640, 48),
        ("gate_up_proj", 4096, 5120, 24),
        ("down_proj", 5120, 2048, 24),
        ("shared_expert.gate_up_proj", 2048, 5120, 24),
        ("shared_expert.down_proj", 5120, 1024, 24),
    }


def test_latent_attention() -> None:
    assert every("deepseek-v3", 8) == {
        ("fused_qkv_a_proj", 2112, 7168, 61),
        ("q_b_proj", 3072, 1536, 61),
        ("kv_b_proj", 4096, 512, 61),
        ("o_proj", 7168, 2048, 61),
        ("gate_up_proj", 4608, 7168, 3),
        ("down_proj", 7168, 2304, 3),
        ("shared_experts.gate_up_proj", 512, 7168, 58),
        ("shared_experts.down_proj", 7168, 256, 58),
    }
    assert ("q_b_proj", 1536, 1536, 61) in every("kimi-k2", 8)


def test_latent_attention_without_a_query_rank() -> None:
    assert every("deepseek-v2-lite", 1) == {
        ("kv_a_proj_with_mqa", 576, 2048, 27),
        ("q_proj", 3072, 2048, 27),
        ("kv_b_proj", 4096, 512, 27),
        ("o_proj", 2048, 2048, 27),
        ("gate_up_proj", 21888, 2048, 1),
        ("down_proj", 2048, 10944, 1),
        ("shared_experts.gate_up_proj", 5632, 2048, 26),
        ("shared_experts.down_proj", 2048, 2816, 26),
    }


def test_the_indexer_of_v3_2_is_replicated_and_half_of_it_is_plain() -> None:
    found = plan.build(encoded("deepseek-v3.2"), Options(8))
    indexer = {each.linear.name: each for each in found.linears if each.linear.name.startswith("w")}

    assert indexer["wq_b"].linear[:2] == (8192, 1536)
    assert indexer["wq_b"].eligible
    assert indexer["wk_weights_proj"].linear[:2] == (192, 7168)
    assert indexer["wk_weights_proj"].reason == "built without the quantisation config"


def test_shared_experts_are_replicated_with_sequence_parallel_moe() -> None:
    flags = ServerFlags(expert_parallel=True, data_parallel=2)
    found = plan.build(encoded("deepseek-v3"), Options(8, flags=flags))
    shared = {each.linear.name: each.linear[:2] for each in found.linears if "shared" in each.linear.name}

    assert shared == {"shared_experts.gate_up_proj": (4096, 7168), "shared_experts.down_proj": (7168, 2048)}
    alone = plan.build(encoded("deepseek-v3"), Options(8, flags=ServerFlags(expert_parallel=True)))
    assert ("shared_experts.gate_up_proj", 512) in {(each.linear.name, each.linear.n) for each in alone.linears}


def test_gated_delta_nets() -> None:
    assert every("qwen3-next-80b", 1) == {
        ("in_proj_qkvz", 12288, 2048, 36),
        ("in_proj_ba", 64, 2048, 36),
        ("out_proj", 2048, 4096, 36),
        ("qkv_proj", 9216, 2048, 12),
        ("o_proj", 2048, 4096, 12),
        ("shared_expert.gate_up_proj", 1024, 2048, 48),
        ("shared_expert.down_proj", 2048, 512, 48),
    }
    ungated = plan.build(encoded("qwen3-next-80b", attn_output_gate=False), Options())
    assert (5120, 2048) in {each.linear[:2] for each in ungated.linears if each.linear.name == "qkv_proj"}


def test_gemma_4_by_layer_type() -> None:
    assert every("gemma-4-like", 1) == {
        ("per_layer_model_projection", 3072, 2560, 1),
        ("qkv_proj", 4096, 2560, 7),
        ("o_proj", 2560, 2048, 10),
        ("qkv_proj", 6144, 2560, 1),
        ("o_proj", 2560, 4096, 2),
        ("q_proj", 2048, 2560, 3),
        ("q_proj", 4096, 2560, 1),
        ("gate_up_proj", 20480, 2560, 8),
        ("down_proj", 2560, 10240, 8),
        ("gate_up_proj", 40960, 2560, 4),
        ("down_proj", 2560, 20480, 4),
        ("per_layer_input_gate", 256, 2560, 12),
        ("per_layer_projection", 2560, 256, 12),
    }


SIZES = {"hidden_size": 768, "num_hidden_layers": 1, "num_attention_heads": 8, "intermediate_size": 1536}
BIASES = {"attention_bias": True, "mlp_bias": True, "qkv_bias": False}


@pytest.mark.parametrize(
    ("architecture", "fields", "expected"),
    [
        ("Ministral3ForCausalLM", {"model_type": "ministral3"}, {(3072, 768, False), (768, 1024, False)}),
        ("MistralForCausalLM", {"model_type": "mistral"}, {(2304, 768, False), (768, 768, False)}),
        ("GptOssForCausalLM", {"model_type": "gpt_oss"}, {(1536, 768, True), (768, 512, True)}),
        ("Qwen2MoeForCausalLM", {"head_dim": 64, "num_experts": 4}, {(2304, 768, True), (768, 768, False)}),
        ("Qwen3_5ForCausalLM", {"layer_types": ["full_attention"]}, {(8192, 768, False), (768, 2048, False)}),
        ("GemmaForCausalLM", {"head_dim": 96, **BIASES}, {(2304, 768, False), (768, 768, False)}),
        ("Gemma2ForCausalLM", {"head_dim": 96, **BIASES}, {(2304, 768, True), (768, 768, True)}),
        ("Phi3ForCausalLM", BIASES, {(2304, 768, False), (768, 768, True)}),
        ("LlamaForCausalLM", BIASES, {(2304, 768, False), (768, 768, True)}),
    ],
)
def test_attention_takes_width_and_bias_as_each_class_does(
    architecture: str, fields: dict[str, object], expected: set[tuple[int, int, bool]]
) -> None:
    """Numbers are those of vLLM 0.33's own classes."""
    config = {**SIZES, "num_key_value_heads": 8, "architectures": [architecture], **fields}
    found = plan.build(json.dumps(config).encode(), Options()).linears
    assert {each.linear[:3] for each in found if each.linear.name in ("qkv_proj", "o_proj")} == expected


TOWER = {"depth": 1, "hidden_size": 1152, "intermediate_size": 4304, "out_hidden_size": 768, "model_type": "qwen3_vl"}


@pytest.mark.parametrize(
    ("no_input", "fatal"), [((), True), (("image",), True), (("image", "video"), False), (("audio",), True)]
)
def test_a_tower_that_gets_no_input_is_not_made(no_input: tuple[str, ...], fatal: bool) -> None:
    text = {**SIZES, "model_type": "qwen3_vl_text", "num_key_value_heads": 8}
    config = {"architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl", "text_config": text}
    flags = ServerFlags(quantization="fp8_per_channel", no_input=frozenset(no_input))
    found = plan.build(json.dumps({**config, "vision_config": TOWER}).encode(), Options(flags=flags))
    assert [each.linear[:2] for each in found.incompatible] == [(1152, 4304)] * fatal


def test_what_a_draft_needs_beside_the_model_is_not_known() -> None:
    found = plan.build(encoded("qwen3-32b"), Options(flags=ServerFlags(draft_model=True)))
    assert found.unsure
    assert found.warnings == ("the draft model's own linears are not in the plan",)


@pytest.mark.parametrize("architecture", ["Phi3ForCausalLM", "LlamaForCausalLM", "Qwen3ForCausalLM"])
def test_an_mlp_has_a_bias_where_the_class_of_llama_has_it(architecture: str) -> None:
    config = {**SIZES, "architectures": [architecture], **BIASES}
    found = plan.build(json.dumps(config).encode(), Options()).linears
    biased = {each.linear.name for each in found if each.linear.bias and "proj" in each.linear.name[-9:]}
    assert ({"gate_up_proj", "down_proj"} <= biased) is (architecture != "Qwen3ForCausalLM")


def test_gemma_3_takes_what_transformers_assumes_where_the_config_is_silent() -> None:
    found = {each.linear.name: each.linear[:2] for each in plan.build(encoded("gemma-3-4b"), Options()).linears[:4]}

    assert found == {
        "qkv_proj": (4096, 2560),
        "o_proj": (2560, 2048),
        "gate_up_proj": (20480, 2560),
        "down_proj": (2560, 10240),
    }


@pytest.mark.parametrize(
    ("model", "tensor", "field"),
    [
        ("qwen3-32b", 3, "num_attention_heads"),
        ("phi-4", 4, "num_key_value_heads"),
        ("phi-4", 8, "num_key_value_heads"),
        ("llama-4-scout", 16, "text_config.num_attention_heads"),
        ("gpt-oss-120b", 16, "num_key_value_heads"),
        ("qwen2-57b-a14b", 8, "num_attention_heads"),
        ("qwen3-32b", 1025, "--tensor-parallel-size"),
        ("qwen3-32b", 0, "--tensor-parallel-size"),
    ],
)
def test_a_parallelism_that_vllm_refuses_is_refused_with_the_field(model: str, tensor: int, field: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        plan.build(encoded(model), Options(tensor))

    assert caught.value.field == field


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_a_plan(model: str) -> None:
    found = plan.build(encoded(model), Options())

    assert found.source == "Config"
    assert found.problems
    assert {(problem.n, problem.k) for problem in found.problems} == {
        each.linear[:2] for each in found.linears if each.eligible
    }


def test_problems_come_small_m_first_then_the_most_used_linear() -> None:
    found = plan.build(encoded("deepseek-v3"), Options(8))
    copies = {each.linear[:2]: each.linear.copies for each in found.linears}

    order = [(problem.m, -copies[problem.n, problem.k]) for problem in found.problems]
    assert order == sorted(order)


def test_latent_attention_asks_for_one_more_m_while_loading() -> None:
    """With batches below 512 tokens the load-time product of kv_b_proj is the only call with M = 512."""
    flags = ServerFlags(max_num_seqs=16, max_num_batched_tokens=256)
    found = plan.build(encoded("deepseek-v3"), Options(8, flags=flags))

    above = {problem for problem in found.problems if problem.m > 256}
    assert above == {(512, 4096, 512)}


def test_linears_with_and_without_bias_that_share_a_row_are_named() -> None:
    config = encoded("qwen2.5-72b", num_attention_heads=64, num_key_value_heads=64, intermediate_size=12288)
    found = plan.build(config, Options())

    assert found.warnings == ("linears of 24576x8192 with and without bias share one row: AITER's key has no bias",)


@pytest.mark.parametrize(
    ("kind", "fields", "dense"),
    [
        ("qwen3_5_text", {"num_experts": 4, "shared_expert_intermediate_size": 512}, 48),
        ("qwen3_5_moe_text", {"num_experts": 4, "shared_expert_intermediate_size": 512, "mlp_only_layers": [0]}, 0),
        ("qwen3_5_moe_text", {"num_experts": 4, "shared_expert_intermediate_size": 512, "decoder_sparse_step": 2}, 0),
        ("qwen3_next", {"mlp_only_layers": [0]}, 1),
        ("qwen3_next", {"decoder_sparse_step": 2}, 24),
    ],
)
def test_of_qwen3_5_the_model_type_says_which_layers_have_experts(
    kind: str, fields: dict[str, object], dense: int
) -> None:
    names = {"qwen3_5_text": "Qwen3_5ForCausalLM", "qwen3_5_moe_text": "Qwen3_5MoeForCausalLM"}
    config = {"architectures": [names.get(kind, "Qwen3NextForCausalLM")], "model_type": kind, **fields}
    found = plan.build(encoded("qwen3-next-80b", PTPC, **config), Options())
    copies = {each.linear.name: each.linear.copies for each in found.linears}
    assert copies.get("gate_up_proj", 0) == dense
    assert copies.get("shared_expert.gate_up_proj", 0) == 48 - dense


@pytest.mark.parametrize(
    ("kind", "minor", "full"),
    [("qwen3_next", 31, 12), ("qwen3_next", 32, 24), ("qwen3_5_text", 23, 24), ("qwen3_5_text", 33, 24)],
)
def test_the_interval_of_full_attention_counts_where_vllms_own_config_class_reads_it(
    kind: str, minor: int, full: int
) -> None:
    config = encoded("qwen3-next-80b", PTPC, model_type=kind, full_attention_interval=2, layer_types=None)
    found = plan.build(config, Options(vllm=Version(0, minor)))
    assert {each.linear.copies for each in found.linears if each.linear.name == "qkv_proj"} == {full}
    listed = encoded("qwen3-next-80b", PTPC, full_attention_interval=2, layer_types=["full_attention"] * 48)
    assert all(each.linear.name != "in_proj_qkvz" for each in plan.build(listed, Options()).linears)


@pytest.mark.parametrize(
    ("name", "alone", "around"),
    [
        ("Qwen3ForCausalLM", plan.CONFIG, plan.CONFIG),
        ("Qwen3Model", plan.CONFIG, plan.CONFIG),
        ("OwnForConditionalGeneration", plan.UNKNOWN, plan.CONFIG),
        ("OwnForCausalLM", plan.UNKNOWN, plan.CONFIG),
        ("Qwen3ForSequenceClassification", plan.UNKNOWN, plan.UNKNOWN),
        ("Qwen3ForRewardModel", plan.UNKNOWN, plan.UNKNOWN),
        ("OwnForRanking", plan.UNKNOWN, plan.UNKNOWN),
    ],
)
def test_a_class_that_may_have_linears_of_its_own_is_not_planned_by_its_type(
    name: str, alone: str, around: str
) -> None:
    """A known text model alone under the name of a class, and in a config of that class."""
    text = {**MODELS["qwen3-32b"], "architectures": [name]}
    whole = {"architectures": [name], "model_type": "own", "text_config": MODELS["qwen3-32b"], "vision_config": {}}
    assert plan.build(json.dumps(text).encode(), Options()).source == alone
    made = plan.build(json.dumps(whole).encode(), Options())
    assert (made.source, made.unsure) == (around, True)


@pytest.mark.parametrize(("fields", "rows"), [({"num_experts": None, "num_local_experts": 64}, 64), ({}, 128)])
def test_the_number_of_experts_has_two_names(fields: dict[str, object], rows: int) -> None:
    found = plan.build(encoded("qwen3-30b-a3b", PTPC, **fields), Options())
    assert {each.linear.n for each in found.linears if each.linear.name == "gate"} == {rows}
    with pytest.raises(ConfigInvalid, match="num_local_experts: '4': must be num_experts, which is 128"):
        plan.build(encoded("qwen3-30b-a3b", PTPC, num_local_experts=4), Options())
