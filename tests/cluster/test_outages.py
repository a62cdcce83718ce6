"""What stops working around the operator, or the operator itself: who notices, who goes on, who writes."""

import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.api import until
from tests.cluster.faults.proxy import Proxy, Rule, everything, watches
from tests.cluster.faults.rig import Place, Rig
from tests.cluster.operator_process import NAMESPACE, ROLE, THIS, OperatorProcess, identity
from tests.cluster.world import World

from hipbmm_operator.kube import kinds

Json = dict[str, Any]

QUICK_LEASE = {
    "HIPBMM_LEASE_SECONDS": "28",
    "HIPBMM_LEASE_DEADLINE_SECONDS": "18",
    "HIPBMM_LEASE_RENEW_SECONDS": "1",
    "HIPBMM_REQUEST_SECONDS": "9",
}
"""A machine that stands still for a quarter of a minute makes no other operator the leader."""


def port(world: World) -> int:
    return int(world.api.get(kinds.SERVICE, world.namespace, "qwen")["spec"]["ports"][0]["port"])


def holder(one: Rig) -> str:
    return str(one.place.api.get(kinds.LEASE, one.system, "hipbmm-operator")["spec"].get("holderIdentity"))


def serving(world: World) -> None:
    world.create()
    world.serve(1)
    world.becomes("Ready", "True")


def leads(operator: OperatorProcess) -> bool:
    return operator.metric("hipbmm_leader") == 1


def test_the_api_server_goes_and_comes_back(one: Rig) -> None:
    operator = one.start(**QUICK_LEASE)
    serving(one.world)
    template, pods = one.world.deployment()["spec"]["template"], one.world.scheduled(1)
    one.proxy.refuse = True
    one.world.change({"service": {"port": 8080}})
    until("the operator to stop leading", lambda: not leads(operator))
    until("the operator to say so", lambda: operator.http("/readyz")[0] == 503)
    assert operator.http("/healthz")[0] == 200
    one.proxy.refuse = False
    until("the change to be carried out", lambda: port(one.world) == 8080)
    until("the operator to be ready again", lambda: operator.http("/readyz")[0] == 200)
    assert one.world.deployment()["spec"]["template"] == template
    assert [pod["metadata"]["uid"] for pod in one.world.scheduled(1)] == [pod["metadata"]["uid"] for pod in pods]
    assert operator.process.poll() is None
    assert operator.defects() == []


def test_watches_that_are_never_answered_fail_the_probe(one: Rig) -> None:
    operator = one.start(HIPBMM_WATCH_SECONDS="2", HIPBMM_WATCH_STALE_SECONDS="8")
    until("the probe to pass", lambda: operator.http("/healthz")[0] == 200)
    hold = threading.Event()
    one.proxy.rules = [Rule(watches, hold=hold)]
    answer = until("the probe to fail", lambda: _dead(operator))
    assert "watch" in answer
    until("the other probe to fail", lambda: operator.http("/readyz")[0] == 503)
    until("it to lead all the same", lambda: leads(operator))
    hold.set()
    until("the probe to pass again", lambda: operator.http("/healthz")[0] == 200)


def _dead(operator: OperatorProcess) -> str | None:
    """What the probe says when it fails."""
    code, text = operator.http("/healthz")
    return text if code == 503 else None


@pytest.fixture
def other(one: Rig, tmp_path: Path) -> Iterator[Proxy]:
    """A second way to the API server, so that one sees who writes."""
    found = Proxy(one.kubeconfig, tmp_path)
    yield found
    found.close()


@pytest.mark.parametrize("how", ["killed", "paused", "cut off"])
def test_the_second_operator_takes_over_and_the_first_writes_no_more(one: Rig, other: Proxy, how: str) -> None:
    first = one.start(HIPBMM_IDENTITY="first", **QUICK_LEASE)
    until("the first to lead", lambda: leads(first))
    second = one.start(THIS, other.kubeconfig, HIPBMM_IDENTITY="second", **QUICK_LEASE)
    serving(one.world)
    assert (leads(second), other.writes) == (False, 0)
    assert second.metric('hipbmm_reconcile_total{result="ok"}') == 0
    hold = _away(one, first, how)
    one.world.change({"service": {"port": 81}})
    until("the second to lead", lambda: leads(second))
    until("the second to work", lambda: port(one.world) == 81)
    before = one.proxy.writes
    if how != "killed":
        _back(first, hold)
        until("the first to know that it does not lead", lambda: not leads(first))
        seen = first.metric('hipbmm_watch_events_total{kind="hipbmmdeployments"}')
        one.world.change({"service": {"port": 82}})
        until("the second to work", lambda: port(one.world) == 82)
        until("the first to see it", lambda: first.metric('hipbmm_watch_events_total{kind="hipbmmdeployments"}') > seen)
    assert one.proxy.writes == before
    assert (holder(one), second.stop()) == ("second", 0)
    assert holder(one) != "second"
    if how != "killed":
        until("the first to lead again", lambda: leads(first))


