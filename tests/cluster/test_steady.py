"""At rest nothing is written; whatever is changed behind the operator's back is put right."""

from pathlib import Path
from typing import Any

import pytest
from tests.cluster.api import until
from tests.cluster.audit import Audit, at_rest, writes_during
from tests.cluster.conftest import OPERATOR_USER, Cluster
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.world import WAIT, World

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import Kind

Json = dict[str, Any]

RSS_LIMIT_MIB = 120
QUIET_SECONDS = 20
"""What heartbeats set off comes within seconds; the minute of a figure is in tests/e2e/test_path.py."""


@pytest.fixture
def audit_log(cluster: Cluster) -> Path:
    if cluster.audit_log is None:
        pytest.skip("counting API writes needs the API server's audit log")
    return cluster.audit_log


def settle(world: World, replicas: int = 2) -> None:
    world.create(replicas=replicas)
    world.serve(1)
    world.serve(replicas)
    world.becomes("Ready", "True", "AllReplicasWarm")


def test_nothing_is_written_at_rest_whatever_heartbeats_come(
    world: World, audit_log: Path, operator: OperatorProcess
) -> None:
    settle(world)
    until("the last write", lambda: at_rest(audit_log, OPERATOR_USER))
    before = operator.metric('hipbmm_watch_events_total{kind="nodes"}')
    for _ in range(20):
        world.kubelet.heartbeat("mi300x-a")
    until("heartbeats", lambda: operator.metric('hipbmm_watch_events_total{kind="nodes"}') >= before + 15)
    assert writes_during(audit_log, OPERATOR_USER, QUIET_SECONDS) == []
    assert operator.rss_mib() <= RSS_LIMIT_MIB


def test_a_rollout_takes_few_requests(world: World, audit_log: Path) -> None:
    audit = Audit(audit_log, OPERATOR_USER)
    settle(world, 1)
    until("the last write", lambda: at_rest(audit_log, OPERATOR_USER))
    mine = [e for e in audit.requests() if (e.get("objectRef") or {}).get("namespace") == world.namespace]
    children = [e for e in mine if e["objectRef"]["resource"] not in ("events", "hipbmmdeployments")]
    assert sorted(e["objectRef"]["resource"] for e in children if e["verb"] != "get") == [
        "controllerrevisions",
        "deployments",
        "limitranges",  # read before a template is rendered
        "persistentvolumeclaims",
        "services",
    ]


DRIFT: list[tuple[Kind, Json]] = [
    (kinds.DEPLOYMENT, {"spec": {"replicas": 7}}),
    (kinds.DEPLOYMENT, {"spec": {"progressDeadlineSeconds": 99}}),
    (kinds.DEPLOYMENT, {"spec": {"paused": True}}),
    (kinds.DEPLOYMENT, {"metadata": {"labels": {"hipbmm.io/deployment": "other"}}}),
    (kinds.DEPLOYMENT, {"metadata": {"ownerReferences": []}}),
    (kinds.DEPLOYMENT, {"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}),
    (kinds.DEPLOYMENT, {"metadata": {"annotations": {"hipbmm.io/deployment": None}}}),
    (kinds.SERVICE, {"spec": {"selector": {"hipbmm.io/deployment": "other"}}}),
    (kinds.SERVICE, {"metadata": {"labels": {"app.kubernetes.io/name": None}}}),
    (kinds.BUDGET, {"spec": {"maxUnavailable": 2}}),
    (kinds.CLAIM, {"metadata": {"labels": {"app.kubernetes.io/part-of": "other"}}}),
]


def essence(body: Json) -> Json:
    """What we own of an object."""
    metadata = body["metadata"]
    annotations = {key: text for key, text in metadata.get("annotations", {}).items() if "hipbmm" in key}
    owners = metadata.get("ownerReferences")
    return {"spec": body.get("spec"), "labels": metadata["labels"], "annotations": annotations, "owners": owners}


def test_a_manual_change_of_any_child_is_put_right(world: World) -> None:
    settle(world)
    for kind, change in DRIFT:
        name = "qwen-store" if kind == kinds.CLAIM else "qwen"
        before = essence(world.api.get(kind, world.namespace, name))
        changed = world.api.merge(kind, world.namespace, name, change)
        assert essence(changed) != before, change

        def repaired(kind: Kind = kind, name: str = name, before: Json = before) -> bool:
            return essence(world.api.get(kind, world.namespace, name)) == before

        until(f"{kind.kind} to be repaired after {change}", repaired)
    world.change({"replicas": 3})
    world.recover(3)  # the operator still sees all of them


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kinds.DEPLOYMENT, "qwen"), (kinds.SERVICE, "qwen"), (kinds.BUDGET, "qwen"), (kinds.CONTROLLER_REVISION, None)],
)
def test_a_deleted_child_is_made_again(world: World, kind: Kind, name: str | None) -> None:
    settle(world)
    name = name or world.status()["revision"]["current"]
    before = world.api.get(kind, world.namespace, name)
    template = world.deployment()["spec"]["template"]
    world.api.delete(kind, world.namespace, name)

    def again() -> bool:
        found = world.api.find(kind, world.namespace, name)
        return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    until(f"{kind.kind} to be made again", again)
    until("its template", lambda: world.deployment()["spec"]["template"] == template)


