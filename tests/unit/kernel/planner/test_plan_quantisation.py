"""Which linears are eligible, by the checkpoint's scheme, its ignore list, vLLM's version and the flags."""

from __future__ import annotations

import copy
import fnmatch
import json

import pytest
from tests.ptpc import PTPC
from tests.unit.kernel.configs import BLOCK, MODELS, MXFP4, QUARK, Config, encoded
from tests.unit.kernel.plans import build, eligible, ptpc, reasons

from hipbmm_kernel.linear import eligibility
from hipbmm_kernel.planner import plan, vllm_version
from hipbmm_kernel.planner.plan import Options
from hipbmm_kernel.planner.server_flags import ServerFlags
from hipbmm_kernel.planner.vllm_version import Version
from hipbmm_kernel.rows.gemm import Linear

ONLINE = ServerFlags(quantization="fp8_per_channel")


@pytest.mark.parametrize(
    ("quantisation", "words"),
    [
        (None, "not quantised to FP8"),
        (BLOCK, "FP8 with block or per-tensor scales"),
        ({"quant_method": "fbgemm_fp8", "modules_to_not_convert": []}, "requires per channel weight scales"),
        ({"quant_method": "gptq", "bits": 4}, "quantised by gptq"),
        ({"quant_method": "modelopt"}, "ModelOpt"),
        ({"bits": 4}, "quantised by an unnamed method"),
        (ptpc(weights={"strategy": "tensor"}), eligibility.WRONG_SCALES),
        (ptpc(weights={"strategy": "block"}), "block scales"),
        (ptpc(weights={"type": "int"}), "int8, not float8"),
        (ptpc(weights={"num_bits": 4, "strategy": "tensor_group"}), "float4, not float8"),
        (ptpc(weights={"num_bits": 4, "strategy": None, "group_size": 32}), "float4, not float8"),
        (ptpc(inputs={"dynamic": False}), eligibility.WRONG_SCALES),
        (ptpc(inputs={"type": "int"}), "activations are not float8"),
    ],
)
def test_schemes_that_never_reach_the_kernel(quantisation: Config | None, words: str) -> None:
    found = build("qwen3-32b", quantisation)

    assert all(words in each.reason for each in found.linears)
    assert (found.problems, found.reason) == ((), "NoEligibleLinears")
    assert words in found.message


@pytest.mark.parametrize("dynamic", [True, "local"])
def test_activations_of_any_dynamic_kind_have_a_scale_per_token(dynamic: object) -> None:
    assert len(eligible(build("qwen3-32b", ptpc(inputs={"dynamic": dynamic, "strategy": "tensor"})))) == 4


def test_weights_alone_are_not_enough() -> None:
    config = copy.deepcopy(PTPC)
    config["config_groups"]["group_0"]["input_activations"] = None  # type: ignore[index] # a literal

    assert set(reasons(build("qwen3-32b", config)).values()) == {
        "activations are not quantised (W8A16): runs other kernels"
    }


def test_quark_per_channel_from_the_version_on_that_says_so_to_the_kernel() -> None:
    old = build("qwen3-32b", QUARK, vllm=vllm_version.Version(0, 23))
    new = build("qwen3-32b", QUARK, vllm=vllm_version.Version(0, 24))

    assert old.reason == "NoEligibleLinears"
    assert "per channel weight scales for per token ones" in old.message
    assert len(new.problems) == 204


def test_quark_schemes_by_name_pattern() -> None:
    config = copy.deepcopy(QUARK)
    plain = copy.deepcopy(config["global_quant_config"])
    plain["weight"]["qscheme"] = "per_tensor"  # type: ignore[index] # a literal
    config["layer_quant_config"] = {"*down_proj": plain}

    found = reasons(build("qwen3-32b", config))

    assert found.pop("down_proj") == eligibility.WRONG_SCALES
    assert set(found.values()) == {""}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("*down_proj", True), ("*.?.mlp.down_proj", True), ("model.layers.?.mlp.down_proj", False), ("down_proj", False)],
)
def test_a_pattern_of_quark_without_an_asterisk_is_no_shells(pattern: str, found: bool) -> None:
    config = {**QUARK, "layer_quant_config": {pattern: {"weight": None, "input_tensors": None}}}
    made = build("qwen3-32b", config).linears
    assert any(each.linear.name == "down_proj" and not each.eligible for each in made) is found


def test_quark_parts_with_different_schemes_are_named() -> None:
    config = copy.deepcopy(QUARK)
    config["layer_quant_config"] = {"*k_proj": {"weight": {"dtype": "int4"}, "input_tensors": None}}

    assert "q_proj, k_proj, v_proj have different schemes" in reasons(build("qwen3-32b", config))["qkv_proj"]


