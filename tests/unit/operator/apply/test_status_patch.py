"""The difference of two statuses, and what an older CRD does not keep of one."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hipbmm_operator.apply.status_writer import lost, merge_patch, without

Json = dict[str, Any]


JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


OBJECT = st.dictionaries(st.text(max_size=3), JSON, max_size=4)


def patched(target: Json, patch: Json) -> Json:
    """RFC 7386."""
    out = copy.deepcopy(target)
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict):
            inner = out.get(key)
            out[key] = patched(inner if isinstance(inner, dict) else {}, value)
        else:
            out[key] = value
    return out


@given(OBJECT, OBJECT)
def test_a_merge_patch_turns_one_into_the_other(before: Json, after: Json) -> None:
    assert patched(before, merge_patch(before, after)) == after


@given(OBJECT)
def test_equal_objects_need_no_patch(value: Json) -> None:
    assert merge_patch(value, copy.deepcopy(value)) == {}


def test_what_an_older_crd_dropped_is_named() -> None:
    status = {"a": 1, "b": {"c": 2, "d": {}}, "e": [{"f": 1}]}
    assert lost(status, status) == ""
    assert lost(status, {"a": 1, "b": {"d": {}}, "e": []}) == "status.b.c"
    assert lost(status, {}) == "status.a"
    assert lost(status, {**status, "e": [{}]}) == "status.e[].f"


def test_a_refused_field_of_the_status_stays_as_it_was() -> None:
    refusal = '"qwen" is invalid: [status.phase: Unsupported value: "X", status.tuning.state: Unsupported value: "Y"]'
    status = {"phase": "X", "replicas": 2, "tuning": {"state": "Y"}, "conditions": []}
    before = {"phase": "Starting", "replicas": 1}
    assert without(status, before, refusal) == {"phase": "Starting", "replicas": 2, "conditions": []}
    assert without(status, {}, refusal) == {"phase": "Pending", "replicas": 2, "conditions": []}
    assert without(status, before, "something else") == status
