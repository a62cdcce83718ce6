"""Transitions as Kubernetes Events."""

import logging
from typing import Any

import pytest
from tests.unit.operator.fakekube import FakeKube
from tests.unit.operator.make import resource

from hipbmm_operator.apply import events
from hipbmm_operator.kube import errors
from hipbmm_operator.kube.kinds import EVENT, Kind
from hipbmm_operator.status.transitions import Transition

OWNER = resource().meta
ONE = Transition("Warning", "NoSolution", "no solution", "2026-11-23T12:00:00Z")
TWO = Transition("Normal", "AllReplicasWarm", "x" * 2000, "2026-11-23T12:05:00Z")


def test_the_same_transition_has_the_same_event() -> None:
    assert events.build(OWNER, ONE) == events.build(OWNER, ONE)
    assert events.build(OWNER, ONE)["metadata"]["name"] != events.build(OWNER, TWO)["metadata"]["name"]
    assert len(events.build(OWNER, ONE)["metadata"]["name"]) <= 253


def test_what_changed_from_the_stored_status_is_an_event_and_nothing_else() -> None:
    ready = {"type": "Ready", "status": "True", "reason": "AllReplicasWarm", "message": "m", "observedGeneration": 1}
    ready["lastTransitionTime"] = ONE.time
    pending = {**ready, "type": "Tuned", "status": "False", "reason": "Pending"}
    before, after = resource(), resource(status={"conditions": [ready]})
    assert [body["reason"] for body in events.of_changes(before, after.raw_status)] == ["AllReplicasWarm"]
    assert events.of_changes(after, {"conditions": [ready, pending]}) == []


def test_an_event_is_about_the_resource_and_bounded() -> None:
    body = events.build(OWNER, TWO)
    assert body["involvedObject"] == {
        "apiVersion": "hipbmm.io/v1alpha1",
        "kind": "HipbmmDeployment",
        "name": "qwen",
        "namespace": "ns",
        "uid": "uid-1",
    }
    assert (body["type"], body["reason"], len(body["message"])) == ("Normal", "AllReplicasWarm", 1024)


async def test_one_that_is_there_is_not_sent_again() -> None:
    kube = FakeKube()
    await events.send(kube, [events.build(OWNER, ONE)])  # type: ignore[arg-type]  # the part that is used
    await events.send(kube, [events.build(OWNER, each) for each in (ONE, TWO)])  # type: ignore[arg-type]
    assert len([kind for _, kind, _ in kube.writes if kind == "Event"]) == 2


async def test_one_that_is_refused_does_not_keep_the_next_back(caplog: pytest.LogCaptureFixture) -> None:
    class Refusing(FakeKube):
        async def create(self, kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
            if body["reason"] == ONE.reason:
                raise errors.ForbiddenError(403, "Forbidden", "no Events here")
            return await super().create(kind, body)

    kube = Refusing()
    with caplog.at_level(logging.WARNING):
        await events.send(kube, [events.build(OWNER, each) for each in (ONE, TWO)])  # type: ignore[arg-type]
    assert [body["reason"] for (kind, *_), body in kube.objects.items() if kind == EVENT] == ["AllReplicasWarm"]
    assert "no Events here" in caplog.text
