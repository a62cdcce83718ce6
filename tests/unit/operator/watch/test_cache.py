"""The cache ends up with what the API server has, whatever events and lists come in which order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.watch.cache import ObjectCache
from hipbmm_operator.watch.pruning import CachedObject, prune

Json = dict[str, Any]
OWNER = NamespacedName("ns", "qwen")


def service(name: str = "s", version: int = 1, uid: str = "u", port: int = 80) -> CachedObject:
    annotations = {names.ANNOTATION_DEPLOYMENT: OWNER.name}
    metadata = {
        "namespace": "ns",
        "name": name,
        "uid": uid,
        "resourceVersion": str(version),
        "annotations": annotations,
    }
    return prune(kinds.SERVICE, {"metadata": metadata, "spec": {"port": port}})


def take_list(
    cache: ObjectCache, objects: list[CachedObject], resource_version: str = "9", namespace: str = ""
) -> list[NamespacedName]:
    """Owners of what a list changes."""
    return cache.replace(kinds.SERVICE, objects, resource_version, namespace)


def test_an_unchanged_object_is_no_news() -> None:
    cache = ObjectCache()
    assert cache.put(kinds.SERVICE, service(version=1))
    assert not cache.put(kinds.SERVICE, service(version=2))
    assert cache.put(kinds.SERVICE, service(version=3, port=81))


def test_the_counts_of_a_deployment_are_no_news_and_its_conditions_are() -> None:
    cache = ObjectCache()

    def put(version: int, ready: int, reason: str) -> list[NamespacedName]:
        metadata = service("qwen", version).body()["metadata"]
        condition = {"type": "Progressing", "status": "False", "reason": reason}
        status = {"replicas": 2, "readyReplicas": ready, "conditions": [condition]}
        body = {"metadata": metadata, "spec": {"replicas": 2}, "status": status}
        return cache.put(kinds.DEPLOYMENT, prune(kinds.DEPLOYMENT, body))

    assert put(1, 0, "ReplicaSetUpdated")
    assert not put(2, 2, "ReplicaSetUpdated")
    assert put(3, 2, "ProgressDeadlineExceeded")
    kept = cache.get(kinds.DEPLOYMENT, "ns", "qwen")
    assert kept is not None
    assert kept.body()["status"]["conditions"][0]["reason"] == "ProgressDeadlineExceeded"


def test_an_older_state_never_replaces_a_newer_one() -> None:
    cache = ObjectCache()
    cache.put(kinds.SERVICE, service(version=9, port=9))
    assert not cache.put(kinds.SERVICE, service(version=8, port=8))
    take_list(cache, [service(version=7, port=7)], "8")
    found = cache.get(kinds.SERVICE, "ns", "s")
    assert found is not None
    assert found.body()["spec"] == {"port": 9}


def test_an_object_never_replaces_the_later_one_of_its_name() -> None:
    cache = ObjectCache()
    cache.put(kinds.SERVICE, service(uid="new", version=8))
    assert take_list(cache, [service(uid="old", version=3)], "6") == []
    found = cache.get(kinds.SERVICE, "ns", "s")
    assert found is not None
    assert found.uid == "new"


def test_a_late_deletion_does_not_remove_the_successor() -> None:
    cache = ObjectCache()
    cache.put(kinds.SERVICE, service(uid="new", version=2))
    cache.remove(kinds.SERVICE, "ns", "s", "old")
    assert cache.get(kinds.SERVICE, "ns", "s") is not None


def test_a_deletion_takes_an_earlier_object_of_the_name_with_it() -> None:
    cache = ObjectCache()
    cache.put(kinds.SERVICE, service(uid="old", version=1))
    cache.remove(kinds.SERVICE, "ns", "s", "later", "4")
    assert cache.get(kinds.SERVICE, "ns", "s") is None


def test_a_list_with_what_is_known_to_be_gone_drops_an_earlier_object_of_the_name() -> None:
    cache = ObjectCache()
    cache.put(kinds.SERVICE, service(uid="old", version=1))
    cache.remove(kinds.SERVICE, "ns", "s", "later")
    assert take_list(cache, [service(uid="later", version=3)], "3") == [OWNER]
    assert cache.get(kinds.SERVICE, "ns", "s") is None


def test_a_list_drops_ghosts_and_tells_their_owner() -> None:
    cache = ObjectCache()
    cache.put(kinds.SERVICE, service("ghost"))
    cache.put(kinds.SERVICE, service("alive"))
    changed = take_list(cache, [service("alive")])
    assert changed == [OWNER]
    assert [packed.at.name for packed in cache.owned(OWNER, kinds.SERVICE)] == ["alive"]


def test_what_came_while_the_list_was_read_stays() -> None:
    cache = ObjectCache()
    cache.put(kinds.SERVICE, service("gone"))
    cache.put(kinds.SERVICE, service("born", version=11, uid="later"))
    cache.remove(kinds.SERVICE, "ns", "gone", "u", "10")
    take_list(cache, [service("gone")])
    assert [packed.at.name for packed in cache.owned(OWNER, kinds.SERVICE)] == ["born"]


def test_a_stale_list_takes_nothing_away() -> None:
    cache = ObjectCache()
    cache.put(kinds.SERVICE, service("newer", version=12))
    cache.put(kinds.SERVICE, service("older", version=3))
    changed = take_list(cache, [])
    assert changed == [OWNER]
    assert [packed.at.name for packed in cache.owned(OWNER, kinds.SERVICE)] == ["newer"]


def test_a_list_of_one_namespace_leaves_the_others() -> None:
    cache = ObjectCache()
    cache.put(kinds.SERVICE, service())
    take_list(cache, [], namespace="elsewhere")
    assert cache.count(kinds.SERVICE) == 1


WHAT = st.sampled_from(["put", "remove", "found gone", "put lost", "remove lost"])
STEPS = st.lists(st.tuples(WHAT, st.sampled_from("abc"), st.integers(0, 3)), max_size=30)


@given(STEPS, STEPS)
def test_a_list_always_ends_at_the_truth(
    before: list[tuple[str, str, int]], during: list[tuple[str, str, int]]
) -> None:
    cache, truth, version = ObjectCache(), dict[str, CachedObject](), 0

    def play(steps: list[tuple[str, str, int]], lose: bool) -> None:
        nonlocal version
        for what, name, port in steps:
            version += 1
            lost = what.endswith(" lost") and lose
            if what.startswith("put"):
                # What is made again after a deletion has another uid.
                uid = truth[name].uid if name in truth else f"u{version}"
                truth[name] = service(name, version, uid, port)
                if not lost:
                    cache.put(kinds.SERVICE, truth[name])
            elif name in truth:
                uid = truth.pop(name).uid
                if what == "found gone":  # by a request, whose answer has no version
                    cache.remove(kinds.SERVICE, "ns", name, uid)
                elif not lost:
                    cache.remove(kinds.SERVICE, "ns", name, uid, str(version))

    play(before, lose=True)
    listed, of = list(truth.values()), str(version)
    play(during, lose=False)
    cache.replace(kinds.SERVICE, listed, of)
    held = {at.name: packed.body() for at, packed in cache._objects[kinds.SERVICE].items()}
    assert held == {name: packed.body() for name, packed in truth.items()}
    assert {packed.at.name for packed in cache.owned(OWNER, kinds.SERVICE)} == set(truth)


@pytest.mark.parametrize("backup", [35, 45], ids=["before the last list", "after it"])
def test_an_api_server_restored_from_a_backup_is_believed(backup: int) -> None:
    """It counts versions anew from those of the backup."""
    cache = ObjectCache()
    made_again = service("made-again", version=31, uid="before", port=1)
    changed, deleted = service("changed", version=30, uid="c", port=1), service("deleted", version=32, uid="d")
    take_list(cache, [made_again, changed, deleted], "40")
    cache.put(kinds.SERVICE, service("changed", version=50, uid="c", port=2))
    cache.put(kinds.SERVICE, service("lost", version=51, uid="l"))
    cache.put(kinds.SERVICE, service("made-again", version=52, uid="after", port=2))
    cache.remove(kinds.SERVICE, "ns", "deleted", "d", "53")
    assert cache.owned(OWNER, kinds.SERVICE) != [changed, deleted, made_again]
    take_list(cache, [made_again, changed, deleted], str(backup if backup < 40 else 60))
    assert cache.owned(OWNER, kinds.SERVICE) == [changed, deleted, made_again]
    assert cache.put(kinds.SERVICE, service("changed", version=61, uid="c", port=3)), "later states are taken"


def test_no_deletion_is_forgotten_for_those_of_other_kinds() -> None:
    """Pods go by the thousand while the answer to a write of something else is under way."""
    cache = ObjectCache()
    cache.remove(kinds.SERVICE, "ns", "s", "u", "3")
    for number in range(5000):
        cache.remove(kinds.POD, "ns", f"p{number}", f"p{number}", "4")
    assert not cache.put(kinds.SERVICE, service(version=2))


def test_owners_are_found_by_annotation() -> None:
    body: Json = {"metadata": {"namespace": "ns", "name": "x", "annotations": {names.ANNOTATION_DEPLOYMENT: "qwen"}}}
    assert prune(kinds.POD, body).owner == OWNER
    assert prune(kinds.POD, {"metadata": {"namespace": "ns", "name": "x"}}).owner is None
    assert prune(kinds.HIPBMM_DEPLOYMENT, {"metadata": {"namespace": "ns", "name": "qwen"}}).owner == OWNER
    assert prune(kinds.NODE, {"metadata": {"name": "n"}}).owner == NamespacedName("", "n")


def test_a_pod_is_pruned_to_what_decisions_read() -> None:
    body: Json = {
        "metadata": {"namespace": "ns", "name": "p", "uid": "u", "managedFields": [{"x": "y" * 1000}]},
        "spec": {"nodeName": "n", "containers": [{"name": "server", "env": [{"name": "A", "value": "secret"}]}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{"name": "server", "image": "i"}]},
    }
    kept = prune(kinds.POD, body).body()
    assert kept["spec"] == {"nodeName": "n"}
    assert "managedFields" not in kept["metadata"]
    assert kept["status"]["containerStatuses"] == [{"name": "server"}]


def test_the_answer_to_a_write_that_comes_after_the_deletion_brings_nothing_back() -> None:
    cache = ObjectCache()
    cache.put(kinds.SERVICE, service(version=1))
    cache.remove(kinds.SERVICE, "ns", "s", "u", "3")
    assert not cache.put(kinds.SERVICE, service(version=2))
    assert cache.get(kinds.SERVICE, "ns", "s") is None
    assert cache.put(kinds.SERVICE, service(version=4, uid="successor"))


def test_what_no_event_has_told_is_gone_for_good() -> None:
    cache = ObjectCache()
    cache.put(kinds.SERVICE, service(version=1))
    cache.remove(kinds.SERVICE, "ns", "s", "u")
    assert not cache.put(kinds.SERVICE, service(version=9))


def test_an_object_that_gets_its_labels_back_is_seen_again() -> None:
    """A watch by labels says DELETED of one that has lost them."""
    cache = ObjectCache()
    cache.put(kinds.SERVICE, service(version=1))
    cache.remove(kinds.SERVICE, "ns", "s", "u", "2")
    assert cache.put(kinds.SERVICE, service(version=3))
    assert cache.owned(OWNER, kinds.SERVICE) == [cache.get(kinds.SERVICE, "ns", "s")]
