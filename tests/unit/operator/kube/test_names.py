"""Names are deterministic, valid, and never equal for two resources."""

import re

from hypothesis import given
from hypothesis import strategies as st

from hipbmm_operator.kube import names

RESOURCE_NAME = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?", fullmatch=True)
DNS_1035 = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


@given(RESOURCE_NAME, st.sampled_from(["", "store", "0123456789"]))
def test_every_child_has_a_valid_name(name: str, role: str) -> None:
    assert DNS_1035.fullmatch(names.child(name, role))
    assert LABEL_VALUE.fullmatch(names.label_value(name))


@given(RESOURCE_NAME, RESOURCE_NAME)
def test_two_resources_never_share_a_child_name(one: str, other: str) -> None:
    if one != other:
        assert names.child(one, "store") != names.child(other, "store")
        assert names.label_value(one) != names.label_value(other)


def test_names_that_are_equal_after_truncation_differ() -> None:
    one, other = "a" * 100 + "1", "a" * 100 + "2"
    assert names.child(one) != names.child(other)
    assert names.label_value(one) != names.label_value(other)


def test_short_names_stay_as_they_are() -> None:
    assert names.child("qwen3-32b") == "qwen3-32b"
    assert names.child("qwen3-32b", "store") == "qwen3-32b-store"


def test_the_selector_of_pods_never_changes_with_the_spec() -> None:
    assert names.selector_labels("qwen") == {
        "hipbmm.io/deployment": "qwen",
        "app.kubernetes.io/component": "server",
    }
