"""JSON by orjson, and the text of hashes that are kept in clusters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipbmm_operator.kube import json_text


def test_the_canonical_text_is_the_one_whose_hashes_are_kept_in_clusters() -> None:
    value = {
        "cpu": 1e-5,
        "memory": 1e16,
        "b": "\x7f\x00\n",
        "\u00e9": "\u00fc",
        "z": [10**30, -0.0, None, True, "\u2028"],
    }
    assert json_text.canonical(value) == (
        '{"b":"\\u007f\\u0000\\n","cpu":1e-05,"memory":1e+16,'
        '"z":[1000000000000000000000000000000,-0.0,null,true,"\\u2028"],"\\u00e9":"\\u00fc"}'
    )


@given(st.dictionaries(st.text(), st.booleans() | st.text() | st.integers(-(2**63), 2**64 - 1)))
def test_what_is_written_is_read_again(value: dict[str, object]) -> None:
    assert json_text.loads(json_text.dumps(value)) == value


def test_equal_values_are_equal_bytes() -> None:
    assert json_text.dumps({"b": 1, "a": 2}) == json_text.dumps({"a": 2, "b": 1}) == b'{"a":2,"b":1}'


@pytest.mark.parametrize("text", ["", "{", "NaN", "{'a': 1}", b"\xff"])
def test_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_text.loads(text)
