"""Online quantisation: what a flag asks for, with and without a quantised checkpoint."""

from __future__ import annotations

import pytest
from tests.unit.kernel.configs import BLOCK, MXFP4, QUARK, Config
from tests.unit.kernel.plans import build, eligible, ptpc

from hipbmm_kernel.planner import vllm_version
from hipbmm_kernel.planner.model_config import ConfigInvalid
from hipbmm_kernel.planner.server_flags import ServerFlags
from hipbmm_kernel.planner.vllm_version import Version

ONLINE = ServerFlags(quantization="fp8_per_channel")
MLP_ALONE = ptpc(top={"ignore": ["lm_head", "re:.*self_attn.*"]})
INT8_MLP_ALONE = ptpc(top={"ignore": ["lm_head", "re:.*self_attn.*"]}, weights={"type": "int"}, inputs={"type": "int"})


def test_online_quantisation_by_version() -> None:
    new = build("qwen3-32b", None, flags=ONLINE)
    old = build("qwen3-32b", None, flags=ONLINE, vllm=vllm_version.Version(0, 23))
    gone = build("qwen3-32b", None, flags=ServerFlags(quantization="ptpc_fp8"))
    other = build("qwen3-32b", None, flags=ServerFlags(quantization="fp8"))

    assert len(new.problems) == 204
    assert "needs vLLM 0.24, this is 0.23" in old.message
    assert "gone since vLLM 0.22" in gone.message
    assert "no per channel weight scales" in other.message


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [
        ("*o_proj", {"o_proj"}),
        ("model.layers.*.mlp.*", {"gate_up_proj", "down_proj"}),
        ("model.layers.*.self_attn", set()),
        ("*self_attn*qkv*", {"qkv_proj"}),
        ("model.layers.0*", set()),
        ("re:.*o_proj", {"o_proj"}),
    ],
)
def test_online_ignore_lists_take_shell_patterns(pattern: str, left_out: set[str]) -> None:
    found = build("qwen3-32b", None, flags=ONLINE._replace(ignore=(pattern,)))
    everywhere = {each.linear.name for each in found.linears} - {e.linear.name for e in found.linears if e.eligible}

    assert everywhere == left_out


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (ServerFlags(quantization="online", online_linear="fp8_per_channel"), 4),
        (ServerFlags(quantization="fp8_per_tensor", online_linear="fp8_per_channel_static"), 4),
        (ServerFlags(quantization="fp8_per_channel", online_linear="mxfp8"), 0),
        (ServerFlags(quantization="online", online_targets=(("*self_attn*", "fp8_per_channel"),)), 2),
        (ServerFlags(quantization="online", online_targets=(("re:.*mlp.*", "fp8_per_tensor"),)), 0),
        (ServerFlags(online_linear="fp8_per_channel"), 0),
        (ServerFlags(quantization="fp8", online_linear="fp8_per_channel"), 4),
        (ServerFlags(quantization="int8_per_channel_weight_only"), 0),
        (ServerFlags(quantization="int8_per_channel_weight_only", online_linear="fp8_per_channel"), 4),
        (ServerFlags(quantization="nvfp4_per_token", online_linear="fp8_per_channel_static"), 4),
        (
            ServerFlags.from_argv(
                ["-q", "fp8_per_channel", "--quantization-config.linear.activation", "fp8_per_token"]
            ),
            0,
        ),
    ],
)
def test_online_quantisation_is_read_as_vllm_resolves_it(flags: ServerFlags, names: int) -> None:
    assert len(eligible(build("qwen3-32b", None, flags=flags))) == names