def test_a_vllm_without_the_kernel_plans_nothing_and_says_so() -> None:
    found = build("qwen3-32b", vllm=vllm_version.Version(0, 22))

    assert found.reason == "NoEligibleLinears"
    assert "has no HIPBMM kernel, which came with 0.23" in found.message
    assert len(found.tokens.planned) == 51


@pytest.mark.parametrize(
    ("has_kernel", "minor", "problems"), [(True, 22, 204), (False, 33, 0), (None, 22, 0), (None, 33, 204)]
)
def test_the_class_in_the_image_decides_and_the_version_only_where_there_is_no_image(
    has_kernel: bool | None, minor: int, problems: int
) -> None:
    found = build("qwen3-32b", vllm=Version(0, minor), has_kernel=has_kernel)

    assert len(found.problems) == problems
    assert ("no HIPBMM kernel" in found.message) is not bool(problems)


def test_a_linear_backend_without_the_kernel_is_named() -> None:
    found = build("qwen3-32b", flags=ServerFlags(linear_backend="aiter"))

    assert "--linear-backend aiter leaves the HIPBMM kernel out" in found.message


@pytest.mark.parametrize(
    ("fields", "flag", "eligible"),
    [
        ({"torch_dtype": "float16"}, "auto", False),
        ({"torch_dtype": "float16"}, "bfloat16", True),
        ({"torch_dtype": "float32"}, "auto", True),
        ({"torch_dtype": None}, "auto", True),
        ({"torch_dtype": None, "dtype": "float16"}, "auto", False),
        ({"torch_dtype": "bfloat16"}, "half", False),
        ({"torch_dtype": "half"}, "auto", False),
        ({"torch_dtype": "torch.float8_e4m3fn"}, "auto", True),
    ],
)
def test_the_output_type(fields: Config, flag: str, eligible: bool) -> None:
    found = plan.build(encoded("qwen3-32b", **fields), Options(flags=ServerFlags(dtype=flag)))

    assert {each.reason for each in found.linears} == {"" if eligible else eligibility.WRONG_DTYPE}


def test_the_quantisation_of_nested_and_older_configs_is_found() -> None:
    older = {**MODELS["qwen3-32b"], "compression_config": {**PTPC}}
    text = {**MODELS["mistral-small-24b"]["text_config"], "quantization_config": PTPC}  # type: ignore[dict-item]
    inner = {**MODELS["mistral-small-24b"], "text_config": text}

    assert len(plan.build(json.dumps(older).encode(), Options()).problems) == 204
    assert len(plan.build(json.dumps(inner).encode(), Options()).problems) == 204


@pytest.mark.parametrize(
    ("model", "tensor", "name", "k"),
    [("qwen2.5-72b", 8, "down_proj", 3696), ("deepseek-v2-lite", 4, "down_proj", 2736)],
)
def test_what_vllm_would_die_of_turns_the_kernel_off(model: str, tensor: int, name: str, k: int) -> None:
    found = build(model, tensor=tensor)

    fatal = [each for each in found.incompatible if each.linear.k == k]
    assert [each.linear.name for each in fatal] == [name]
    assert (found.reason, found.problems) == ("KernelIncompatible", ())
    assert name in found.message
    assert str(k) in found.message


def test_the_same_shape_in_a_model_that_is_not_quantised_is_harmless() -> None:
    found = build("qwen2.5-72b", None, tensor=8)

    assert found.incompatible == ()
    assert found.reason == "NoEligibleLinears"


def test_shapes_below_the_gate_write_no_row_but_harm_nothing() -> None:
    found = build("qwen3-next-80b", tensor=8)
    gate = reasons(found)["in_proj_ba"]

    assert gate == "requires N >= 16 and both N and K divisible by 16, received N=8 and K=2048."
    assert (found.reason, found.incompatible) == ("", ())
    lite = build("deepseek-v2-lite", tensor=8)
    dense = [each for each in lite.linears if each.linear[:2] == (2048, 1368)]
    assert ["received N=2048 and K=1368" in each.reason for each in dense] == [True]


def test_gpt_oss_quantises_its_experts_only() -> None:
    found = build("gpt-oss-120b", MXFP4)

    assert [(each.linear.name, each.linear.bias, each.eligible) for each in found.linears] == [
        ("qkv_proj", True, False),
        ("o_proj", True, False),
    ]
    assert "MXFP4 covers the experts only" in found.message


def test_router_gates_of_qwen3_moe_follow_the_ignore_list() -> None:
    assert reasons(build("qwen3-30b-a3b"))["gate"] == ""
    listed = ptpc(top={"ignore": ["lm_head", "re:.*mlp.gate$"]})
    assert reasons(build("qwen3-30b-a3b", listed))["gate"] == "not quantised: in the checkpoint's ignore list"


