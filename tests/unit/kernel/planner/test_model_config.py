"""A hostile config.json ends in ConfigInvalid with the field, quickly."""

from __future__ import annotations

import json
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ptpc import PTPC
from tests.unit.kernel.configs import MODELS, encoded

from hipbmm_kernel.planner import model_config, plan
from hipbmm_kernel.planner.model_config import ConfigInvalid
from hipbmm_kernel.planner.plan import Options
from hipbmm_kernel.pod import pod_plan
from hipbmm_kernel.system import json_text

pytestmark = pytest.mark.timeout(600)  # a thousand examples each, on a machine that may be shared


def refused(data: bytes) -> ConfigInvalid:
    with pytest.raises(ConfigInvalid) as caught:
        plan.build(data, Options())
    return caught.value


@pytest.mark.parametrize(
    "value",
    [-1, 0, 10**12, 10**400, 1.5, "5120", True, [], {}, None, float("nan"), float("inf"), "../../etc/passwd"],
    ids=repr,
)
@pytest.mark.parametrize("field", ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"])
def test_a_wrong_size_is_named(field: str, value: object) -> None:
    error = refused(encoded("llama-3.1-70b", **{field: value}))

    assert error.field == field
    assert error.remedy
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_key_value_heads", -8),
        ("head_dim", "128"),
        ("attention_bias", 1),
        ("architectures", "LlamaForCausalLM"),
        ("architectures", [7]),
        ("text_config", {"hidden_size": -1, "model_type": "llama"}),
        ("quantization_config", []),
        ("quantization_config", {"quant_method": 7}),
        ("quantization_config", {"quant_method": "compressed-tensors", "ignore": "lm_head"}),
        ("quantization_config", {"quant_method": "compressed-tensors", "config_groups": [1]}),
        ("quantization_config", {"quant_method": "quark", "exclude": [1]}),
        ("quantization_config", {"quant_method": "quark", "layer_quant_config": {"x": 1}}),
    ],
)
def test_a_wrong_type_is_named(field: str, value: object) -> None:
    assert refused(encoded("llama-3.1-70b", None, **{field: value})).field.startswith(field)


def test_a_layer_list_that_is_too_short_is_named() -> None:
    assert refused(encoded("qwen3-next-80b", layer_types=["full_attention"])).field == "layer_types"
    assert refused(encoded("qwen3-next-80b", layer_types=["full_attention", 1])).field == "layer_types"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"7",
        b"null",
        b'"x"',
        b"{",
        b'{"a": 1,}',
        b"{'a': 1}",
        b"\xff\xfe{}",
        b'{"a": "\xff"}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"a": "[[[[["}' + b"[" * 200,
        b"{" * 65,
        b'"' + b'\\"' * 500_000,
        b'{"x": "' + b"\\\\" * 500_000 + b'"' + b"[" * 1000,
        b" " * (model_config.MAX_BYTES + 1),
        b'{"hidden_size": ' + b"9" * 100_000 + b"}",
    ],
    ids=range(18),
)
def test_what_is_not_a_config_is_refused(data: bytes) -> None:
    error = refused(data) if b"hidden_size" not in data else refused_size(data)

    assert error.field
    assert len(error.value) < 120


def refused_size(data: bytes) -> ConfigInvalid:
    with pytest.raises(ConfigInvalid) as caught:
        model_config.parse(data).size("hidden_size")
    return caught.value


def test_ten_thousand_levels_inside_a_supported_model() -> None:
    data = encoded("qwen3-32b")[:-1] + b', "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"

    assert refused(data).value == f"more than {json_text.MAX_DEPTH} levels"


def test_brackets_in_strings_are_not_levels() -> None:
    data = encoded("qwen3-32b", comment='[{"' * 500 + "\\" * 99)

    assert len(plan.build(data, Options()).problems) == 204


def test_a_field_twice_is_refused() -> None:
    error = refused(encoded("qwen3-32b")[:-1] + b', "hidden_size": 8192}')

    assert (error.field, error.value) == ("hidden_size", "8192")


def test_numbers_nobody_asks_for_do_no_harm() -> None:
    data = encoded("qwen3-32b")[:-1] + b', "rope_theta": Infinity, "x": NaN, "y": ' + b"7" * 10_000 + b"}"

    assert len(plan.build(data, Options()).problems) == 204


def test_a_byte_order_mark_is_no_reason() -> None:
    assert len(plan.build(b"\xef\xbb\xbf" + encoded("qwen3-32b"), Options()).problems) == 204


@pytest.mark.parametrize("value", ["x", [], 1, True])
def test_a_text_model_that_is_no_object_is_refused(value: object) -> None:
    config = {"architectures": ["LlamaForCausalLM"], "text_config": value}
    assert refused(json.dumps(config).encode()).field == "text_config"


@pytest.mark.parametrize("pattern", ["(.|.)*!", ".?" * 60 + "!"])
def test_a_pattern_that_backtracks_for_ever_ends_in_a_refusal(monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    monkeypatch.setattr(pod_plan, "PLAN_SECONDS", 0.2)
    with pytest.raises(ConfigInvalid, match="backtracks") as caught:
        pod_plan.build_in_time(encoded("qwen3-32b", {**PTPC, "ignore": [f"re:{pattern}"]}), Options())
    assert caught.value.field == "config.json"
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8), st.just("model")
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(("a", "weights")), inner, max_size=2)
    ),
    max_leaves=4,
)


def outcome(config: dict[str, object], tensor: int) -> str:
    """What came of a config: a field that was refused, or a plan's message or number of problems."""
    try:
        found = plan.build(json.dumps(config).encode(), Options(tensor))
    except ConfigInvalid as error:
        return error.field
    return found.message or str(len(found.problems))


@settings(max_examples=1000)
@given(st.sampled_from(sorted(MODELS)), st.sampled_from((1, 2, 8)), st.data())
def test_any_value_in_any_field_gives_a_plan_or_a_named_refusal(model: str, tensor: int, data: st.DataObject) -> None:
    config = {**MODELS[model], "num_hidden_layers": 2, "quantization_config": dict(PTPC)}
    nested = [name for name, value in config.items() if isinstance(value, dict)]
    place = data.draw(st.sampled_from(["", *nested]))
    holder = config
    if place:
        holder = dict(MODELS[model].get(place) or PTPC)  # type: ignore[call-overload] # a literal
        config[place] = holder
    holder[data.draw(st.sampled_from(sorted(holder)))] = data.draw(values)

    assert outcome(config, tensor)
