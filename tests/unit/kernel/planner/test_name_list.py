"""Lists of a checkpoint that leave modules out, or mean a group of them, by names and patterns."""

from __future__ import annotations

import copy

import pytest
from tests.ptpc import PTPC
from tests.unit.kernel.configs import QUARK, Config
from tests.unit.kernel.plans import build, eligible, ptpc, reasons

from hipbmm_kernel.planner.model_config import ConfigInvalid
from hipbmm_kernel.planner.server_flags import ServerFlags
from hipbmm_kernel.planner.vllm_version import Version

IGNORED = "not quantised: in the checkpoint's ignore list"


@pytest.mark.parametrize(
    ("ignore", "left_out"),
    [
        (["lm_head"], set()),
        (["re:.*down_proj"], {"down_proj"}),
        (["re:.*self_attn.*"], {"qkv_proj", "o_proj"}),
        (["re:.*gate_proj", "re:.*up_proj"], {"gate_up_proj"}),
        ([f"model.layers.{at}.mlp.down_proj" for at in range(64)], {"down_proj"}),
        ([f"model.layers.{at}.self_attn.{p}_proj" for at in range(64) for p in "qkv"], {"qkv_proj"}),
        ([f"model.layers.{at}.self_attn.qkv_proj" for at in range(64)], {"qkv_proj"}),
        (["down_proj", "re:down_proj"], set()),
        ([f"model.model.layers.{at}.mlp.down_proj" for at in range(64)], set()),
        (["re:.*qkv_proj"], {"qkv_proj"}),
    ],
)
def test_ignore_lists(ignore: list[str], left_out: set[str]) -> None:
    found = build("qwen3-32b", ptpc(top={"ignore": ignore}))

    assert {name for name, reason in reasons(found).items() if reason} == left_out
    assert {reason for reason in reasons(found).values() if reason} <= {IGNORED}
    quark = build("qwen3-32b", {**QUARK, "exclude": ignore})
    assert reasons(quark) == reasons(found)


def test_a_list_of_some_layers_splits_the_count() -> None:
    found = build("qwen3-32b", ptpc(top={"ignore": ["model.layers.0.mlp.down_proj", "model.layers.63.mlp.down_proj"]}))

    down = {each.linear.copies: each.eligible for each in found.linears if each.linear.name == "down_proj"}
    assert down == {2: False, 62: True}
    assert len(found.problems) == 204


def test_only_some_parts_of_a_fused_linear_ignored() -> None:
    found = build("qwen3-32b", ptpc(top={"ignore": ["re:.*k_proj"]}))

    assert reasons(found)["qkv_proj"] == (
        "vLLM refuses to load it: the checkpoint ignores only some of q_proj, k_proj, v_proj"
    )


@pytest.mark.parametrize(
    "pattern",
    [
        r"re:model\.layers\..*o_proj",
        r"re:^language_model\..*o_proj",
        r"re:model\.language_model.*",
        "re:.*text_model.*",
    ],
)
def test_a_pattern_that_depends_on_the_name_of_the_language_model_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigInvalid, match="by some of its spellings only"):
        build("mistral-small-24b", ptpc(top={"ignore": [pattern]}))


@pytest.mark.parametrize("listed", ["ignore", "targets"])
@pytest.mark.parametrize("pattern", ["model.layers.0.*.o_proj", "model.layers.[0-3].mlp.*", "re:^model.layers.*"])
def test_a_shell_pattern_that_depends_on_it_is_refused_as_well(pattern: str, listed: str) -> None:
    asked = {"ignore": {"ignore": (pattern,)}, "targets": {"online_targets": ((pattern, "fp8_per_channel"),)}}[listed]
    flags = ServerFlags(quantization="online", online_linear="fp8_per_channel")._replace(**asked)  # type: ignore[arg-type]
    with pytest.raises(ConfigInvalid, match=f"quantization-config.{listed}.*by some of its spellings only"):
        build("mistral-small-24b", None, flags=flags)
    assert build("mistral-7b", None, flags=flags).source == "Config"


