"""A reconcile as a whole, on an API server in memory."""

import copy
from typing import Any

import pytest
from tests.unit.operator.fakekube import FakeKube, reconciler
from tests.unit.operator.make import pod, report

from hipbmm_operator.kube import errors, names
from hipbmm_operator.kube.kinds import DEPLOYMENT, HIPBMM_DEPLOYMENT, POD, SERVICE, Kind
from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.watch.cache import ObjectCache
from hipbmm_operator.watch.pruning import prune
from hipbmm_operator.workqueue.debounce import Debounce
from hipbmm_operator.workqueue.workers import Outcome

Json = dict[str, Any]
KEY = NamespacedName("ns", "qwen")
SPEC: Json = {"image": "registry.example/vllm:1", "model": {"name": "org/model"}}


class Harness:
    """One resource, its reconciler, and the watch that says what the test does."""

    def __init__(self, debounce: Debounce | None = None) -> None:
        self.kube, self.cache = FakeKube(), ObjectCache()
        self.reconcile = reconciler(self.kube, self.cache, debounce)
        metadata = {"namespace": "ns", "name": "qwen", "uid": "uid-0", "generation": 1, "resourceVersion": "0"}
        body = {"apiVersion": "hipbmm.io/v1alpha1", "kind": "HipbmmDeployment", "metadata": metadata, "spec": SPEC}
        self.put(HIPBMM_DEPLOYMENT, body)

    def put(self, kind: Kind, body: Json) -> None:
        self.kube.objects[kind, *KEY] = body
        self.cache.put(kind, prune(kind, body))

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
        self.put(kind, body)


async def test_a_rollout_that_has_just_begun_is_never_called_over() -> None:
    harness = Harness()
    await harness.reconcile(KEY)
    revision = harness.kube.objects[DEPLOYMENT, *KEY]["metadata"]["annotations"][names.ANNOTATION_REVISION]
    body = pod(answer=report(), ready=True, revision=revision)
    harness.cache.put(POD, prune(POD, body))
    await harness.reconcile(KEY)
    assert harness.condition("Progressing")["reason"] == "RolloutComplete"
    harness.changed(HIPBMM_DEPLOYMENT, spec={**SPEC, "image": "registry.example/vllm:2"})
    reported = []
    for _ in range(2):
        await harness.reconcile(KEY)
        condition = harness.condition("Progressing")
        reported.append((condition["observedGeneration"], condition["reason"]))
    assert (2, "RolloutComplete") not in reported
    assert reported[-1] == (2, "RollingOut")


async def test_replicas_that_an_admission_policy_changes_are_said_and_not_fought_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = Harness()
    apply = harness.kube.apply

    async def admitted(kind: Kind, body: Json, *, force: bool) -> Json:
        spec = {**body["spec"], "replicas": 5} if kind == DEPLOYMENT else body["spec"]
        return await apply(kind, {**body, "spec": spec}, force=force)

    monkeypatch.setattr(harness.kube, "apply", admitted)
    for _ in range(3):
        await harness.reconcile(KEY)
    said = harness.condition("Progressing")
    assert (said["status"], said["reason"]) == ("False", "Conflict")
    assert "Deployment qwen is stored with 5 replicas in place of 1" in said["message"]
    assert harness.condition("ConfigValid")["status"] == "True"
    assert len([write for write in harness.kube.writes if write[1] == "Deployment"]) == 1


