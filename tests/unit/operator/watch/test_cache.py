"""The store ends up with what the API server has, whatever events and lists come in which order."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hipbmm_operator.kube import kinds, metadata, names
from hipbmm_operator.kube.namespaced_name import NamespacedName
from hipbmm_operator.watch.cache import Store, owner_of
from hipbmm_operator.watch.pruning import CachedObject, prune

Json = dict[str, Any]
OWNER = NamespacedName("ns", "qwen")


def service(name: str = "s", version: int = 1, uid: str = "u", port: int = 80) -> CachedObject:
    metadata = {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": str(version)}
    return prune(kinds.SERVICE, {"metadata": metadata, "spec": {"port": port}})


def take_list(
    store: Store, objects: list[CachedObject], began: int, namespace: str = "", resource_version: str = ""
) -> list[NamespacedName | None]:
    """A list whose objects were all read."""
    names = {NamespacedName(each.namespace, each.name) for each in objects}
    found = [(each, OWNER) for each in objects]
    return store.replace(kinds.SERVICE, names, found, began, namespace, resource_version)


def test_an_unchanged_object_is_no_news() -> None:
    store = Store()
    assert store.put(kinds.SERVICE, service(version=1), OWNER)
    assert not store.put(kinds.SERVICE, service(version=2), OWNER)
    assert store.put(kinds.SERVICE, service(version=3, port=81), OWNER)


def test_the_counts_of_a_deployment_are_no_news_and_its_conditions_are() -> None:
    store = Store()

    def put(version: int, ready: int, reason: str) -> bool:
        metadata = {"namespace": "ns", "name": "qwen", "uid": "u", "generation": 1, "resourceVersion": str(version)}
        condition = {"type": "Progressing", "status": "False", "reason": reason}
        status = {"replicas": 2, "readyReplicas": ready, "conditions": [condition]}
        body = {"metadata": metadata, "spec": {"replicas": 2}, "status": status}
        return store.put(kinds.DEPLOYMENT, prune(kinds.DEPLOYMENT, body), None)

    assert put(1, 0, "ReplicaSetUpdated")
    assert not put(2, 2, "ReplicaSetUpdated")
    assert put(3, 2, "ProgressDeadlineExceeded")
    kept = store.get(kinds.DEPLOYMENT, "ns", "qwen")
    assert kept is not None
    assert kept.body()["status"]["conditions"][0]["reason"] == "ProgressDeadlineExceeded"


def test_an_older_state_never_replaces_a_newer_one() -> None:
    store = Store()
    store.put(kinds.SERVICE, service(version=9, port=9), OWNER)
    assert not store.put(kinds.SERVICE, service(version=8, port=8), OWNER)
    began = store.begin()
    take_list(store, [service(version=7, port=7)], began)
    found = store.get(kinds.SERVICE, "ns", "s")
    assert found is not None
    assert found.body()["spec"] == {"port": 9}


def test_a_late_deletion_does_not_remove_the_successor() -> None:
    store = Store()
    store.put(kinds.SERVICE, service(uid="new", version=2), OWNER)
    store.remove(kinds.SERVICE, "ns", "s", "old")
    assert store.get(kinds.SERVICE, "ns", "s") is not None


def test_a_list_drops_ghosts_and_tells_their_owner() -> None:
    store = Store()
    store.put(kinds.SERVICE, service("ghost"), OWNER)
    store.put(kinds.SERVICE, service("alive"), OWNER)
    began = store.begin()
    changed = take_list(store, [service("alive")], began)
    store.end()
    assert changed == [OWNER]
    assert [packed.name for packed in store.owned(OWNER, kinds.SERVICE)] == ["alive"]


def test_what_came_while_the_list_was_read_stays() -> None:
    store = Store()
    store.put(kinds.SERVICE, service("gone"), OWNER)
    began = store.begin()
    store.put(kinds.SERVICE, service("born"), OWNER)
    store.remove(kinds.SERVICE, "ns", "gone", "u")
    take_list(store, [service("gone")], began)
    store.end()
    assert [packed.name for packed in store.owned(OWNER, kinds.SERVICE)] == ["born"]


def test_a_stale_list_takes_nothing_away() -> None:
    store = Store()
    store.put(kinds.SERVICE, service("newer", version=12), OWNER)
    store.put(kinds.SERVICE, service("older", version=3), OWNER)
    began = store.begin()
    changed = take_list(store, [], began, resource_version="9")
    store.end()
    assert changed == [OWNER]
    assert [packed.name for packed in store.owned(OWNER, kinds.SERVICE)] == ["newer"]


def test_a_list_of_one_namespace_leaves_the_others() -> None:
    store = Store()
    store.put(kinds.SERVICE, service(), OWNER)
    began = store.begin()
    take_list(store, [], began, namespace="elsewhere")
    assert store.count(kinds.SERVICE) == 1


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "remove", "lost"]), st.sampled_from("abc"), st.integers(0, 3)), max_size=30
)


@given(STEPS, STEPS)
def test_a_list_always_ends_at_the_truth(
    before: list[tuple[str, str, int]], during: list[tuple[str, str, int]]
) -> None:
    store, truth, version = Store(), dict[str, CachedObject](), 0

    def play(steps: list[tuple[str, str, int]], lose: bool) -> None:
        nonlocal version
        for what, name, port in steps:
            version += 1
            lost = what == "lost" and lose
            if what in ("put", "lost"):
                # What is made again after a deletion has another uid.
                uid = truth[name].uid if name in truth else f"u{version}"
                truth[name] = service(name, version, uid, port)
                if not lost:
                    store.put(kinds.SERVICE, truth[name], OWNER)
            elif name in truth:
                store.remove(kinds.SERVICE, "ns", name, truth.pop(name).uid)

    play(before, lose=True)
    began = store.begin()
    listed = [metadata.parse(packed.body()) for packed in truth.values()]
    play(during, lose=False)
    lacking = [each.name for each in listed if store.lacks(kinds.SERVICE, each, began)]
    found = [(truth[name], OWNER) for name in lacking if name in truth]
    store.replace(kinds.SERVICE, {NamespacedName("ns", each.name) for each in listed}, found, began)
    store.end()
    held = {packed.name: packed.body() for packed in store.all(kinds.SERVICE)}
    assert held == {name: packed.body() for name, packed in truth.items()}
    assert {packed.name for packed in store.owned(OWNER, kinds.SERVICE)} == set(truth)


def test_owners_are_found_by_annotation() -> None:
    body: Json = {"metadata": {"namespace": "ns", "name": "x", "annotations": {names.ANNOTATION_DEPLOYMENT: "qwen"}}}
    assert owner_of(kinds.POD, body) == OWNER
    assert owner_of(kinds.POD, {"metadata": {"namespace": "ns", "name": "x"}}) is None
    assert owner_of(kinds.HIPBMM_DEPLOYMENT, {"metadata": {"namespace": "ns", "name": "qwen"}}) == OWNER


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
    store = Store()
    store.put(kinds.SERVICE, service(version=1), OWNER)
    store.remove(kinds.SERVICE, "ns", "s", "u")
    assert not store.put(kinds.SERVICE, service(version=2), OWNER)
    assert store.get(kinds.SERVICE, "ns", "s") is None
    assert store.put(kinds.SERVICE, service(version=3, uid="successor"), OWNER)
