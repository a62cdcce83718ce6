"""One value of the watched objects and of what is read besides."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.operator.fakekube import FakeKube
from tests.unit.operator.make import NOW, Json, observed, planned, pod, report, resource, time, typed
from tests.unit.operator.mirror_objects import content, line, log, name_of, shard, text

from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.mirror import steps
from hipbmm_operator.observe.observed import Observed, OnDemandFacts
from hipbmm_operator.observe.observer import Observer
from hipbmm_operator.plan.plan import Plan
from hipbmm_operator.resources import circumstances, environment
from hipbmm_operator.resources.circumstances import Bounds
from hipbmm_operator.watch.cache import ObjectCache
from hipbmm_operator.watch.node_cache import NodeCache
from hipbmm_operator.watch.pruning import prune

OWNED = {"ownerReferences": [{"uid": "uid-1"}], "annotations": {names.ANNOTATION_DEPLOYMENT: "qwen"}}


class Case:
    """An observer with a cache that the test fills."""

    def __init__(self) -> None:
        self.kube, self.cache = FakeKube(), ObjectCache()
        kube: object = self.kube
        self.clock = 0.0
        # Of the API server the part that is used.
        self.observer = Observer(kube, self.cache, NodeCache(), lambda: self.clock, 5.0)  # type: ignore[arg-type]

    def put(self, kind: Kind, body: Json) -> None:
        self.cache.put(kind, prune(kind, body))

    def child(self, kind: Kind, name: str = "qwen", **parts: object) -> None:
        metadata = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": "1", **OWNED}
        self.put(kind, {"metadata": metadata, **parts})

    async def observe(self, spec: Json | None = None, *, after: float = 0) -> Observed:
        of = resource(spec)
        return await self.observer.at(of, typed(of), NOW + timedelta(seconds=after))


async def test_of_an_empty_cluster_nothing_is_observed() -> None:
    found = await Case().observe()
    assert (found.deployment, found.service, found.budget, found.claim, found.pods) == (None, None, None, None, ())
    assert (found.revisions, found.again) == ((), None)


async def test_the_children_are_found_by_name() -> None:
    case = Case()
    case.child(kinds.DEPLOYMENT, spec={"replicas": 2})
    case.child(kinds.SERVICE)
    case.child(kinds.BUDGET)
    case.child(kinds.CLAIM, "qwen-store", status={"phase": "Bound"})
    case.child(kinds.CONTROLLER_REVISION, "qwen-1", revision=1, data={"template": {"spec": {}}})
    found = await case.observe()
    assert found.deployment is not None
    assert found.claim is not None
    assert (found.deployment.replicas, found.claim.phase) == (2, "Bound")
    assert found.service is not None
    assert found.budget is not None
    assert [revision.name for revision in found.revisions] == ["qwen-1"]


async def test_the_deployment_is_known_as_it_is_after_a_write() -> None:
    case = Case()
    case.child(kinds.DEPLOYMENT, spec={"replicas": 1})
    found = await case.observe()
    case.child(kinds.DEPLOYMENT, spec={"replicas": 5})
    after = case.observer.deployment(resource().meta)
    assert found.deployment is not None
    assert after is not None
    assert (found.deployment.replicas, after.replicas) == (1, 5)


async def test_a_claim_of_somebody_else_is_read_and_one_of_ours_is_watched() -> None:
    case = Case()
    named: Json = {"cache": {"pvc": {"claimName": "theirs"}}}
    assert (await case.observe(named)).claim is None
    case.kube.objects[kinds.CLAIM, "ns", "theirs"] = {"metadata": {"name": "theirs"}, "status": {"phase": "Bound"}}
    found = (await case.observe(named)).claim
    assert found is not None
    assert found.phase == "Bound"
    claims = [what for _, what in case.kube.reads if what.startswith("PersistentVolumeClaim")]
    assert claims == ["PersistentVolumeClaim theirs"] * 2
    await case.observe()
    assert (await case.observe({"cache": {"pvc": {"create": False}}})).claim is None
    assert sum(what.startswith("PersistentVolumeClaim") for _, what in case.kube.reads) == 2


async def test_a_pod_that_is_taken_out_of_the_selector_does_not_count() -> None:
    """A person changes its label, to look into it while another one takes its place."""
    case = Case()
    case.put(kinds.POD, pod("a"))
    for name, labels in (("b", {names.LABEL_DEPLOYMENT: "debug"}), ("c", {})):
        body = pod(name)
        case.put(kinds.POD, {**body, "metadata": {**body["metadata"], "labels": labels}})
    assert [each.name for each in (await case.observe()).pods] == ["a"]


async def test_a_claim_whose_labels_somebody_took_is_still_observed() -> None:
    case = Case()
    case.kube.objects[kinds.CLAIM, "ns", "qwen-store"] = {"status": {"phase": "Bound"}}
    of = resource(status={"cache": {"claimName": "qwen-store"}})
    found = await case.observer.at(of, typed(of), NOW)
    assert found.claim is not None
    assert found.claim.phase == "Bound"


async def test_without_a_usable_spec_only_what_is_there_is_observed() -> None:
    case = Case()
    case.child(kinds.SERVICE)
    body = pod()
    case.put(kinds.POD, body)
    found = await case.observer.at(resource(), None, NOW)
    assert found.service is not None
    assert (len(found.pods), found.hardware, found.claim) == (1, None, None)


async def test_a_mirror_is_observed_when_it_is_there_or_wanted() -> None:
    case = Case()
    of = content(shard(line(1)))
    body = steps.build(resource().meta, of, ())
    body["metadata"] |= {"uid": "uid-m", "resourceVersion": "1"}
    case.put(kinds.CONFIG_MAP, body)
    found = (await case.observe()).mirror
    assert found.mounted is not None
    assert (found.mounted.digest, found.mounted.shards) == (of.digest, frozenset(of.shards))


async def test_rows_of_pods_that_mount_a_mirror_are_read_though_their_claim_is_another_one_by_now() -> None:
    """The plan keeps the mirror of their template: what they tune anew is to get into it."""
    case, rows = Case(), text(line(1))
    spec: Json = {"cache": {"pvc": {"claimName": "theirs", "create": False}}}
    shared = {"phase": "Bound", "accessModes": ["ReadWriteMany"]}
    case.kube.objects[kinds.CLAIM, "ns", "theirs"] = {"metadata": {"name": "theirs"}, "status": shared}
    case.kube.logs["a", "warm"] = log(rows)
    case.put(kinds.POD, pod("a", answer=report(mirror={"shards": [name_of(rows)], "lines": 9})))
    assert (await case.observe(spec)).mirror.content is None
    volumes = [{"name": "store", "emptyDir": {}}, {"name": "mirror", "configMap": {"name": "qwen-mirror"}}]
    case.child(kinds.DEPLOYMENT, spec={"template": {"spec": {"volumes": volumes}}})
    found = (await case.observe(spec)).mirror.content
    assert found is not None
    assert set(found.shards) == {name_of(rows)}


async def test_a_server_is_unready_from_when_it_started_and_not_from_when_its_pod_did() -> None:
    case = Case()
    started: Json = {"state": {"running": {}}, "ready": False, "started": True}
    case.put(kinds.POD, pod(answer=report(), since=600, server=started))
    for after in (0, 20):
        (found,) = (await case.observe(after=after)).pods
        assert found.not_ready_since == NOW
    case.put(kinds.POD, pod(answer=report(), since=600, server=started | {"ready": True}))
    for after in (30, 50):
        (found,) = (await case.observe(after=after)).pods
        assert found.not_ready_since == NOW + timedelta(seconds=30), "its pod is not ready since the server is"
    case.put(kinds.POD, pod(answer=report(), ready=True) | {"x": time()})
    (found,) = (await case.observe(after=60)).pods
    assert found.ready


@pytest.mark.parametrize(
    ("source", "data", "prefix", "left_out", "derived"),
    [
        ("configMap", {"HF_HOME": "/data/hf", "OTHER": "x"}, "", {"HF_HOME"}, set[str]()),
        ("secret", {"HF_HOME": "L2RhdGE="}, "", {"HF_HOME"}, set[str]()),
        ("configMap", {"HOME": "/data/hf"}, "HF_", {"HF_HOME"}, set[str]()),
        ("configMap", {"HF_HOME": "/data/hf"}, "MY_", set[str](), set[str]()),
        ("configMap", {"XDG_CACHE_HOME": "/data"}, "", {"XDG_CACHE_HOME"}, {"HF_HOME", "VLLM_CACHE_ROOT"}),
        ("configMap", {"HUGGINGFACE_HUB_CACHE": "/data"}, "", {"HF_HUB_CACHE"}, set[str]()),
        ("configMap", {"VLLM_CACHE_ROOT": "/data", "TRITON_CACHE_DIR": "/x"}, "", {"VLLM_CACHE_ROOT"}, set[str]()),
        ("configMap", {"VLLM_ROCM_USE_AITER": "0"}, "", set[str](), set[str]()),
    ],
)
async def test_a_cache_that_config_maps_and_secrets_give_is_left_to_them(
    source: str, data: Json, prefix: str, left_out: set[str], derived: set[str]
) -> None:
    """A variable of `env` would win over `envFrom`. The template that is stored is rendered again just so."""
    case = Case()
    kind = kinds.CONFIG_MAP if source == "configMap" else kinds.SECRET
    case.kube.objects[kind, "ns", "mine"] = {"metadata": {"name": "mine"}, "data": data}
    server = {"name": "server", "envFrom": [{"prefix": prefix, f"{source}Ref": {"name": "mine"}}]}
    of = resource({"podTemplate": {"spec": {"containers": [server]}}})
    plain, plan = planned(of), planned(of, await case.observer.at(of, typed(of), NOW))
    for name in ("server", "warm"):
        before, after = (variables(each, name) for each in (plain, plan))
        assert before - after >= (left_out | derived) - {"HF_HUB_CACHE"}
        assert not after & (left_out | derived)
        assert "VLLM_ROCM_USE_AITER" in after
    stored = plan.revision.template
    assert circumstances.of(stored).given == {f"{prefix}{key}" for key in data} & environment.CACHES
    again = replace(observed(), circumstances=circumstances.of(stored), facts=OnDemandFacts(config=config_of(stored)))
    assert planned(of, again).revision.template["spec"] == stored["spec"]


async def test_the_rules_of_the_namespace_are_kept_for_a_while() -> None:
    """Many resources are often made at once in one namespace."""
    case = Case()
    case.kube.objects[kinds.LIMIT_RANGE, "ns", "bounds"] = {
        "spec": {"limits": [{"type": "Container", "min": {"cpu": "1"}}]}
    }
    for _ in range(3):
        assert (await case.observe()).circumstances.bounds == {"cpu": Bounds("1", "")}
    assert case.kube.reads.count(("list", "LimitRange")) == 1
    del case.kube.objects[kinds.LIMIT_RANGE, "ns", "bounds"]
    case.clock = 31.0
    assert (await case.observe()).circumstances.bounds == {}


def variables(plan: Plan, container: str) -> set[str]:
    pod = plan.revision.template["spec"]
    (found,) = [each for each in [*pod["initContainers"], *pod["containers"]] if each["name"] == container]
    return {entry["name"] for entry in found["env"]}


def config_of(template: Json) -> str:
    return str(template["metadata"]["annotations"]["hipbmm.io/config"])
