"""What takes long: a kill after every write, five minutes without an API server, 2,000 random specs."""

import itertools
import os
import time
from functools import partial

import pytest
from tests.cluster.api import until
from tests.cluster.faults import fuzz, rig, state
from tests.cluster.faults.rig import Place, Rig
from tests.schemafuzz import specs

from hipbmm_operator.kube import kinds

OUTAGE_SECONDS = float(os.environ.get("HIPBMM_SOAK_OUTAGE_SECONDS", "300"))
SPECS = int(os.environ.get("HIPBMM_SOAK_SPECS", "2000"))
RECOVERY_SECONDS = 30.0
_SHORTER = 0.8
"""A life may take fewer writes than another: those that come together are written as one."""


@pytest.mark.timeout(3600)
def test_killed_after_any_write_the_end_is_the_same(place: Place) -> None:
    expected = rig.undisturbed(place)
    stories = {f"{write}": partial(rig.killed, place, expected, write) for write in range(1, expected.writes + 1)}
    ends = rig.side_by_side(stories)
    missed = [write for write, end in ends.items() if isinstance(end, rig.NotReachedError)]
    assert all(int(write) > _SHORTER * expected.writes for write in missed)
    for write, end in ends.items():
        if write in missed:
            continue
        if isinstance(end, BaseException):
            raise end
        found = state.differences(end.alive, expected.alive) + state.differences(end.deleted, expected.deleted)
        assert (write, found, end.defects) == (write, [], [])


@pytest.mark.timeout(1200)
def test_after_an_outage_of_minutes_the_first_reconcile_comes_soon(one: Rig) -> None:
    operator = one.start()
    one.world.create()
    one.world.serve(1)
    one.world.becomes("Ready", "True")
    before = (one.world.deployment()["spec"]["template"], [pod["metadata"]["uid"] for pod in one.world.scheduled(1)])
    one.proxy.refuse = True
    time.sleep(OUTAGE_SECONDS)  # the length of the outage is what is tested
    one.world.change({"service": {"port": 8080}})
    assert operator.http("/healthz")[0] == 200
    one.proxy.refuse = False
    back = time.monotonic()

    def moved() -> bool:
        return bool(one.place.api.get(kinds.SERVICE, one.name, "qwen")["spec"]["ports"][0]["port"] == 8080)

    until("the first reconcile", moved, 120)
    seconds = time.monotonic() - back
    assert seconds <= RECOVERY_SECONDS
    after = (one.world.deployment()["spec"]["template"], [pod["metadata"]["uid"] for pod in one.world.scheduled(1)])
    assert after == before
    assert operator.defects() == []


@pytest.mark.timeout(3600)
def test_random_specs_are_refused_or_dealt_with(one: Rig) -> None:
    operator = one.start()
    tally = fuzz.run(one, itertools.islice(specs(1), SPECS))
    assert tally.accepted + tally.refused == SPECS
    assert min(tally.accepted, tally.refused) >= SPECS // 6
    until("the queue to be empty", lambda: operator.metric("hipbmm_workqueue_depth") == 0, 120)
    assert operator.metric('hipbmm_reconcile_total{result="defect"}') == 0
    assert operator.defects() == []
