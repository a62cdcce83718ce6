"""The API server misbehaves, the network fails, the operator dies after any write: the end is always the same."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.cluster.api import until
from tests.cluster.faults import rig, state
from tests.cluster.faults.catalogue import FAULTS, GONE, SETTINGS
from tests.cluster.faults.proxy import Call, Rule, watches
from tests.cluster.faults.rig import Place, Rig
from tests.cluster.world import World

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import Kind

Json = dict[str, Any]

KILLED_AT = (0.0, 0.25, 0.5, 0.75)
"""After which share of all writes; `make soak` tries every write."""


@pytest.fixture(scope="module")
def undisturbed(place: Place) -> rig.Ends:
    """The life of a resource without any fault."""
    return rig.undisturbed(place)


@pytest.fixture(scope="module")
def ends(place: Place, undisturbed: rig.Ends) -> dict[str, rig.Ends | BaseException]:
    """How the same life ends under each fault, and when the operator dies."""
    stories = {
        fault: partial(rig.faulty, place, undisturbed, rules(), **SETTINGS.get(fault, {}))
        for fault, rules in FAULTS.items()
    }
    for share in KILLED_AT:
        write = 1 + round(share * (undisturbed.writes - 1))
        stories[f"killed at {share}"] = partial(rig.killed, place, undisturbed, write)
    return rig.side_by_side(stories)


@pytest.mark.parametrize("story", [*FAULTS, *(f"killed at {share}" for share in KILLED_AT)])
def test_the_end_is_the_same(story: str, ends: dict[str, rig.Ends | BaseException], undisturbed: rig.Ends) -> None:
    found = ends[story]
    if isinstance(found, BaseException):
        raise found
    assert state.differences(found.alive, undisturbed.alive) == []
    assert state.differences(found.deleted, undisturbed.deleted) == []
    assert found.defects == []


def test_nothing_but_the_retained_claim_is_left_of_a_life(undisturbed: rig.Ends) -> None:
    assert set(undisturbed.deleted) == {"PersistentVolumeClaim/qwen-store"}
    assert undisturbed.writes > len(KILLED_AT)


def watch_of(kind: Kind) -> Callable[[Call], bool]:
    """The watches of one kind."""
    return lambda call: call.watch and call.path.endswith(f"/{kind.plural}")


def test_a_deletion_that_no_watch_tells_is_found_by_the_next_list(one: Rig) -> None:
    one.proxy.rules = [Rule(watches, keep=lambda event: event["type"] != "DELETED")]
    one.start(HIPBMM_RESYNC_SECONDS="4")
    one.world.create()
    api, name = one.place.api, one.name
    first = until("the Service", lambda: api.find(kinds.SERVICE, name, "qwen"))
    api.delete(kinds.SERVICE, name, "qwen")

    def again() -> bool:
        found = api.find(kinds.SERVICE, name, "qwen")
        return found is not None and found["metadata"]["uid"] != first["metadata"]["uid"]

    until("the Service to be made again", again)


def test_what_happened_before_a_watch_began_anew_is_found_at_once(one: Rig) -> None:
    of_services = watch_of(kinds.SERVICE)
    one.proxy.rules = [Rule(of_services, keep=lambda event: event["type"] != "DELETED")]
    # The tries of the rights are watches, too: one of them would take the answer that is meant for kopf's.
    one.start(HIPBMM_WATCH_SECONDS="3", HIPBMM_RIGHTS_SECONDS="3600")
    one.world.create()
    api, name = one.place.api, one.name
    first = until("the Service", lambda: api.find(kinds.SERVICE, name, "qwen"))
    one.world.becomes("Progressing", "True")
    expired = Rule(of_services, insert=GONE, times=1)
    api.delete(kinds.SERVICE, name, "qwen")
    one.proxy.rules = [expired]

    def again() -> bool:
        found = api.find(kinds.SERVICE, name, "qwen")
        return found is not None and found["metadata"]["uid"] != first["metadata"]["uid"]

    # No watch has told it, and the next comparison of everything is minutes away.
    until("the Service to be made again", again)
    assert expired.hits == 1


def test_a_change_that_the_answer_to_a_status_write_tells_first_is_dealt_with(one: Rig) -> None:
    def late(event: Json) -> bool:
        """Of the change alone: when its event comes, the operator knows a newer state from the answer."""
        body = event["object"]
        return bool((body.get("status") or {}).get("phase") == "Failed" and body["metadata"]["generation"] > 1)

    written = threading.Event()
    told = Rule(watch_of(kinds.HIPBMM_DEPLOYMENT), keep=lambda event: not late(event))
    one.proxy.rules = [told]
    operator = one.start()
    one.world.create(replicas=0)
    one.world.becomes("Progressing", "True")
    rig.settled(one.world)
    held = Rule(lambda call: call.write and call.path.endswith("/status"), hold=written, times=1)
    one.proxy.rules = [told, held]
    api, name = one.place.api, one.name
    api.merge(kinds.HIPBMM_DEPLOYMENT, name, "qwen", {"status": {"phase": "Failed"}}, "status")
    until("the operator to write the phase back", lambda: held.hits)
    one.world.change({"service": {"port": 8080}})
    written.set()
    until("the new port", lambda: api.get(kinds.SERVICE, name, "qwen")["spec"]["ports"][0]["port"] == 8080)
    assert operator.defects() == []


def test_a_resource_whose_deletion_was_not_reported_is_not_brought_back(one: Rig) -> None:
    hide = Rule(watch_of(kinds.HIPBMM_DEPLOYMENT), keep=lambda event: event["type"] != "DELETED")
    one.proxy.rules = [hide]
    operator = one.start()
    one.world.create()
    one.world.serve(1)
    one.world.becomes("Ready", "True")
    rig.settled(one.world)
    made: list[Call] = []
    one.proxy.after_write = lambda _count, call: made.append(call)
    assert set(rig.deleted(one.world)) == {"PersistentVolumeClaim/qwen-store"}
    # When it has served a resource that comes after the deletions, and has nothing left to do, it has dealt with them.
    World(one.place.api, one.place.kubelet, one.name, "later").create()
    until("a later resource", lambda: one.place.api.find(kinds.DEPLOYMENT, one.name, "later"))
    until("the queue to be empty", lambda: operator.metric("hipbmm_workqueue_depth") == 0)
    of_the_first = [call.path for call in made if call.path.rpartition("/")[2].startswith("qwen")]
    assert of_the_first == []
    assert set(state.of(one.place.api, one.name)) & {"Deployment/qwen", "Service/qwen"} == set()
