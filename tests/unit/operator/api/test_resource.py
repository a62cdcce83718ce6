"""A resource as it is stored: specs of other CRDs."""

from hipbmm_operator.api.resource import parse_spec
from hipbmm_operator.api.spec import Spec


def test_a_spec_that_an_older_crd_let_through_names_field_and_value() -> None:
    found = parse_spec(Spec, {"image": "x", "model": {"name": "m"}, "tuning": {"policy": "Maybe"}, "unknown": 1})
    assert isinstance(found, str)
    assert "spec.tuning.policy" in found
    assert "'Maybe'" in found


def test_unknown_fields_of_a_newer_crd_are_ignored() -> None:
    assert not isinstance(parse_spec(Spec, {"image": "x", "model": {"name": "m"}, "future": {"a": 1}}), str)