@pytest.mark.parametrize(("pattern", "glob"), [("re:.*self_attn.*", "*self_attn*"), (r"re:.*\.attn\..*", "*.attn.*")])
def test_of_gpt_oss_patterns_depend_on_vllms_own_name_of_the_attention(pattern: str, glob: str) -> None:
    for scheme in (
        ptpc(top={"ignore": [pattern]}),
        {**QUARK, "exclude": [pattern]},
        {**QUARK, "layer_quant_config": {glob: {}}},
    ):
        with pytest.raises(ConfigInvalid, match="by some of its spellings only"):
            build("gpt-oss-120b", scheme)


def test_of_gpt_oss_names_of_the_checkpoint_are_mapped_and_endings_count() -> None:
    for name in ("self_attn", "attn"):  # the checkpoint's, and vLLM's own
        listed = [f"model.layers.{at}.{name}.o_proj" for at in range(36)]
        assert eligible(build("gpt-oss-120b", ptpc(top={"ignore": listed}))) == {"qkv_proj"}
    assert eligible(build("gpt-oss-120b", ptpc(top={"ignore": ["re:.*(q|k|v)_proj"]}))) == {"o_proj"}


def test_where_there_is_one_spelling_a_pattern_may_depend_on_it() -> None:
    found = build("qwen3-32b", ptpc(top={"ignore": [r"re:model\.layers\..*o_proj"]}))
    assert {name for name, reason in reasons(found).items() if reason} == {"o_proj"}


@pytest.mark.parametrize("prefix", ["", "model."])
def test_a_tower_is_listed_with_and_without_the_models_name(prefix: str) -> None:
    listed = [f"{prefix}vision_tower.vision_model.encoder.layers.{at}.self_attn.out_proj" for at in range(27)]
    found = build("gemma-3-27b", ptpc(top={"ignore": listed}), tensor=8)
    assert "out_proj" not in [each.linear.name for each in found.incompatible]


@pytest.mark.parametrize("version", [(0, 23), (0, 28), (0, 33)])
@pytest.mark.parametrize("linear", ["self_attn.o_proj", "self_attn.q_proj"])
def test_a_name_in_the_text_model_alone_is_refused_within_another(linear: str, version: tuple[int, int]) -> None:
    # In vLLM 0.33.0 Qwen2.5-VL and Mistral 3 map `model.`; Qwen3-VL and Gemma 3 map `model.language_model.` only.
    ignored = ptpc(top={"ignore": [f"model.layers.0.{linear}"]})
    with pytest.raises(ConfigInvalid, match=rf"model\.layers\.0\.{linear}.*text model alone"):
        build("mistral-small-24b", ignored, vllm=Version(*version))


def test_a_pattern_of_quarks_schemes_that_means_a_text_model_alone_is_refused_as_well() -> None:
    def quark(pattern: str) -> Config:
        scheme = {"weight": {"dtype": "int4"}, "input_tensors": None}
        return {**QUARK, "layer_quant_config": {pattern: scheme}}

    with pytest.raises(ConfigInvalid, match=r"layer_quant_config: .model\.layers\.0\..*text model alone"):
        build("mistral-small-24b", quark("model.layers.*"))
    for pattern in ("*.layers.*mlp*", "language_model.*mlp*", "model.language_model.*mlp*"):
        assert eligible(build("mistral-small-24b", quark(pattern))) == {"qkv_proj", "o_proj"}
    assert not eligible(build("mistral-7b", quark("model.layers.*")))


@pytest.mark.parametrize("prefix", ["language_model.model.", "model.language_model.", "language_model."])
def test_names_of_multimodal_checkpoints(prefix: str) -> None:
    ignore = [f"{prefix}layers.{at}.self_attn.o_proj" for at in range(40)]
    found = build("mistral-small-24b", ptpc(top={"ignore": ignore}))

    assert {name for name, reason in reasons(found).items() if reason} == {"o_proj"}


def test_a_tower_of_the_same_layer_names_is_not_meant() -> None:
    ignore = [f"vision_tower.vision_model.encoder.layers.{at}.self_attn.q_proj" for at in range(40)]

    assert len(build("mistral-small-24b", ptpc(top={"ignore": ignore})).problems) == 204