def _away(one: Rig, operator: OperatorProcess, how: str) -> threading.Event:
    hold = threading.Event()
    if how == "killed":
        operator.kill()
    elif how == "paused":
        operator.process.send_signal(signal.SIGSTOP)
    else:
        one.proxy.rules = [Rule(everything, hold=hold)]
    return hold


def _back(operator: OperatorProcess, hold: threading.Event) -> None:
    hold.set()
    operator.process.send_signal(signal.SIGCONT)


def test_a_stop_ends_what_was_begun_and_gives_the_lease_back(one: Rig) -> None:
    operator = one.start()
    until("it to lead", lambda: leads(operator))
    hold = threading.Event()
    rule = Rule(lambda call: call.write and "/services/" in call.path, hold=hold)
    one.proxy.rules = [rule]
    one.world.create()
    until("a write to be under way", lambda: rule.hits)
    operator.process.send_signal(signal.SIGTERM)
    until("it to begin its end", lambda: any(entry["message"] == "Stops" for entry in operator.logs()))
    hold.set()
    assert operator.process.wait(240) == 0
    api = one.place.api
    assert api.find(kinds.SERVICE, one.name, "qwen")
    assert api.find(kinds.DEPLOYMENT, one.name, "qwen")
    assert one.world.condition("Progressing")
    assert holder(one) == ""
    assert operator.defects() == []


def test_a_stop_ends_also_when_the_api_server_does_not_answer(one: Rig) -> None:
    operator = one.start()
    until("it to lead", lambda: leads(operator))
    one.proxy.rules = [Rule(everything, hold=threading.Event())]
    one.world.create()
    operator.process.send_signal(signal.SIGTERM)
    assert operator.process.wait(240) == 0


def _has_seen(generation: int, status: Json) -> bool:
    return bool(status.get("observedGeneration") == generation)


def test_an_operator_of_single_namespaces_needs_nothing_outside_of_them(place: Place, one: Rig) -> None:
    served = [f"{one.name}-{letter}" for letter in "abc"]
    for name in served:
        place.api.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    system = served.pop()
    try:
        kubeconfig = identity(place.api, place.kubeconfig, system, one.scratch, serves=served)
        own = {"HIPBMM_NAMESPACES": ",".join(served), "HIPBMM_OPERATOR_NAMESPACE": system}
        operator = one.start(THIS, kubeconfig, **own)
        worlds = [World(place.api, place.kubelet, name) for name in served]
        one.world.create()
        for world in worlds:
            serving(world)
            world.shows(HardwareCompatible="NodesNotReadable")
        assert one.world.status() == {"observedGeneration": -1, "phase": "Pending"}, "as the CRD has it by default"
        assert operator.defects() == []
        # The rights in one of them go: the others are served all the same, also by an operator that starts then.
        gone, other = worlds
        place.api.delete(ROLE, gone.namespace, "operator")
        until("it to notice", lambda: any("may not list or watch" in entry["message"] for entry in operator.logs()))
        for replicas in (2, 3):
            generation = other.change({"replicas": replicas})["metadata"]["generation"]
            other.until("the other to be served", partial(_has_seen, generation))
            assert operator.stop() == 0
            operator.start()
        identity(place.api, place.kubeconfig, system, one.scratch, serves=served)
        generation = gone.change({"replicas": 2})["metadata"]["generation"]
        gone.until("it to be served again", partial(_has_seen, generation))
        for world in worlds:
            world.clean()
        assert operator.defects() == []
        assert operator.stop() == 0
    finally:
        for name in (*served, system):
            place.api.delete(NAMESPACE, "", name)