def test_a_pod_that_is_taken_out_to_look_into_it_is_replaced_and_does_not_count(world: World) -> None:
    settle(world, 1)
    (pod,) = world.pods(1)
    name = pod["metadata"]["name"]
    world.api.merge(kinds.POD, world.namespace, name, {"metadata": {"labels": {"hipbmm.io/deployment": "debug"}}})
    world.pods(2)
    world.shows(replicas=1, readyReplicas=0)  # the new one, which does not serve yet
    world.recover(1)
    world.api.delete(kinds.POD, world.namespace, name)  # it belongs to nobody any more


def test_a_budget_goes_with_the_second_replica(world: World) -> None:
    settle(world)
    until("the budget", lambda: world.api.find(kinds.BUDGET, world.namespace, "qwen"))
    world.change({"replicas": 1})
    until("no budget", lambda: world.api.find(kinds.BUDGET, world.namespace, "qwen") is None)


def test_suspending_stops_the_pods_and_keeps_the_rest(world: World) -> None:
    settle(world)
    world.change({"suspend": True})
    until("no pods", lambda: not world.api.items(kinds.POD, world.namespace), WAIT)
    world.shows(Ready="Suspended", phase="Suspended", replicas=0)
    assert world.api.find(kinds.SERVICE, world.namespace, "qwen")
    world.change({"suspend": False})
    world.serve(2)
    world.becomes("Ready", "True")


def test_health_and_metrics(operator: OperatorProcess) -> None:
    assert operator.http("/healthz") == (200, "ok\n")
    until("the operator to be ready", lambda: operator.http("/readyz") == (200, "ok\n"))
    until("the operator to lead", lambda: operator.metric("hipbmm_leader") == 1)


def test_pods_are_recreated_beside_figures_that_another_manager_has_applied(world: World) -> None:
    """Server-side apply leaves what another manager owns, and the API server refuses Recreate beside such figures."""
    settle(world, 1)
    metadata = {"name": "qwen", "namespace": world.namespace}
    figures = {"strategy": {"rollingUpdate": {"maxSurge": 1}}}  # as they are: nothing is put back
    world.api.apply(kinds.DEPLOYMENT, kinds.DEPLOYMENT.body(metadata, spec=figures), "flux")
    for strategy, wanted in (
        ("Recreate", {"type": "Recreate"}),
        ("Surge", {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
    ):
        world.change({"rollout": {"strategy": strategy}})
        until(strategy, lambda wanted=wanted: world.deployment()["spec"]["strategy"] == wanted)  # type: ignore[misc]
        world.shows(Ready="AllReplicasWarm", ConfigValid="Valid", Progressing="RolloutComplete")


def test_a_restart_counts_beside_one_that_the_spec_names(world: World) -> None:
    restarted = "kubectl.kubernetes.io/restartedAt"

    def template(at: str) -> Json:
        return {"metadata": {"annotations": {restarted: at}}}

    world.create(podTemplate=template("2026-01-01T00:00:00Z"))
    world.recover(1)
    (before,) = world.pods(1)
    later = "2026-02-01T00:00:00+01:00"
    world.api.merge(kinds.DEPLOYMENT, world.namespace, "qwen", {"spec": {"template": template(later)}})
    old = before["metadata"]["uid"]
    until("another", lambda: {pod["metadata"]["uid"] for pod in world.api.items(kinds.POD, world.namespace)} - {old})
    world.recover(1)
    assert world.deployment()["spec"]["template"]["metadata"]["annotations"][restarted] == later