def test_gemma_3_tower_is_quantised_online_and_may_be_fatal() -> None:
    online = build("gemma-3-27b", None, flags=ONLINE)
    tower = {each.linear.name: each for each in online.linears if each.linear.n in (1152, 3456)}
    assert tower["qkv_proj"].linear == Linear(3456, 1152, bias=True, name="qkv_proj", copies=27)
    assert "image patches" in tower["out_proj"].reason
    assert len(online.problems) == 204

    without = build("gemma-3-27b", None, tensor=8, flags=ONLINE._replace(no_input=frozenset({"image"})))
    assert without.incompatible == ()
    eight = build("gemma-3-27b", None, tensor=8, flags=ONLINE)
    assert [each.linear.name for each in eight.incompatible] == ["out_proj"]
    assert eight.incompatible[0].linear[:2] == (1152, 144)
    listed = ptpc(top={"ignore": ["re:vision_tower.*"]})
    assert build("gemma-3-27b", listed, tensor=8).reason == ""


def test_explicit_linears_come_beside_or_instead_of_the_config() -> None:
    extra = Linear(4096, 4096, bias=True)
    beside = build("qwen3-32b", linears=(extra,))
    instead = plan.build(None, Options(linears=(extra, Linear(24, 4096), Linear(64, 16 * 3))))
    unknown = plan.build(b'{"architectures": ["Mamba2ForCausalLM"]}', Options(linears=(extra,)))

    assert (beside.source, len(beside.problems)) == ("Config", 5 * 51)
    assert (instead.source, len(instead.problems)) == ("Explicit", 51)
    assert [each.eligible for each in instead.linears] == [True, False, False]
    assert (unknown.source, unknown.reason) == ("Explicit", "")


def test_plans_without_problems_say_why() -> None:
    missing = plan.build(None, Options())
    unknown = plan.build(b'{"architectures": ["Mamba2ForCausalLM"]}', Options())
    nameless = plan.build(b"{}", Options())

    assert (missing.reason, missing.source) == ("ConfigMissing", "Unknown")
    assert (unknown.reason, unknown.source) == ("UnknownArchitecture", "Unknown")
    assert "Mamba2ForCausalLM" in unknown.message
    assert nameless.reason == "UnknownArchitecture"
    for found in (missing, unknown, nameless):
        assert found.problems == ()
        assert found.message


@pytest.mark.parametrize("strategy", ["token", "tensor", "TOKEN"])
def test_dynamic_activations_have_one_scale_per_token_whatever_their_strategy(strategy: str) -> None:
    config = ptpc(weights={"strategy": "CHANNEL", "type": "FLOAT"}, inputs={"strategy": strategy, "dynamic": True})
    assert len(eligible(build("qwen3-32b", config))) == 4


def test_a_pattern_of_quark_is_compiled_once_however_many_linears_it_is_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a pattern for each linear of a large model a plan would else take longer than it may."""
    compiled: list[str] = []
    translate = fnmatch.translate

    def counted(text: str) -> str:
        compiled.append(text)
        return translate(text)

    monkeypatch.setattr(fnmatch, "translate", counted)
    patterns = [f"*.layers.{at}.self_attn.*" for at in range(64)]
    config = {**QUARK, "layer_quant_config": dict.fromkeys(patterns, QUARK["global_quant_config"])}
    assert len(eligible(build("qwen3-32b", config))) == 4
    assert sorted(compiled) == sorted(patterns)


@pytest.mark.parametrize(("version", "count"), [((0, 29), 0), ((0, 30), 4), ((0, 33), 4)])
def test_quark_lists_of_one_are_unwrapped_from_0_30(version: tuple[int, int], count: int) -> None:
    everything = QUARK["global_quant_config"]
    assert isinstance(everything, dict)
    config = {**QUARK, "global_quant_config": {name: [value] for name, value in everything.items()}}
    assert len(eligible(build("qwen3-32b", config, vllm=Version(*version)))) == count


@pytest.mark.parametrize("dynamic", [True, 1])
def test_quark_takes_any_true_value_for_dynamic(dynamic: object) -> None:
    config = copy.deepcopy(QUARK)
    config["global_quant_config"]["input_tensors"]["is_dynamic"] = dynamic  # type: ignore[index] # a literal
    assert len(eligible(build("qwen3-32b", config))) == 4


@pytest.mark.parametrize(
    ("backend", "version", "count"),
    [
        ("auto", (0, 33), 4),
        ("aiter", (0, 33), 0),
        ("torch", (0, 33), 0),
        ("triton", (0, 33), 4),
        ("triton", (0, 23), 0),
    ],
)
def test_a_backend_without_an_fp8_kernel_leaves_vllms_own_choice(
    backend: str, version: tuple[int, int], count: int
) -> None:
    found = build("qwen3-32b", vllm=Version(*version), flags=ServerFlags(linear_backend=backend))
    assert len(eligible(found)) == count
