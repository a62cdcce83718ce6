"""What the fields of compressed-tensors' config say: groups, their targets, bits, and the names of older versions."""

from __future__ import annotations

import copy
import json

import pytest
from tests.ptpc import PTPC
from tests.unit.kernel.configs import Config, encoded
from tests.unit.kernel.plans import build, eligible, ptpc, reasons

from hipbmm_kernel.planner import plan
from hipbmm_kernel.planner.model_config import ConfigInvalid
from hipbmm_kernel.planner.plan import Options


def groups(*targets: list[str], schemes: list[dict[str, object]]) -> Config:
    """Groups of compressed-tensors, each with targets and a scheme."""
    made = {
        f"group_{at}": {**scheme, "targets": names}
        for at, (names, scheme) in enumerate(zip(targets, schemes, strict=True))
    }
    return {**PTPC, "config_groups": made}


GROUP: dict[str, object] = copy.deepcopy(PTPC["config_groups"]["group_0"])  # type: ignore[index] # a literal
WEIGHTS_ALONE: dict[str, object] = {**GROUP, "input_activations": None}


@pytest.mark.parametrize("target", ["Linear", "linear", "re:.*Linear", "re:.*"])
def test_a_group_finds_linears_by_the_name_of_their_class(target: str) -> None:
    found = build("qwen3-32b", groups([target], schemes=[GROUP]))
    assert eligible(found) == {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}


@pytest.mark.parametrize(
    ("target", "ignored", "named"),
    [
        ("lm_head", "re:visual.*", True),
        ("re:.*lm_head", "re:visual.*", True),
        ("re:.*(q_proj|lm_head)$", "re:visual.*", True),
        ("re:.*lm_head", "re:.*lm_head", False),
        ("Linear", "re:visual.*", False),
        ("re:.*_proj", "re:visual.*", False),
    ],
)
def test_a_quantised_lm_head_is_named_and_leaves_open_what_the_kernel_can_load(
    target: str, ignored: str, *, named: bool
) -> None:
    found = build("qwen3-32b", {**groups([target], schemes=[GROUP]), "ignore": [ignored]})
    assert any("lm_head" in words for words in found.warnings) is named
    assert found.unsure is named


@pytest.mark.parametrize("target", ["RowParallelLinear", "ParallelLinear", "re:QKV.*", "re:.*ParallelLinear"])
def test_a_group_of_some_classes_only_is_refused(target: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"group_0\.targets"):
        build("qwen3-32b", groups([target], schemes=[GROUP]))


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (["re:.*q_proj"], ["re:.*\\.(k|v)_proj"], GROUP),
        (["re:.*\\.(k|v)_proj"], ["re:.*q_proj"], WEIGHTS_ALONE),
        (["re:.*q_proj"], ["re:.*k_proj"], None),
    ],
    ids=["the first part's group", "the first part's group is the second", "one part has no group"],
)
def test_a_merged_linear_has_the_scheme_of_its_first_part(
    first: list[str], second: list[str], found: dict[str, object] | None
) -> None:
    made = reasons(build("qwen3-32b", groups(first, second, schemes=[GROUP, WEIGHTS_ALONE])))
    words = "no group of the checkpoint targets it" if found is None else "W8A16" if found is WEIGHTS_ALONE else ""
    assert words in made["qkv_proj"]
    assert bool(words) == bool(made["qkv_proj"])


@pytest.mark.parametrize(
    ("first", "second", "scheme"),
    [
        (["Linear"], ["Linear"], WEIGHTS_ALONE),
        (["re:.*proj"], ["Linear", "re:.*proj"], WEIGHTS_ALONE),
        (["re:.*proj"], ["re:.*o_proj", "Linear"], GROUP),
    ],
)
def test_a_target_of_two_groups_has_the_scheme_of_the_last(
    first: list[str], second: list[str], scheme: dict[str, object]
) -> None:
    found = build("qwen3-32b", groups(first, second, schemes=[GROUP, WEIGHTS_ALONE]))
    assert len(eligible(found)) == (4 if scheme is GROUP else 0)


@pytest.mark.parametrize(("field", "found"), [("quantization_config", 0), ("compression_config", 4)])
def test_a_configuration_without_a_method_is_compressed_tensors_by_its_older_name_only(field: str, found: int) -> None:
    config = json.loads(encoded("qwen3-32b", None)) | {field: {**PTPC, "quant_method": None}}
    assert len(eligible(plan.build(json.dumps(config).encode(), Options()))) == found


@pytest.mark.parametrize(("newer", "found"), [("bfloat16", 4), ("float16", 0)])
def test_of_two_names_of_the_type_the_newer_counts(newer: str, found: int) -> None:
    other = "float16" if found else "bfloat16"
    config = json.loads(encoded("qwen3-32b", PTPC)) | {"torch_dtype": other, "dtype": newer}
    assert len(eligible(plan.build(json.dumps(config).encode(), Options()))) == found


@pytest.mark.parametrize("strategy", ["channel", "tensor", None])
def test_bits_that_vllm_does_not_ask_for_are_refused_by_the_field(strategy: str | None) -> None:
    with pytest.raises(ConfigInvalid, match=r"weights\.num_bits.*4.*8 bits"):
        plan.build(encoded("qwen3-32b", ptpc(weights={"num_bits": 4, "strategy": strategy})), Options())


@pytest.mark.parametrize("part", ["weights", "inputs"])
@pytest.mark.parametrize("bits", ["8", 8.0, "8.0", " 8"])
def test_bits_are_read_as_compressed_tensors_reads_them(part: str, bits: object) -> None:
    assert len(eligible(build("qwen3-32b", ptpc(**{part: {"num_bits": bits}})))) == 4
    assert not eligible(build("qwen3-32b", ptpc(inputs={"num_bits": "4"})))


@pytest.mark.parametrize("bits", ["x", "8x", 8.5, [8], "\u0668"])
def test_bits_that_are_no_number_are_refused_by_the_field(bits: object) -> None:
    with pytest.raises(ConfigInvalid, match=r"weights\.num_bits"):
        build("qwen3-32b", ptpc(weights={"num_bits": bits}))
