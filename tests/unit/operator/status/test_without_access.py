"""The status of a resource whose children may not be read."""

from tests.unit.operator.make import NOW, resource, time
from tests.unit.operator.status.situations import condition, message, serving

from hipbmm_operator.api.conditions import STALLED, TYPES
from hipbmm_operator.plan.validation import Problem
from hipbmm_operator.status.builder import without_access


def test_a_new_resource_says_why_nothing_is_known() -> None:
    found = without_access(resource(), "pods is forbidden", NOW)
    assert [entry["type"] for entry in found["conditions"]] == list(TYPES)
    assert condition(found, "Ready") == ("Unknown", "Forbidden")
    assert condition(found, "Progressing") == ("False", "Forbidden")
    assert condition(found, "Tuned") == ("Unknown", "Pending")
    assert (found["phase"], message(found, "Ready")) == ("Pending", "the operator has no access: pods is forbidden")


def test_what_was_known_stays() -> None:
    before = serving({"replicas": 2}, count=2)
    for entry in before["conditions"]:
        entry["lastTransitionTime"] = time(3600)
    found = without_access(resource(status=before, generation=7), "pods is forbidden", NOW)
    assert condition(found, "Warm") == condition(before, "Warm")
    assert (found["phase"], found["warm"], found["observedGeneration"]) == ("Running", "2/2", 7)
    moved = {entry["type"] for entry in found["conditions"] if entry["lastTransitionTime"] == time()}
    assert moved == {"Ready", "Progressing"}


def test_that_it_is_stalled_is_not_known_any_more() -> None:
    before = serving(problems=(Problem("ConflictingArgs", "x", fatal=True),))
    assert condition(before, STALLED)[0] == "True"
    found = without_access(resource(status=before), "pods is forbidden", NOW)
    assert [entry["type"] for entry in found["conditions"]] == list(TYPES)