def test_groups_by_name_before_groups_by_class() -> None:
    config = copy.deepcopy(PTPC)
    groups = config["config_groups"]
    other = copy.deepcopy(groups["group_0"])  # type: ignore[index] # a literal
    other["targets"] = ["re:.*down_proj"]
    other["weights"]["strategy"] = "tensor"
    groups["group_1"] = other  # type: ignore[index] # a literal

    found = reasons(build("qwen3-32b", config))

    assert {name for name, reason in found.items() if reason} == {"down_proj"}


def test_groups_by_the_parts_of_a_fused_linear() -> None:
    config = copy.deepcopy(PTPC)
    config["config_groups"]["group_0"]["targets"] = ["re:.*[qkv]_proj$"]  # type: ignore[index] # a literal

    found = reasons(build("qwen3-32b", config))

    assert found.pop("qkv_proj") == ""
    assert set(found.values()) == {"not quantised: no group of the checkpoint targets it"}


@pytest.mark.parametrize("pattern", ["re:(a+)+$", "re:(.*)*", "re:" + ".*a" * 7, "re:(", "re:" + "a" * 5000])
def test_patterns_that_could_take_for_ever_are_refused(pattern: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        build("qwen3-32b", ptpc(top={"ignore": [pattern]}))

    assert caught.value.field == "quantization_config.ignore"


@pytest.mark.parametrize(
    "pattern",
    [
        "re:.*lm_head",
        r"re:model\.layers\.(1|2|3)\..*",
        r"re:.*\.layers\.[0-9]+\.mlp\.experts\.[0-9]+\..*",
        "re:.*mlp.gate$",
        "re:visual.*",
        r"re:.*(self_attn|mlp)\.\w+_proj",
    ],
)
def test_patterns_of_published_checkpoints_are_taken(pattern: str) -> None:
    assert build("qwen3-32b", ptpc(top={"ignore": [pattern]})).source == "Config"


@pytest.mark.parametrize(("version", "left_out"), [((0, 27), set()), ((0, 29), set()), ((0, 30), {"qkv_proj"})])
def test_patterns_are_asked_about_fused_names_from_0_30(version: tuple[int, int], left_out: set[str]) -> None:
    found = build("qwen3-32b", ptpc(top={"ignore": ["re:.*qkv_proj"]}), vllm=Version(*version))
    assert {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"} - eligible(found) == left_out


@pytest.mark.parametrize(("version", "chosen"), [((0, 26), True), ((0, 27), False), ((0, 33), False)])
def test_parts_come_before_the_class_from_0_27(version: tuple[int, int], chosen: bool) -> None:
    fp4 = {"weights": {"type": "float", "num_bits": 4, "strategy": "group"}, "targets": ["re:.*\\.(gate|up)_proj$"]}
    config = ptpc()
    config["config_groups"] = {**config["config_groups"], "group_1": fp4}  # type: ignore[dict-item] # a literal
    assert ("gate_up_proj" in eligible(build("qwen3-32b", config, vllm=Version(*version)))) is chosen


@pytest.mark.parametrize(("version", "first"), [((0, 24), True), ((0, 29), True), ((0, 30), False), ((0, 33), False)])
@pytest.mark.parametrize("fused", ["self_attn.qkv_proj", "mlp.gate_up_proj"])
def test_quark_was_not_asked_about_a_fused_name(fused: str, version: tuple[int, int], first: bool) -> None:
    excluded = {**QUARK, "exclude": [f"model.layers.0.{fused}"]}
    found = build("qwen3-32b", excluded, vllm=Version(*version)).linears
    assert {each.linear.copies for each in found if each.eligible} == ({64} if first else {63, 64})


def test_quark_excludes_a_fused_linear_by_its_parts_in_every_version() -> None:
    excluded = {**QUARK, "exclude": ["re:.*(q|k|v)_proj", "model.layers.0.mlp.down_proj"]}
    for minor in (24, 29, 33):
        found = build("qwen3-32b", excluded, vllm=Version(0, minor))
        assert "qkv_proj" not in eligible(found)
        assert 63 in {each.linear.copies for each in found.linears if each.eligible}
