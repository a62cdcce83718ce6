"""The stand-in of vLLM reads flags and models independently of the kernel program; the two must agree."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hipbmm_kernel.planner import tokens
from hipbmm_kernel.planner.server_flags import ServerFlags
from hipbmm_kernel.planner.vllm_version import Version

QWEN3_32B = {
    "architectures": ["Qwen3ForCausalLM"],
    "hidden_size": 5120,
    "intermediate_size": 25600,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "num_hidden_layers": 64,
    "head_dim": 128,
}
SHAPES = {
    1: [(10240, 5120), (5120, 8192), (51200, 5120), (5120, 25600)],
    4: [(2560, 5120), (5120, 2048), (12800, 5120), (5120, 6400)],
    8: [(1280, 5120), (5120, 1024), (6400, 5120), (5120, 3200)],
    16: [(768, 5120), (5120, 512), (3200, 5120), (5120, 1600)],
}


@pytest.fixture(scope="module")
def captured(stand_in: Callable[[str], ModuleType]) -> Callable[..., list[int]]:
    arguments, capture = stand_in("vllm.arguments"), stand_in("vllm.capture")

    def sizes(*flags: str) -> list[int]:
        result: list[int] = capture.capture_sizes(arguments.parse(["model", *flags]))
        return result

    sizes()  # the parser is made once, which is slow
    return sizes


@pytest.fixture(scope="module")
def linears(stand_in: Callable[[str], ModuleType]) -> ModuleType:
    return stand_in("vllm.linears")


def test_capture_sizes_of_0_33(captured: Callable[..., list[int]]) -> None:
    default = captured()
    assert len(default) == 51
    assert default[:6] == [1, 2, 4, 8, 16, 24]
    assert default[-3:] == [480, 496, 512]
    assert 256 in default
    assert 248 in default
    assert len(captured("--max-num-seqs", "128")) == 35
    assert len(captured("--max_num_seqs=64")) == 19
    assert captured("--max-num-seqs", "100")[14:17] == [96, 100, 104]
    assert captured("--max-num-seqs", "100")[-1] == 200
    assert 100 not in captured("--max-num-seqs", "100", "--max-cudagraph-capture-size", "512")
    assert captured("--enforce-eager") == []
    assert captured("--compilation-config", '{"cudagraph_capture_sizes": [8, 2, 8]}') == [2, 8]
    assert captured("--cudagraph-capture-sizes", "16", "1") == [1, 16]
    speculative = captured("--max-num-seqs", "256", "--speculative-config", '{"num_speculative_tokens": 2}')
    with pytest.raises(ValueError, match="should be consistent"):
        captured("--cudagraph-capture-sizes", "16", "--max-cudagraph-capture-size", "32")
    assert {264, 312, 360, 408, 456, 504} <= set(speculative)


@given(
    sequences=st.integers(1, 1200),
    cap=st.none() | st.integers(1, 600),
    batched=st.sampled_from([64, 300, 512, 2048, 16384]),
    drafts=st.integers(0, 4),
    mode=st.sampled_from(["balanced", "interactivity"]),
)
def test_the_kernel_programs_list_is_the_same(
    captured: Callable[..., list[int]], sequences: int, cap: int | None, batched: int, drafts: int, mode: str
) -> None:
    assume(batched >= sequences)
    flags = ["--max-num-seqs", str(sequences), "--max-num-batched-tokens", str(batched)]
    flags += ["--performance-mode", mode]
    flags += [] if cap is None else ["--max-cudagraph-capture-size", str(cap)]
    flags += [] if drafts == 0 else ["--speculative-config", f'{{"num_speculative_tokens": {drafts}}}']
    theirs = tokens.captured_sizes(
        ServerFlags(
            max_num_seqs=sequences,
            max_num_batched_tokens=batched,
            max_capture_size=cap,
            speculative_tokens=drafts,
            performance_mode=mode,
        ),
        Version(0, 33),
    )
    assert captured(*flags) == list(theirs)


@pytest.mark.parametrize("parallel", SHAPES)
def test_linears_of_qwen3_32b(linears: ModuleType, parallel: int) -> None:
    found = linears.linears(QWEN3_32B, parallel)
    assert [(item.N, item.K) for item in found] == SHAPES[parallel]
    assert [item.name for item in found] == ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
    assert {(item.bias, item.count) for item in found} == {(False, 64)}


def test_biases_and_refusals(linears: ModuleType) -> None:
    qwen2 = QWEN3_32B | {"architectures": ["Qwen2ForCausalLM"]}
    assert [item.bias for item in linears.linears(qwen2, 1)] == [True, False, False, False]
    for config, parallel in ((QWEN3_32B, 3), (QWEN3_32B, 128), ({"architectures": ["T5"]}, 1)):
        with pytest.raises(linears.UnsupportedModelError):
            linears.linears(config, parallel)


def test_which_quantisations_reach_the_kernel(linears: ModuleType) -> None:
    weights = {"num_bits": 8, "type": "float", "strategy": "channel"}
    activations = {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True}

    def checkpoint(**changes: object) -> dict[str, Any]:
        group = {"weights": weights, "input_activations": activations} | changes
        return {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}}

    assert linears.is_per_token_per_channel(checkpoint(), None)
    assert not linears.is_per_token_per_channel(checkpoint(weights=weights | {"strategy": "tensor"}), None)
    assert not linears.is_per_token_per_channel(checkpoint(input_activations=activations | {"dynamic": False}), None)
    assert not linears.is_per_token_per_channel(checkpoint(weights=weights | {"type": "int"}), None)
    assert not linears.is_per_token_per_channel({}, None)
    assert linears.is_per_token_per_channel({}, "fp8_per_channel")
    assert not linears.is_per_token_per_channel({"quantization_config": {"quant_method": "fp8"}}, "fp8_per_channel")
