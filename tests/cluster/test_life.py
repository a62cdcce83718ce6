"""The operator dies, stops, comes back, or meets a second one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from tests.cluster.api import Api, until
from tests.cluster.conftest import SYSTEM
from tests.cluster.kubelet import Kubelet
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.world import World

from hipbmm_operator.kube import kinds

Json = dict[str, Any]


class Start(Protocol):
    """Starts an operator."""

    def __call__(self, namespace: str, identity: str = "one", **settings: str) -> OperatorProcess: ...


@pytest.fixture
def start(no_operator: None, operator_kubeconfig: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts operators for one namespace, with a Lease of their own; kills what is left."""
    started: list[OperatorProcess] = []

    def make(namespace: str, identity: str = "one", **settings: str) -> OperatorProcess:
        defaults = {"HIPBMM_NAMESPACES": namespace, "HIPBMM_IDENTITY": identity}
        log = tmp_path / f"operator-{len(started)}.log"
        process = OperatorProcess(operator_kubeconfig, SYSTEM, log, **(defaults | settings))
        started.append(process)
        return process

    yield make
    for process in started:
        process.retire()


@pytest.fixture
def alone(api: Api, kubelet: Kubelet, namespace: str) -> Iterator[World]:
    """A namespace that no operator serves yet."""
    found = World(api, kubelet, namespace)
    yield found
    found.clean()


def written(world: World) -> Json:
    """What operators have written of the children; the status of a Deployment moves without them."""

    def ours(body: Json) -> Json:
        about = body["metadata"]
        kept = {
            key: about[key] for key in ("uid", "generation", "labels", "annotations", "ownerReferences") if key in about
        }
        mine = [each for each in about["managedFields"] if each["manager"].startswith("hipbmm")]
        return {**kept, "spec": body["spec"], "by us": mine}

    of = (kinds.DEPLOYMENT, kinds.SERVICE, kinds.CLAIM)
    return {kind.kind: [ours(body) for body in world.api.items(kind, world.namespace)] for kind in of}


def test_kill_and_restart_repeats_nothing_and_forgets_nothing(alone: World, start: Start) -> None:
    operator = start(alone.namespace)
    alone.create(replicas=2)
    alone.serve(1)
    operator.kill()
    operator.start()
    alone.serve(2)
    alone.becomes("Ready", "True", "AllReplicasWarm")
    alone.shows(Progressing="RolloutComplete", StorageReady="True", readyReplicas=2)
    before = written(alone)
    assert all(each["by us"] for bodies in before.values() for each in bodies)
    operator.kill()
    operator.start()
    until("a reconcile", lambda: operator.metric('hipbmm_reconcile_total{result="ok"}') >= 1)
    assert written(alone) == before
    assert operator.defects() == []
    assert operator.stop() == 0


def test_deletion_while_the_operator_is_stopped(alone: World, start: Start) -> None:
    operator = start(alone.namespace)
    alone.create()
    alone.serve(1)
    alone.becomes("Ready", "True")
    assert operator.stop() == 0
    assert "finalizers" not in alone.resource()["metadata"]
    alone.api.delete(kinds.HIPBMM_DEPLOYMENT, alone.namespace, "qwen")
    until("the Deployment to go", lambda: not alone.api.items(kinds.DEPLOYMENT, alone.namespace))
    until("the pods to go", lambda: not alone.api.items(kinds.POD, alone.namespace))
    assert [claim["metadata"]["name"] for claim in alone.api.items(kinds.CLAIM, alone.namespace)] == ["qwen-store"]


def test_an_upgrade_changes_no_pod_until_it_is_asked_for(alone: World, start: Start) -> None:
    old = start(alone.namespace, HIPBMM_PAYLOAD_IMAGE="registry.example/operator:1")
    alone.create()
    alone.serve(1)
    alone.becomes("Ready", "True")
    template = alone.deployment()["spec"]["template"]
    alone.until("the revision", lambda status: status["revision"]["outdated"] is False)
    assert old.stop() == 0
    start(alone.namespace, HIPBMM_PAYLOAD_IMAGE="registry.example/operator:2")
    alone.until("outdated", lambda status: status["revision"]["outdated"])
    alone.change({"replicas": 2, "service": {"port": 8081}})
    alone.serve(2)
    assert alone.deployment()["spec"]["template"] == template
    annotation = {"metadata": {"annotations": {"hipbmm.io/roll-forward": "1"}}}
    alone.api.merge(kinds.HIPBMM_DEPLOYMENT, alone.namespace, "qwen", annotation)
    alone.until("the new revision", lambda status: not status["revision"]["outdated"])

    def rolled() -> bool:
        containers = alone.deployment()["spec"]["template"]["spec"]["initContainers"]
        return "registry.example/operator:2" in [each["image"] for each in containers]

    until("the new template", rolled)
