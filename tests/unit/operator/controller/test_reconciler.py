"""A reconcile as a whole, on an API server in memory."""

import copy
from typing import Any

import pytest
from tests.unit.operator.fakekube import FakeKube, reconciler
from tests.unit.operator.make import pod, report

from hipbmm_operator.kube import names
from hipbmm_operator.kube.kinds import DEPLOYMENT, HIPBMM_DEPLOYMENT, POD, Kind
from hipbmm_operator.kube.namespaced_name import NamespacedName
from hipbmm_operator.watch.cache import Store, owner_of
from hipbmm_operator.watch.pruning import prune
from hipbmm_operator.workqueue.debounce import Debounce

Json = dict[str, Any]
KEY = NamespacedName("ns", "qwen")
SPEC: Json = {"image": "registry.example/vllm:1", "model": {"name": "org/model"}}


class Desk:
    """One resource, its reconciler, and the watch that tells what the test does."""

    def __init__(self, debounce: Debounce | None = None) -> None:
        self.kube, self.store = FakeKube(), Store()
        self.reconcile = reconciler(self.kube, self.store, debounce)
        metadata = {"namespace": "ns", "name": "qwen", "uid": "uid-0", "generation": 1, "resourceVersion": "0"}
        body = {"apiVersion": "hipbmm.io/v1alpha1", "kind": "HipbmmDeployment", "metadata": metadata, "spec": SPEC}
        self.tell(HIPBMM_DEPLOYMENT, body)

    def tell(self, kind: Kind, body: Json) -> None:
        self.kube.objects[kind, *KEY] = body
        self.store.put(kind, prune(kind, body), owner_of(kind, body))

    def statuses(self) -> list[tuple[str, str, str]]:
        """The writes of the status."""
        return [write for write in self.kube.writes if write[1] == "HipbmmDeployment"]

    def condition(self, kind: str) -> Json:
        conditions = self.kube.objects[HIPBMM_DEPLOYMENT, *KEY]["status"]["conditions"]
        return next(entry for entry in conditions if entry["type"] == kind)

    def changed(self, kind: Kind, **parts: object) -> None:
        """An object changes, as somebody else's write."""
        body = copy.deepcopy(self.kube.objects[kind, *KEY]) | parts
        body["metadata"]["resourceVersion"] = self.kube.version()
        body["metadata"]["generation"] += "spec" in parts
        self.tell(kind, body)


async def test_a_rollout_that_has_just_begun_is_never_called_over() -> None:
    desk = Desk()
    await desk.reconcile(KEY)
    revision = desk.kube.objects[DEPLOYMENT, *KEY]["metadata"]["annotations"][names.ANNOTATION_REVISION]
    body = pod(answer=report(), ready=True, revision=revision)
    desk.store.put(POD, prune(POD, body), owner_of(POD, body))
    await desk.reconcile(KEY)
    assert desk.condition("Progressing")["reason"] == "RolloutComplete"
    desk.changed(HIPBMM_DEPLOYMENT, spec={**SPEC, "image": "registry.example/vllm:2"})
    told = []
    for _ in range(2):
        await desk.reconcile(KEY)
        condition = desk.condition("Progressing")
        told.append((condition["observedGeneration"], condition["reason"]))
    assert (2, "RolloutComplete") not in told
    assert told[-1] == (2, "RollingOut")


async def test_a_status_waits_once_for_what_follows_from_written_children_and_not_for_failures() -> None:
    desk = Desk()
    outcome = await desk.reconcile(KEY)
    statuses = desk.statuses()
    assert (len(statuses), outcome.again) == (1, 1.0)
    assert desk.condition("Progressing")["reason"] == "Pending"
    desk.kube.objects.pop((DEPLOYMENT, *KEY))
    desk.store.remove(DEPLOYMENT, *KEY, "")
    outcome = await desk.reconcile(KEY)
    assert outcome.again is None
    assert desk.condition("Progressing")["reason"] == "RollingOut"


async def test_the_first_status_comes_before_the_children_however_many_resources_are_new() -> None:
    desk = Desk()
    await desk.reconcile(KEY)
    assert desk.kube.writes[0] == ("merge", "HipbmmDeployment", "qwen")
    assert ("apply", "Deployment", "qwen") in desk.kube.writes


@pytest.mark.parametrize("spec", [SPEC, {**SPEC, "replicas": "two"}])
async def test_the_scale_subresource_counts_a_pod_as_soon_as_it_is_seen(spec: Json) -> None:
    now = [0.0]
    desk = Desk(Debounce(1.0, lambda: now[0]))
    for _ in range(2):
        await desk.reconcile(KEY)
        now[0] += 1.0
    desk.changed(HIPBMM_DEPLOYMENT, spec=spec)
    body = pod() | {"spec": {}}
    desk.store.put(POD, prune(POD, body), owner_of(POD, body))
    await desk.reconcile(KEY)
    assert desk.kube.objects[HIPBMM_DEPLOYMENT, *KEY]["status"]["replicas"] == 1
    desk.store.remove(POD, "ns", body["metadata"]["name"], body["metadata"]["uid"])
    await desk.reconcile(KEY)
    assert desk.kube.objects[HIPBMM_DEPLOYMENT, *KEY]["status"]["replicas"] == 0


async def test_a_server_that_has_just_started_is_not_called_unready_for_the_time_that_its_pod_tuned() -> None:
    desk = Desk()
    await desk.reconcile(KEY)
    started = {"state": {"running": {}}, "ready": False, "started": True}
    body = pod(answer=report(), since=600, server=started)
    desk.store.put(POD, prune(POD, body), owner_of(POD, body))
    for _ in range(2):
        await desk.reconcile(KEY)
    assert desk.condition("Available")["reason"] != "NotReady"
    assert desk.condition("Progressing")["reason"] != "NotReady"