async def test_a_deployment_that_is_scaled_while_the_cluster_is_read_is_put_back_and_no_conflict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By `kubectl scale` or an autoscaler that has the wrong target: no policy has changed what was written."""
    harness = Harness()
    await harness.reconcile(KEY)
    observe = harness.reconcile.observer.at

    async def scaled(*of: Any) -> Observed:  # noqa: ANN401  # what `at` takes
        seen = await observe(*of)
        harness.changed(DEPLOYMENT, spec={**harness.kube.objects[DEPLOYMENT, *KEY]["spec"], "replicas": 3})
        return seen

    with monkeypatch.context() as during:
        during.setattr(harness.reconcile.observer, "at", scaled)
        await harness.reconcile(KEY)
    assert harness.kube.objects[DEPLOYMENT, *KEY]["spec"]["replicas"] == 3
    assert harness.condition("Progressing")["reason"] != "Conflict"
    await harness.reconcile(KEY)
    assert harness.kube.objects[DEPLOYMENT, *KEY]["spec"]["replicas"] == 1


async def test_a_status_waits_once_for_what_follows_from_written_children_and_not_for_failures() -> None:
    harness = Harness()
    outcome = await harness.reconcile(KEY)
    statuses = harness.statuses()
    assert (len(statuses), outcome.again) == (1, 1.0)
    assert harness.condition("Progressing")["reason"] == "Pending"
    harness.kube.objects.pop((DEPLOYMENT, *KEY))
    harness.cache.remove(DEPLOYMENT, *KEY, "")
    outcome = await harness.reconcile(KEY)
    assert outcome.again == 60.0
    assert harness.condition("Progressing")["reason"] == "RollingOut"


async def test_the_first_status_comes_before_the_children_however_many_resources_are_new() -> None:
    harness = Harness()
    await harness.reconcile(KEY)
    assert harness.kube.writes[0] == ("merge", "HipbmmDeployment", "qwen")
    assert ("apply", "Deployment", "qwen") in harness.kube.writes


@pytest.mark.parametrize("spec", [SPEC, {**SPEC, "replicas": "two"}])
async def test_the_scale_subresource_counts_a_pod_as_soon_as_it_is_seen(spec: Json) -> None:
    now = [0.0]
    harness = Harness(Debounce(1.0, lambda: now[0]))
    for _ in range(2):
        await harness.reconcile(KEY)
        now[0] += 1.0
    harness.changed(HIPBMM_DEPLOYMENT, spec=spec)
    body = pod() | {"spec": {}}
    harness.cache.put(POD, prune(POD, body))
    await harness.reconcile(KEY)
    assert harness.kube.objects[HIPBMM_DEPLOYMENT, *KEY]["status"]["replicas"] == 1
    harness.cache.remove(POD, "ns", body["metadata"]["name"], body["metadata"]["uid"])
    await harness.reconcile(KEY)
    assert harness.kube.objects[HIPBMM_DEPLOYMENT, *KEY]["status"]["replicas"] == 0


async def test_a_server_that_has_just_started_is_not_called_unready_for_the_time_that_its_pod_tuned() -> None:
    harness = Harness()
    await harness.reconcile(KEY)
    started = {"state": {"running": {}}, "ready": False, "started": True}
    body = pod(answer=report(), since=600, server=started)
    harness.cache.put(POD, prune(POD, body))
    for _ in range(2):
        await harness.reconcile(KEY)
    assert harness.condition("Available")["reason"] != "NotReady"
    assert harness.condition("Progressing")["reason"] != "NotReady"


async def test_nothing_is_made_for_a_resource_that_is_gone() -> None:
    """The event of its end was lost: a read shows it before something is made."""
    harness = Harness()
    for _ in range(2):
        await harness.reconcile(KEY)
    gone = harness.kube.objects.pop((DEPLOYMENT, *KEY))
    harness.cache.remove(DEPLOYMENT, *KEY, gone["metadata"]["uid"])
    harness.kube.objects.pop((HIPBMM_DEPLOYMENT, *KEY))
    harness.kube.writes.clear()
    assert await harness.reconcile(KEY) == Outcome()
    assert harness.kube.writes == []
    assert harness.cache.get(HIPBMM_DEPLOYMENT, *KEY) is None


async def test_a_resource_is_not_gone_because_somebody_knows_no_such_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy before the API server, or one that does not serve the kind just now."""
    harness = Harness()
    for _ in range(2):
        await harness.reconcile(KEY)
    gone = harness.kube.objects.pop((DEPLOYMENT, *KEY))
    harness.cache.remove(DEPLOYMENT, *KEY, gone["metadata"]["uid"])

    async def unknown(*_: object) -> Json:
        raise errors.from_status(404, {"message": "404 page not found"})

    monkeypatch.setattr(harness.kube, "get", unknown)
    with pytest.raises(errors.NotFoundError):
        await harness.reconcile(KEY)
    monkeypatch.undo()
    await harness.reconcile(KEY)
    assert (DEPLOYMENT, *KEY) in harness.kube.objects


