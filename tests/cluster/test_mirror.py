"""Rows on their way from the log of the first pod into the ConfigMap that every next pod mounts."""

from typing import Any

import pytest
from tests.cluster.api import Api, ApiStatusError, until
from tests.cluster.kubelet import report
from tests.cluster.world import World
from tests.unit.operator.mirror_objects import line, log, name_of, text

from hipbmm_operator.kube import kinds, names

Json = dict[str, Any]

WITHOUT_VOLUME: Json = {"pvc": {"create": False}}
ONE = text(line(1), line(2))
MOUNTED = "qwen-mirror"


def told(*shards: str) -> Json:
    """The report of a pod that has written these shards into its log."""
    return report(mirror={"shards": [name_of(each) for each in shards], "lines": log(*shards).count("hipbmm-shard")})


def tuned(world: World, pod: Json, *shards: str) -> None:
    """`warm` has tuned, and written its rows into its log."""
    world.kubelet.logs[pod["metadata"]["name"]] = log(*shards)
    world.kubelet.warmed(pod, told(*shards))


def mirror(world: World, *shards: str) -> Json:
    """Wait for the mounted ConfigMap to hold exactly these shards."""

    def holds() -> Json | None:
        found = world.api.find(kinds.CONFIG_MAP, world.namespace, MOUNTED)
        wanted = {f"{name_of(each)}.gz" for each in shards}
        return found if found and set(found.get("binaryData") or {}) == wanted and not found.get("data") else None

    return until(f"{MOUNTED} with {len(shards)} shards", holds)


def copies(world: World) -> list[Json]:
    found = world.api.items(kinds.CONFIG_MAP, world.namespace, names.MANAGED_SELECTOR)
    return [body for body in found if body["metadata"]["name"] != MOUNTED]


def alone(world: World) -> Json:
    """Wait for one immutable copy, that of what is mounted."""

    def ask() -> Json | None:
        found = copies(world)
        current = world.api.find(kinds.CONFIG_MAP, world.namespace, MOUNTED) or {}
        same = len(found) == 1 and found[0]["binaryData"] == current.get("binaryData")
        return found[0] if same else None

    return until("one copy of the mirror", ask)


@pytest.fixture
def mirrored(world: World) -> World:
    """Without a volume; the first pod has tuned and its rows are in the mirror."""
    world.create(replicas=2, cache=WITHOUT_VOLUME)
    (pod,) = world.scheduled(1)
    tuned(world, pod, ONE)
    mirror(world, ONE)
    return world


def test_the_rows_are_in_the_mirror_before_the_next_pod_starts(world: World) -> None:
    world.create(replicas=3, cache={"pvc": {"accessModes": ["ReadWriteOnce"]}})
    (first,) = world.scheduled(1)
    assert world.becomes("StorageReady", "True", "Mirrored")["message"].startswith("claim qwen-store is ReadWriteOnce")
    assert not world.api.items(kinds.CLAIM, world.namespace)
    tuned(world, first, ONE)
    pods = world.scheduled(3)
    found = mirror(world, ONE)
    born = [pod["metadata"]["creationTimestamp"] for pod in pods if pod["metadata"]["uid"] != first["metadata"]["uid"]]
    assert all(found["metadata"]["creationTimestamp"] <= time for time in born)
    assert alone(world)["immutable"] is True
    volumes = [{v["name"]: v for v in pod["spec"]["volumes"]}["mirror"]["configMap"] for pod in pods]
    assert [(volume["name"], volume["optional"]) for volume in volumes] == [(MOUNTED, True)] * 3
    assert len({pod["metadata"]["labels"]["pod-template-hash"] for pod in pods}) == 1
    for pod in pods:
        first_one = pod["metadata"]["uid"] == first["metadata"]["uid"]
        world.kubelet.serving(pod, told(ONE) if first_one else report(source="Restored", restored=204))
    world.becomes("Ready", "True", "AllReplicasWarm")
    world.until("the mirror", lambda status: status["cache"]["mirror"] == MOUNTED)


def test_more_rows_change_the_mirror_and_no_pod(mirrored: World) -> None:
    pods = mirrored.scheduled(2)
    before = mirrored.deployment()["metadata"]["generation"]
    more = text(line(1), line(2), line(3), inputs=(name_of(ONE),))
    tuned(mirrored, pods[1] if pods[0]["metadata"]["name"] in mirrored.kubelet.logs else pods[0], more)
    mirror(mirrored, more)
    assert name_of(more) in next(iter(alone(mirrored)["binaryData"]))
    assert mirrored.deployment()["metadata"]["generation"] == before
    assert {pod["metadata"]["uid"] for pod in mirrored.scheduled(2)} == {pod["metadata"]["uid"] for pod in pods}


def unlabel(api: Api, world: World) -> None:
    api.merge(kinds.CONFIG_MAP, world.namespace, MOUNTED, {"metadata": {"labels": {names.LABEL_MANAGED_BY: None}}})


def empty(api: Api, world: World) -> None:
    api.merge(kinds.CONFIG_MAP, world.namespace, MOUNTED, {"binaryData": None, "data": {"mine": "x"}})


def remove(api: Api, world: World) -> None:
    api.delete(kinds.CONFIG_MAP, world.namespace, MOUNTED)


def seal(api: Api, world: World) -> None:
    api.merge(kinds.CONFIG_MAP, world.namespace, MOUNTED, {"binaryData": None, "immutable": True})


def remove_copy(api: Api, world: World) -> None:
    for body in copies(world):
        api.delete(kinds.CONFIG_MAP, world.namespace, body["metadata"]["name"])


