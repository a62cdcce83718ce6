"""Bodies of the API as values: what is read of each kind, and that no body is a defect."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.make import Json, ended, pod, report, resource, time

from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.times import moment
from hipbmm_operator.observe import parse
from hipbmm_operator.watch.pruning import prune

OWNER = resource().meta


def test_a_deployment() -> None:
    annotations = {names.ANNOTATION_RELEASED: "true", names.ANNOTATION_REVISION: "r-1", names.ANNOTATION_CONTENT: "c"}
    template = {"metadata": {"labels": {"a": "b"}, "creationTimestamp": None}, "spec": {"containers": []}}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    found = parse.deployment(
        {
            "metadata": {"name": "qwen", "uid": "u", "resourceVersion": "7", "annotations": annotations},
            "spec": {"replicas": 3, "strategy": rolling, "template": template},
            "status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]},
        }
    )
    assert (found.replicas, found.in_place, found.released, found.revision) == (3, True, True, "r-1")
    assert (found.content, found.refusal, found.overdue_since) == ("c", "exceeded quota", None)
    assert found.template == {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}


def test_a_deployment_whose_pods_are_let_in_again_is_not_refused() -> None:
    conditions = [
        {"type": "ReplicaFailure", "status": "False", "message": "old"},
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "lastTransitionTime": time(5)},
    ]
    found = parse.deployment({"status": {"conditions": conditions}})
    assert (found.refusal, found.overdue_since, found.replicas, found.template) == (None, moment(time(5)), 1, {})


def test_what_was_said_of_a_former_generation_of_a_deployment_is_not_said_of_this_one() -> None:
    words = {"message": 'ReplicaSet "qwen-5d" has timed out', "lastTransitionTime": time(5)}
    conditions = [
        {"type": "ReplicaFailure", "status": "True", **words},
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", **words},
    ]
    status = {"observedGeneration": 3, "conditions": conditions}
    said, former = (parse.deployment({"metadata": {"generation": at}, "status": status}) for at in (3, 4))
    assert (said.refusal, said.overdue_since, said.newest_hash) == (words["message"], moment(time(5)), "5d")
    assert (former.refusal, former.overdue_since, former.newest_hash) == (None, None, "5d"), (
        "nothing else shows a restart"
    )


def test_a_claim_has_the_modes_of_its_volume_once_there_is_one() -> None:
    body: Json = {
        "spec": {"accessModes": ["ReadWriteMany", "ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}}
    }
    assert parse.claim(body).usable_modes == ("ReadOnlyMany", "ReadWriteMany")
    bound = parse.claim(body | {"status": {"phase": "Bound", "accessModes": ["ReadWriteOnce"]}})
    assert (bound.usable_modes, bound.phase, bound.size, bound.storage_class) == (
        ("ReadWriteOnce",),
        "Bound",
        "1Gi",
        None,
    )
    assert parse.claim({"spec": {"storageClassName": ""}}).storage_class == ""


def test_ownership() -> None:
    labels = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER}
    annotations = {names.ANNOTATION_DEPLOYMENT: "qwen"}
    ours = parse.child({"metadata": {"ownerReferences": [{"uid": "uid-1"}]}}).meta
    retained = parse.child({"metadata": {"labels": labels, "annotations": annotations}}).meta
    former = parse.child(
        {"metadata": {"labels": labels, "annotations": annotations, "ownerReferences": [{"uid": "x"}]}}
    ).meta
    foreign = parse.child({"metadata": {"name": "qwen"}}).meta
    for meta, expected in (
        (ours, (True, False, True)),
        (retained, (False, True, True)),
        (former, (False, True, False)),
    ):
        assert (meta.owned_by(OWNER), meta.made_for(OWNER), meta.writable_for(OWNER)) == expected
    assert not foreign.writable_for(OWNER)
    assert not retained.made_for(resource(name="other").meta)


def test_a_revision_of_another_resource_or_without_a_template_is_none() -> None:
    body: Json = {
        "metadata": {
            "name": "r",
            "uid": "u",
            "ownerReferences": [{"uid": "uid-1"}],
            "annotations": {names.ANNOTATION_CONTENT: "a,b"},
        },
        "revision": 3,
        "data": {"template": {"spec": {}}},
    }
    found = parse.revision(body, OWNER)
    assert found is not None
    assert (found.number, found.contents, found.template) == (3, ("a", "b"), {"spec": {}})
    assert parse.revision(body | {"data": {}}, OWNER) is None
    assert parse.revision(body, resource(uid="uid-2").meta) is None


@pytest.mark.parametrize("held", [True, 7, "x", None, {}, [1, None]])
def test_a_mirror_that_is_odd(held: object) -> None:
    packed = prune(kinds.CONFIG_MAP, {"metadata": {"name": "qwen-mirror"}, "binaryData": held, "data": held})
    found = parse.mirror_map(packed.body())
    assert (found.shards, found.extra, found.immutable) == (frozenset(), [], False)


def test_a_pod_that_serves() -> None:
    found = parse.pod(pod("a", revision="r-1", ready=True, answer=report()))
    assert (found.name, found.uid, found.revision, found.node) == ("a", "uid-a", "r-1", "node-1")
    assert found.warm
    assert found.warmed
    assert not found.warming


def test_a_pod_that_waits_for_a_node() -> None:
    found = parse.pod(pod(unschedulable="0/1 nodes", since=20))
    assert (found.unschedulable, found.node) == ("0/1 nodes", "")
    assert found.unschedulable_since is not None


def test_the_report_is_that_of_the_last_warm_that_ended() -> None:
    """A restarted pod sandbox runs `warm` again."""
    again: Json = {"state": {"running": {}}, "lastState": {"terminated": ended(message='{"v": 1, "state": "Partial"}')}}
    found = parse.pod(pod(warm=again))
    assert found.report is not None
    assert (found.report.state, found.warming) == ("Partial", True)
    assert parse.pod(pod()).report is None


def test_a_container_that_ended_without_a_code_or_a_time_has_failed() -> None:
    found = parse.pod(pod(server={"state": {"terminated": {"startedAt": time(9), "finishedAt": "soon"}}}))
    end = found.containers["server"].ended
    assert end is not None
    assert (end.exit_code, end.seconds) == (-1, None)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["True", "x", "2026-11-23T12:00:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["metadata", "spec", "status", "conditions", "type", "labels", "annotations", "ownerReferences", "state",
         "containerStatuses", "terminated", "accessModes", "resources", "strategy", "template", "content", "keys"]
    ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
PARTS = ["metadata", "spec", "status", "data", "binaryData", "immutable"]
BODY = st.dictionaries(st.sampled_from(PARTS), VALUE, max_size=5)


@pytest.mark.parametrize("kind", [parse.child, parse.deployment, parse.claim, parse.pod])
@given(body=BODY)
def test_no_body_is_a_defect(kind: Callable[[Json], object], body: Json) -> None:
    kind(body)


@given(body=BODY)
def test_no_body_of_a_revision_or_a_mirror_is_a_defect(body: Json) -> None:
    parse.revision(body, OWNER)
    parse.mirror_map(prune(kinds.CONFIG_MAP, body).body())


HOSTILE = "boom\x1b[31m \r\x00\u2028\u202e\x85\nsecond line"


@pytest.mark.parametrize("state", ["waiting", "terminated"])
def test_what_kubernetes_passes_on_has_no_control_characters(state: str) -> None:
    """A command, an image's name and the end of a log come back in messages of the kubelet."""
    body = pod(server={"state": {state: {"reason": "CreateContainerError", "message": HOSTILE, "exitCode": 1}}})
    body["status"] |= {"message": HOSTILE, "reason": HOSTILE}
    found = parse.pod(body)
    server = found.containers["server"]
    for text in (found.message, found.reason, server.waiting_message or (server.ended.message if server.ended else "")):
        assert "second line" in text
        assert all(line.isprintable() for line in text.split("\n"))
        assert "[31m" not in text
