"""A resource as it is stored: specs of other CRDs, statuses of other operators."""

from typing import Any

import pytest

from hipbmm_operator.api.profile_status import ProfileStatus
from hipbmm_operator.api.resource import parse_spec, readable
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.api.status import Status

Json = dict[str, Any]
TRIED: Json = {"image": "vllm:1", "kernel": "0" * 64, "state": "Proved", "pod": "a"}
TRIP: Json = {"generation": 1, "kernel": "0" * 64, "pods": ["a"], "message": "stuck"}
FAILED: Json = {"pod": "a", "reason": "OOMKilled", "message": "m"}
TUNING: Json = {"state": "Complete", "seconds": 40, "notes": ["n"] * 8, "stack": {"arch": "gfx942"}}
RECIPE: Json = {"format": 1, "ready": True, "kernel": {"configMap": "k", "sha256": "0" * 64}, "modes": ["Wrap"]}
MORE: Json = {"harvest": {"resources": {"limits": {f"r{n}": 1 for n in range(9)}, "requests": {"cpu": []}}}}
SERVICE: Json = {"name": "qwen", "url": "http://qwen"}


def test_a_spec_that_an_older_crd_let_through_names_field_and_value() -> None:
    found = parse_spec(Spec, {"image": "x", "model": {"name": "m"}, "tuning": {"policy": "Maybe"}, "unknown": 1})
    assert isinstance(found, str)
    assert "spec.tuning.policy" in found
    assert "'Maybe'" in found


def test_unknown_fields_of_a_newer_crd_are_ignored() -> None:
    assert not isinstance(parse_spec(Spec, {"image": "x", "model": {"name": "m"}, "future": {"a": 1}}), str)


@pytest.mark.parametrize(
    ("model", "good", "stored"),
    [
        (Status, {"failures": [FAILED], "service": SERVICE}, {"failures": [{"pod": "b"}, FAILED, "c"]}),
        (Status, {"failures": [FAILED], "service": SERVICE}, {"tuning": {"state": "Later"}, "phase": "Later"}),
        (Status, {"failures": [FAILED], "service": SERVICE}, {"conditions": "none", "stacks": [{}, 1], "cache": []}),
        (Status, {"failures": [FAILED] * 5}, {"failures": [FAILED] * 6}),
        (Status, {"failures": [FAILED] * 3}, {"failures": [FAILED, {}, FAILED, 7, *[FAILED] * 4]}),
        (Status, {"tuning": TUNING}, {"tuning": TUNING | {"notes": ["n"] * 9, "dispatch": "Later", "failed": -1}}),
        (Status, {"stacks": [{"key": "a"}]}, {"stacks": [{"key": "a", "replicas": "two"}, {"product": "MI300X"}]}),
        (ProfileStatus, {"canaries": [TRIED], "tripped": TRIP}, {"canaries": [TRIED | {"state": "Later"}, TRIED]}),
        (ProfileStatus, {"canaries": [TRIED], "tripped": TRIP}, {"injection": {"format": 1}, "admission": "Later"}),
        (
            ProfileStatus,
            {"injection": RECIPE | {"harvest": {"resources": {"requests": {}}}}},
            {"injection": RECIPE | MORE},
        ),
        (ProfileStatus, {"canaries": [TRIED]}, {"tripped": {"pods": ["a"]}, "workloads": [{"kind": "Deployment"}]}),
        (Status, {}, {}),
        (ProfileStatus, {}, {}),
    ],
)
def test_what_another_operator_has_stored_costs_only_itself(model: type[Status], good: Json, stored: Json) -> None:
    """Of a status that is read in part, the rest is known as it was: which images were tried, and why none is."""
    found = readable(model, {"observedGeneration": 3} | good | stored).body()
    assert found == model.model_validate({"observedGeneration": 3, "phase": "Pending"} | good).body()
