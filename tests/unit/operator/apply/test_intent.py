"""When a write is not needed."""

import copy

import pytest
from tests.unit.operator.make import Json, planned, resource

from hipbmm_operator.apply.intent import covers, holds, with_hash
from hipbmm_operator.observe import parse


def live_of(body: Json) -> Json:
    """As an API server stores it: with more than was asked for."""
    live = copy.deepcopy(body)
    live["metadata"] |= {"uid": "u", "resourceVersion": "1", "managedFields": []}
    live["spec"]["defaulted"] = "x"
    return live


@pytest.fixture
def marked() -> Json:
    return with_hash(planned(resource({"replicas": 2})).steps[-1].body)


def test_what_was_applied_needs_no_write(marked: Json) -> None:
    assert holds(marked, parse.child(live_of(marked)))


def test_any_field_that_was_changed_needs_one(marked: Json) -> None:
    live = live_of(marked)
    live["spec"]["replicas"] = 9
    assert not holds(marked, parse.child(live))
    live = live_of(marked)
    live["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "ADDED", "value": "1"})
    assert not holds(marked, parse.child(live))
    live = live_of(marked)
    live["metadata"]["ownerReferences"] = []
    assert not holds(marked, parse.child(live))


def test_a_field_that_is_no_longer_wanted_needs_one(marked: Json) -> None:
    smaller = copy.deepcopy(marked)
    del smaller["spec"]["progressDeadlineSeconds"]
    smaller["metadata"]["annotations"].pop("hipbmm.io/intent")
    assert not holds(with_hash(smaller), parse.child(live_of(marked)))


def test_quantities_are_compared_by_amount() -> None:
    assert covers({"limits": {"memory": "1Gi", "cpu": "1000m"}}, {"limits": {"memory": "1024Mi", "cpu": "1"}})
    assert not covers({"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1G"}})


def test_what_the_api_server_drops_because_it_is_empty_does_not_matter() -> None:
    assert covers({"readOnly": False, "medium": "", "optional": None}, {})
