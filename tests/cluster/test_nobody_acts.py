"""Pods that nobody acts on: what no condition, container status or Event says, the status says after a while."""

from typing import Any

import pytest
from tests.cluster.badday import heals
from tests.cluster.world import World

from hipbmm_operator.kube import kinds

Json = dict[str, Any]


def scheduler(name: str | None) -> Json:
    return {"podTemplate": {"spec": {"schedulerName": name}}}


@pytest.mark.long
def test_a_scheduler_that_does_not_run_and_a_kubelet_that_does_not_act(world: World) -> None:
    """Two minutes each, so both at once."""
    other = World(world.api, world.kubelet, world.namespace, "other")
    other.create()
    world.create(**scheduler("no-such-scheduler"))
    assert "no-such-scheduler" in world.becomes("Progressing", "False", "SchedulerNotResponding")["message"]
    world.becomes("Ready", "False", "SchedulerNotResponding")
    world.shows(phase="Pending")
    assert "mi300x-a" in other.becomes("Progressing", "False", "NodeNotResponding")["message"]
    other.becomes("Ready", "False", "NodeNotResponding")
    world.api.delete(kinds.HIPBMM_DEPLOYMENT, world.namespace, "other")
    world.pods(1)
    world.change(scheduler(None))
    heals(world)