@pytest.mark.parametrize("change", [unlabel, empty, remove, seal, remove_copy])
def test_a_changed_mirror_is_repaired(mirrored: World, api: Api, change: Any) -> None:  # noqa: ANN401 - one of the functions above
    alone(mirrored)
    mirrored.kubelet.logs.clear()
    change(api, mirrored)
    if change is unlabel:
        # It is not watched any more: seen by the next reconcile, as after any change of the resource.
        mirrored.change({"service": {"annotations": {"example.com/touched": "1"}}})
        until("the label", lambda: names.LABEL_MANAGED_BY in labels(mirrored))
    mirror(mirrored, ONE)
    until("a mirror that can be changed", lambda: not immutable(mirrored))
    alone(mirrored)


def labels(world: World) -> Json:
    return dict(world.api.get(kinds.CONFIG_MAP, world.namespace, MOUNTED)["metadata"]["labels"])


def immutable(world: World) -> bool:
    found = world.api.find(kinds.CONFIG_MAP, world.namespace, MOUNTED)
    return found is None or bool(found.get("immutable"))


def test_an_immutable_copy_cannot_be_changed_by_mistake(mirrored: World) -> None:
    name = alone(mirrored)["metadata"]["name"]
    with pytest.raises(ApiStatusError, match="immutable"):
        mirrored.api.merge(kinds.CONFIG_MAP, mirrored.namespace, name, {"binaryData": None})


def test_everything_goes_with_the_resource(mirrored: World) -> None:
    mirrored.clean()
    until(
        "the ConfigMaps to go",
        lambda: not mirrored.api.items(kinds.CONFIG_MAP, mirrored.namespace, names.MANAGED_SELECTOR),
    )


def test_what_was_orphaned_is_taken_over_and_goes_with_the_next_resource(mirrored: World) -> None:
    """`kubectl delete --cascade=orphan`, then the same manifest again."""
    mirrored.recover(2, told(ONE))
    before = sorted(pod["metadata"]["uid"] for pod in mirrored.pods(2))
    path = kinds.HIPBMM_DEPLOYMENT.path(mirrored.namespace, "qwen")
    mirrored.api.request("DELETE", path, {"propagationPolicy": "Orphan"})
    until("the resource to go", lambda: not mirrored.api.items(kinds.HIPBMM_DEPLOYMENT, mirrored.namespace))
    mirrored.create(replicas=2, cache=WITHOUT_VOLUME)
    mirrored.recover(2, told(ONE))
    assert sorted(pod["metadata"]["uid"] for pod in mirrored.pods(2)) == before
    mirrored.clean()
    of = (kinds.DEPLOYMENT, kinds.CONTROLLER_REVISION, kinds.CONFIG_MAP)

    def left() -> list[Json]:
        return [each for kind in of for each in mirrored.api.items(kind, mirrored.namespace, names.MANAGED_SELECTOR)]

    until("everything to go", lambda: not left())


def test_a_foreign_config_map_is_left_alone_and_reported(world: World) -> None:
    foreign: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": MOUNTED, "namespace": world.namespace},
        "data": {"theirs": "1"},
    }
    world.api.create(kinds.CONFIG_MAP, foreign)
    world.create(cache=WITHOUT_VOLUME)
    (pod,) = world.scheduled(1)
    tuned(world, pod, ONE)
    assert "ConfigMap qwen-mirror" in world.becomes("Progressing", "False", "NameConflict")["message"]
    assert world.api.get(kinds.CONFIG_MAP, world.namespace, MOUNTED)["data"] == {"theirs": "1"}
    world.api.delete(kinds.CONFIG_MAP, world.namespace, MOUNTED)
    mirror(world, ONE)
    world.serve(1, told(ONE))
    world.becomes("Ready", "True")


def test_a_log_that_lies_is_reported_and_does_not_hold_the_rollout(world: World) -> None:
    world.create(replicas=2, cache=WITHOUT_VOLUME)
    (pod,) = world.scheduled(1)
    world.kubelet.logs[pod["metadata"]["name"]] = log(ONE).replace("H4sI", "AAAA")
    world.kubelet.warmed(pod, told(ONE))
    assert name_of(ONE) in world.becomes("StorageReady", "False", "MirrorRejected")["message"]
    assert len(world.scheduled(2)) == 2
    assert world.api.find(kinds.CONFIG_MAP, world.namespace, MOUNTED) is None


def test_a_mirror_that_is_switched_off_goes(mirrored: World) -> None:
    alone(mirrored)
    mirrored.change({"cache": {"mirror": "Never"}})
    until(
        "no mirror",
        lambda: not mirrored.api.items(kinds.CONFIG_MAP, mirrored.namespace, names.MANAGED_SELECTOR),
    )


def test_what_a_server_learns_flows_back_into_the_mirror(world: World) -> None:
    world.create(cache=WITHOUT_VOLUME)
    (pod,) = world.scheduled(1)
    tuned(world, pod, ONE)
    mirror(world, ONE)
    origin = f"{pod['metadata']['uid']}.mirror"
    learned = text(line(9), origin=origin, number=1)
    asker = f"demand.{pod['metadata']['uid']}"
    asked = text("7,256,512,0,99", origin=asker, kind="demand", number=1)
    found_names = [name_of(learned, origin, 1), name_of(asked, asker, 1)]
    world.kubelet.logs[pod["metadata"]["name"]] = log(learned, asked, names=found_names)
    world.kubelet.serving(pod, told(ONE))

    def learned_too() -> bool:
        found = world.api.get(kinds.CONFIG_MAP, world.namespace, MOUNTED)
        return set(found.get("binaryData") or {}) == {f"{name}.gz" for name in (name_of(ONE), *found_names)}

    until("the learned row and the demand in the mirror", learned_too)
