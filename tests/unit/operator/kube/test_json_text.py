"""JSON by orjson: the hashes that are kept in clusters must be those of the standard library's text."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hipbmm_operator.kube import json_text

_NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_VALUES)
@example({"cpu": 1e-5, "memory": 1e16})
@example({"a": 10**30, "b": "\x7f\x00\n", "é": "ü", "z": "\u2028"})
@example({"\x7f": None})
@example(["1e5", 1.5, -0.0, 1e22, 123456789.125])
def test_the_canonical_text_is_that_of_the_standard_library(value: object) -> None:
    assert json_text.canonical(value) == json.dumps(value, sort_keys=True, separators=(",", ":"))


@given(st.dictionaries(st.text(), st.booleans() | st.text() | st.integers(-(2**63), 2**64 - 1)))
def test_what_is_written_is_read_again(value: dict[str, object]) -> None:
    assert json_text.loads(json_text.dumps(value)) == value


def test_equal_values_are_equal_bytes() -> None:
    assert json_text.dumps({"b": 1, "a": 2}) == json_text.dumps({"a": 2, "b": 1}) == b'{"a":2,"b":1}'


@pytest.mark.parametrize("text", ["", "{", "NaN", "{'a': 1}", b"\xff"])
def test_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_text.loads(text)