@pytest.mark.parametrize(
    ("checkpoint", "flags", "names"),
    [
        (MLP_ALONE, ServerFlags(), {"gate_up_proj", "down_proj"}),
        (MLP_ALONE, ServerFlags(online_linear="fp8_per_channel"), {"qkv_proj", "o_proj"}),
        (MLP_ALONE, ServerFlags(online_linear="fp8_per_tensor"), set()),
        (
            MLP_ALONE,
            ServerFlags(online_linear="fp8_per_channel", ignore=("*qkv_proj", "*mlp*")),
            {"o_proj", "gate_up_proj", "down_proj"},
        ),
        (INT8_MLP_ALONE, ServerFlags(online_linear="fp8_per_channel"), {"qkv_proj", "o_proj"}),
        (INT8_MLP_ALONE, ServerFlags(online_targets=(("*o_proj", "fp8_per_channel"),)), {"o_proj"}),
        (MXFP4, ServerFlags(online_targets=(("*down_proj", "fp8_per_channel"),)), {"down_proj"}),
        (
            {**QUARK, "exclude": ["re:.*mlp.*"]},
            ServerFlags(online_targets=(("*o_proj", "mxfp8"),)),
            {"qkv_proj"},
        ),
        (
            {**BLOCK, "modules_to_not_convert": ["re:.*down_proj"]},
            ServerFlags(online_targets=(("*down_proj", "fp8_per_channel"),)),
            {"down_proj"},
        ),
    ],
)
@pytest.mark.parametrize("newer", [True, False])
def test_from_0_30_flags_quantise_what_a_checkpoint_has_in_16_bit(
    checkpoint: Config, flags: ServerFlags, names: set[str], newer: bool
) -> None:
    version = Version(0, 30 if newer else 29)
    found = eligible(build("qwen3-32b", checkpoint, flags=flags, vllm=version))
    assert found == (names if newer else eligible(build("qwen3-32b", checkpoint, vllm=version)))


@pytest.mark.parametrize("checkpoint", [MLP_ALONE, INT8_MLP_ALONE, {**QUARK, "exclude": ["*self_attn*"]}])
@pytest.mark.parametrize("method", ["fp8_per_channel", "mxfp8", "int8_per_channel_weight_only"])
def test_what_both_quantise_is_named(checkpoint: Config, method: str) -> None:
    flags = ServerFlags(online_targets=(("*down_proj", method),))
    found = {each.linear.name: each.reason for each in build("qwen3-32b", checkpoint, flags=flags).linears}
    alone = {each.linear.name: each.reason for each in build("qwen3-32b", checkpoint).linears}
    refused = "vLLM refuses to load it" in found.pop("down_proj")
    assert refused == (method != "int8_per_channel_weight_only")
    del alone["down_proj"]
    assert found == alone


MXFP8: Config = {"quant_method": "modelopt", "quant_algo": "MXFP8", "ignore": ["lm_head", "*self_attn*"]}


@pytest.mark.parametrize(
    "checkpoint",
    [
        MXFP8,
        {"quant_method": "modelopt_mxfp8", "quantization": {"quant_algo": "mxfp8", "exclude_modules": ["lm_head"]}},
        {"quant_method": "mxfp8", "ignored_layers": ["lm_head"]},
    ],
)
def test_from_0_32_flags_quantise_what_a_checkpoint_has_in_mxfp8(checkpoint: Config) -> None:
    o_proj = ServerFlags(online_targets=(("*o_proj", "fp8_per_channel"),))
    assert eligible(build("qwen3-32b", checkpoint, flags=o_proj, vllm=Version(0, 32))) == {"o_proj"}
    assert not eligible(build("qwen3-32b", checkpoint, flags=o_proj, vllm=Version(0, 31)))
    assert not eligible(build("qwen3-32b", checkpoint, vllm=Version(0, 32)))


def test_what_other_formats_of_modelopt_leave_in_16_bit_is_not_guessed() -> None:
    checkpoint = {**MXFP8, "quant_algo": "FP8"}
    with pytest.raises(ConfigInvalid, match=r"quantization_config\.quant_method: 'modelopt'"):
        build("qwen3-32b", checkpoint, flags=ServerFlags(online_linear="fp8_per_channel"))
    assert not eligible(build("qwen3-32b", checkpoint))
