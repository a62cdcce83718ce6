"""What is sent to the API server."""

import json

import yaml
from hypothesis import given
from hypothesis import strategies as st

from hipbmm_operator.kube.client import as_yaml


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
    )
)
def test_what_is_sent_as_yaml_reads_as_it_was(value: object) -> None:
    text = as_yaml({"data": value})
    assert yaml.safe_load(text) == json.loads(text) == {"data": value}