async def test_a_resource_that_is_being_deleted_is_left_alone() -> None:
    harness = Harness()
    body = copy.deepcopy(harness.kube.objects[HIPBMM_DEPLOYMENT, *KEY])
    body["metadata"] |= {"deletionTimestamp": "2026-11-23T12:00:00Z", "resourceVersion": "1"}
    harness.put(HIPBMM_DEPLOYMENT, body)
    assert await harness.reconcile(KEY) == Outcome()
    assert harness.kube.writes == []


async def test_the_status_of_a_resource_that_a_finalizer_holds_stays_true_and_its_children_are_left_alone() -> None:
    harness = Harness()
    for _ in range(2):
        await harness.reconcile(KEY)
    body = copy.deepcopy(harness.kube.objects[HIPBMM_DEPLOYMENT, *KEY])
    body["metadata"] |= {"deletionTimestamp": "2026-11-23T12:00:00Z", "resourceVersion": harness.kube.version()}
    harness.put(HIPBMM_DEPLOYMENT, body | {"spec": {**SPEC, "replicas": 7}})
    revision = harness.kube.objects[DEPLOYMENT, *KEY]["metadata"]["annotations"][names.ANNOTATION_REVISION]
    broken = {"state": {"waiting": {"reason": "CreateContainerError"}}}
    harness.cache.put(POD, prune(POD, pod(revision=revision, server=broken)))
    harness.kube.writes.clear()
    await harness.reconcile(KEY)
    assert harness.condition("Available")["reason"] == "CreateContainerError"
    assert {kind for _, kind, _ in harness.kube.writes} == {"HipbmmDeployment", "Event"}


async def test_a_resource_whose_deletion_is_seen_late_is_not_forgotten_while_a_finalizer_holds_it() -> None:
    """Nothing is made for it, and later events of it count."""
    harness = Harness()
    for _ in range(2):
        await harness.reconcile(KEY)
    gone = harness.kube.objects.pop((DEPLOYMENT, *KEY))
    harness.cache.remove(DEPLOYMENT, *KEY, gone["metadata"]["uid"])
    body = harness.kube.objects[HIPBMM_DEPLOYMENT, *KEY]
    body["metadata"] |= {"deletionTimestamp": "2026-11-23T12:00:00Z", "resourceVersion": harness.kube.version()}
    harness.kube.writes.clear()
    with pytest.raises(errors.NotFoundError):
        await harness.reconcile(KEY)
    assert harness.kube.writes == []
    harness.put(HIPBMM_DEPLOYMENT, body)
    seen = harness.cache.get(HIPBMM_DEPLOYMENT, *KEY)
    assert seen is not None
    assert seen.body()["metadata"]["deletionTimestamp"]


async def test_a_resource_that_is_not_known_needs_nothing() -> None:
    harness = Harness()
    assert await harness.reconcile(NamespacedName("ns", "never")) == Outcome()
    harness.cache.remove(HIPBMM_DEPLOYMENT, *KEY, "uid-0")
    assert await harness.reconcile(KEY) == Outcome()
    assert harness.kube.writes == []


async def test_nothing_is_remembered_of_resources_that_are_gone() -> None:
    """Of one that another of its name has replaced before anybody saw it gone, too, nor of children made anew."""
    harness = Harness()
    await harness.reconcile(KEY)
    gone = harness.kube.objects.pop((DEPLOYMENT, *KEY))
    harness.cache.remove(DEPLOYMENT, *KEY, gone["metadata"]["uid"])
    await harness.reconcile(KEY)

    def remembered() -> tuple[int, int]:
        return len(harness.reconcile.applier._held), len(harness.reconcile.status_writer._stored)

    assert remembered() == (2, 1)
    body = harness.kube.objects[HIPBMM_DEPLOYMENT, *KEY]
    metadata = body["metadata"] | {"uid": "uid-1", "resourceVersion": harness.kube.version()}
    harness.put(HIPBMM_DEPLOYMENT, {**body, "metadata": metadata, "status": {}})
    for kind in (DEPLOYMENT, SERVICE):
        child = harness.kube.objects.pop((kind, *KEY))
        harness.cache.remove(kind, *KEY, child["metadata"]["uid"])
    await harness.reconcile(KEY)
    assert remembered() == (2, 1)
