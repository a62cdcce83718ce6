"""Failures of pods, in one word each."""

import json
from typing import Any

import pytest
from tests.unit.operator.make import NOW, Json, ended, pod, report, time
from tests.unit.operator.pods.failing import none, only

from hipbmm_operator.observe import parse
from hipbmm_operator.pods.failures import (
    next_change,
    pull_is_refused,
    scheduling_reason,
    unheard,
    unschedulable_reason,
)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("0/8 nodes are available: 8 Insufficient amd.com/gpu. preemption: ...", "InsufficientGPU"),
        (
            "0/8 nodes are available: 3 Insufficient amd.com/gpu, 5 node(s) didn't match Pod's node affinity/selector.",
            "InsufficientGPU",
        ),
        ("0/2 nodes are available: 2 Insufficient memory.", "InsufficientResources"),
        ("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.", "NoMatchingNodes"),
        ("no nodes available to schedule pods", "NoMatchingNodes"),
        ("0/1 nodes are available: 1 node(s) had untolerated taint(s).", "UntoleratedTaint"),
        ("0/1 nodes are available: 1 node(s) were unschedulable.", "NodesCordoned"),
        ('0/1 nodes are available: persistentvolumeclaim "qwen-store" not found.', "StorageNotReady"),
        ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "StorageNotReady"),
        ("0/1 nodes are available: 1 node(s) had volume node affinity conflict.", "StorageNotReady"),
        (
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't find available persistent volumes to bind.",
            "StorageNotReady",
        ),
        ("0/2 nodes are available: 2 node(s) did not have enough free storage.", "StorageNotReady"),
        ('running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded', "StorageNotReady"),
        ("0/2 nodes are available: 2 node(s) exceed max volume count.", "StorageNotReady"),
        ("0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.", "StorageNotReady"),
        ("0/2 nodes are available: 2 node(s) had no available volume zone.", "StorageNotReady"),
        (
            "0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s).",
            "StorageNotReady",
        ),
        ("0/2 nodes are available: 2 rbd.csi.example CSI driver is not installed on the node.", "StorageNotReady"),
        ("0/2 nodes are available: 2 node(s) had untolerated taint {x: persistent volume}.", "UntoleratedTaint"),
        ("0/1 nodes are available: 1 node(s) had untolerated taint {team: anti-affinity}.", "UntoleratedTaint"),
        ("0/1 nodes are available: 1 cannot allocate all claims.", "InsufficientGPU"),
        ("something new", "Unschedulable"),
    ],
)
def test_why_a_pod_is_not_scheduled(message: str, reason: str) -> None:
    assert scheduling_reason(parse.pod(pod(unschedulable=message))) == reason
    assert only(pod(unschedulable=message, since=46)).reason == reason


NO_GPU, ELSEWHERE = "8 Insufficient amd.com/gpu", "5 node(s) didn't match PersistentVolume's node affinity"
VICTIMS = (
    ". preemption: 0/9 nodes are available: 1 No preemption victims found for incoming pod, 8 Insufficient memory."
)


@pytest.mark.parametrize(
    ("parts", "reason", "second"),
    [
        # The scheduler asks for room first: a node whose volume misses has it; one without room may have the volume.
        ((NO_GPU, "1 node(s) didn't find available persistent volumes to bind"), "StorageNotReady", "InsufficientGPU"),
        ((NO_GPU, "1 node(s) did not have enough free storage"), "StorageNotReady", "InsufficientGPU"),
        (("8 Insufficient memory", "1 node(s) exceed max volume count"), "StorageNotReady", "InsufficientResources"),
        ((ELSEWHERE, NO_GPU), "InsufficientGPU", "StorageNotReady"),
        ((ELSEWHERE, "4 Insufficient cpu"), "InsufficientResources", "StorageNotReady"),
        (
            ("1 Insufficient amd.com/gpu", "5 node(s) had volume node affinity conflict"),
            "InsufficientGPU",
            "StorageNotReady",
        ),
        ((NO_GPU, "5 node(s) had no available volume zone"), "InsufficientGPU", "StorageNotReady"),
        ((NO_GPU, "5 node(s) didn't satisfy plugin(s) [VolumeBinding]"), "InsufficientGPU", "StorageNotReady"),
        ((NO_GPU, "8 pod has unbound immediate PersistentVolumeClaims"), "InsufficientGPU", "StorageNotReady"),
        # A claim with WaitForFirstConsumer waits for the pod, and the pod for room.
        ((NO_GPU, "1 node(s) had untolerated taint(s)"), "InsufficientGPU", None),
        (("1 node(s) had untolerated taint(s)", ELSEWHERE), "StorageNotReady", None),
        (("5 node(s) didn't satisfy plugin VolumeBinding", "1 node(s) were unschedulable"), "StorageNotReady", None),
        (("5 node(s) didn't satisfy plugin(s) [NodeAffinity]",), "NoMatchingNodes", None),
        (("1 node(s) didn't match Pod's node affinity/selector",), "NoMatchingNodes", None),
    ],
)
@pytest.mark.parametrize("after", [".", VICTIMS])
def test_of_a_volume_and_room_the_one_to_mend_comes_first_and_both_are_named(
    parts: tuple[str, ...], reason: str, second: str | None, after: str
) -> None:
    message = f"0/9 nodes are available: {', '.join(parts)}{after}"
    found = only(pod(unschedulable=message, since=1))
    assert (found.reason, found.message) == (reason, message + (f" (also {second})" if second else ""))


def test_a_pod_may_wait_for_a_new_claim_for_a_while() -> None:
    message = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    waiting = pod(unschedulable=message, since=20)
    assert none(waiting)
    assert next_change(parse.pod(waiting), NOW) == 25
    assert next_change(parse.pod(pod(unschedulable=message, since=46)), NOW) is None
    assert next_change(parse.pod(pod(unschedulable="2 Insufficient memory", since=20)), NOW) is None


def new(age: float, *conditions: Json, statuses: bool = False, **spec: str) -> Json:
    """A pod that was made so many seconds ago."""
    body = pod()
    body["metadata"]["creationTimestamp"] = time(age)
    body["spec"] = {"schedulerName": "my-scheduler", **spec}
    body["status"]["conditions"] = list(conditions)
    if not statuses:
        body["status"] = {"phase": "Pending", "conditions": list(conditions)}
    return body


PLACED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": time(121)}


@pytest.mark.parametrize(
    ("body", "reason", "named"),
    [
        (new(121), "SchedulerNotResponding", "does my-scheduler run?"),
        (new(500, PLACED, nodeName="node-1"), "NodeNotResponding", "kubelet of node node-1"),
        (new(121, nodeName="node-1"), "NodeNotResponding", "kubelet of node node-1"),
    ],
)
def test_a_pod_that_nobody_acts_on(body: Json, reason: str, named: str) -> None:
    found = unheard(parse.pod(body), NOW)
    assert found is not None
    assert found.reason == reason
    assert named in found.message


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (new(20), 100),
        (new(500, PLACED | {"lastTransitionTime": time(20)}, nodeName="node-1"), 100),
        (new(500, PLACED, nodeName="node-1", statuses=True), None),
        (new(500, {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}), None),
        (new(500) | {"metadata": {**new(500)["metadata"], "deletionTimestamp": time(1)}}, None),
    ],
)
def test_a_pod_that_is_acted_on_or_may_be_soon(body: Json, left: float | None) -> None:
    assert unheard(parse.pod(body), NOW) is None
    assert next_change(parse.pod(body), NOW) == left


@pytest.mark.parametrize("reason", ["Unschedulable", "SchedulerError", "Undetermined"])
def test_a_scheduler_that_cannot_place_a_pod_says_so_in_its_own_word(reason: str) -> None:
    """Of other schedulers, and of one that fails: the condition says False, whatever the word is."""
    told = {"type": "PodScheduled", "status": "False", "reason": reason, "lastTransitionTime": time(1)}
    assert only(new(5, told | {"message": "binding rejected"})).message == "binding rejected"
    assert (only(new(5, told)).reason, only(new(5, told)).message) == ("Unschedulable", reason)


def test_an_event_of_a_scheduler_is_read_like_its_condition() -> None:
    assert unschedulable_reason("queue is full: Insufficient amd.com/gpu") == "InsufficientGPU"


@pytest.mark.parametrize("waiting", ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"])
def test_images(waiting: str) -> None:
    state = {"state": {"waiting": {"reason": waiting, "message": "manifest unknown"}}}
    found = only(pod(warm=state))
    assert (found.container, found.reason, found.message) == ("warm", "ImageNotFound", "manifest unknown")


def test_a_back_off_that_repeats_the_cause_is_cut_to_the_cause() -> None:
    text = 'Back-off pulling image "x:1": ErrImagePull: 401 Unauthorized'
    found = only(pod(warm={"state": {"waiting": {"reason": "ImagePullBackOff", "message": text}}}))
    assert (found.reason, found.message) == ("ImagePullUnauthorized", "401 Unauthorized")


@pytest.mark.parametrize("waiting", ["SignatureValidationFailed", "ErrImagePull", "RegistryUnavailable"])
def test_a_back_off_has_the_reason_of_the_pull_before_it(waiting: str) -> None:
    """A pull is tried again and again: a reason that changes with each try would be an Event each time."""
    cause = "image pull failed for q.example/vllm@sha256:40 because the signature validation failed: rejected"
    later = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "q.example/v:1": {waiting}: {cause}'}
    first = only(pod(warm={"state": {"waiting": {"reason": waiting, "message": cause}}}))
    backing_off = only(pod(warm={"state": {"waiting": later}}))
    assert first.reason == backing_off.reason == "ImagePullFailed"
    assert backing_off.message in (cause, f"{waiting}: {cause}")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('secret "hf" not found', "SecretNotFound"),
        ("couldn't find key token in Secret ns/hf", "SecretNotFound"),
        ('configmap "c" not found', "ConfigMapNotFound"),
        ('configmap "app-secret" not found', "ConfigMapNotFound"),
        ("couldn't find key secret in ConfigMap ns/my-secret", "ConfigMapNotFound"),
        ("couldn't find key configmap in Secret ns/configmap", "SecretNotFound"),
        ('secret "configmap" not found', "SecretNotFound"),
        ("container has runAsNonRoot and image will run as root", "RunAsNonRootRefused"),
        ("something new", "CreateContainerConfigError"),
    ],
)
def test_configuration(message: str, reason: str) -> None:
    state = {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": message}}}
    assert only(pod(warm=state)).reason == reason


@pytest.mark.parametrize(
    "word", ["VerifyNonRootError", "RRONotSupported", "PostStartHookError", "CreateContainerError", "NewInK8s"]
)
@pytest.mark.parametrize("name", ["payload", "warm", "server"])
def test_whatever_a_container_waits_for_is_said_in_the_word_of_the_kubelet(word: str, name: str) -> None:
    states: dict[str, Any] = {name: {"state": {"waiting": {"reason": word, "message": "policy: not signed"}}}}
    found = only(pod(**states))
    assert (found.reason, found.container, found.message) == (word, name, "policy: not signed")


def test_a_word_that_no_condition_takes_is_not_its_reason() -> None:
    found = only(pod(server={"state": {"waiting": {"reason": "a/b: c", "message": "x"}}}))
    assert (found.reason, found.message) == ("ContainerFailed", "x")


def test_containers_that_have_done_their_work_are_no_trouble() -> None:
    """A new sandbox of the pod runs them again, and they have ended well before."""
    again = {"state": {"running": {}}, "lastState": {"terminated": ended(0)}, "restartCount": 3}
    assert none(pod(payload=again, warm=again))
    assert none(pod(payload={"state": {"terminated": ended(0)}}, warm={"state": {"terminated": ended(0)}}))


@pytest.mark.parametrize(("runs", "fails"), [(5, True), (320, True), (331, False)])
def test_a_tuner_that_has_come_past_what_it_crashed_in_is_at_work(runs: float, *, fails: bool) -> None:
    state: Json = {"running": {"startedAt": time(runs)}}
    crashed = {"state": state, "lastState": {"terminated": ended(137, seconds=300)}, "restartCount": 1}
    assert none(pod(warm=crashed)) is not fails
    assert next_change(parse.pod(pod(warm=crashed)), NOW) == (330 - runs if fails else None)
    starting = {**crashed, "ready": False}
    assert only(pod(answer=report(), since=7200, server=starting)).reason == "ServerCrashed"


def test_a_tuner_that_ended_says_why_itself_or_the_operator_does() -> None:
    told = ended(1, json.dumps(report(state="Partial", reason="BudgetExhausted", message="100 of 204")))
    found = only(pod(warm={"state": {"terminated": told}}))
    assert (found.reason, found.exit_code) == ("BudgetExhausted", 1)
    assert "100 of 204" in found.message
    assert only(pod(warm={"state": {"terminated": ended(139, "Segmentation fault")}})).reason == "TunerCrashed"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('failed to resolve reference "r.example/vllm:403": dial tcp 10.0.0.7:443: i/o timeout', "ImagePullFailed"),
        ('failed to resolve reference "r.example/v@sha256:3b1c401d": no such host', "ImagePullFailed"),
        ('failed to do request: Get "https://r.example:4030/v2/": net/http: TLS timeout', "ImagePullFailed"),
        ("reading manifest latest in quay.example/denied/not-found: i/o timeout", "ImagePullFailed"),
        ('Head "https://r.example/v2/": proxyconnect tcp: Proxy Authentication Required', "ImagePullFailed"),
        ('Head "https://r.example/v2/": proxyconnect tcp: 403 Forbidden', "ImagePullFailed"),
        ("unexpected status: 407 Proxy Authentication Required", "ImagePullFailed"),
        ("failed to extract layer: mount callback failed on /var/lib/x: permission denied", "ImagePullFailed"),
        ('exec: "docker-credential-ecr-login": executable file not found in $PATH', "ImagePullFailed"),
        ('denied: Permission "artifactregistry.download" denied on resource "projects/x"', "ImagePullUnauthorized"),
        ("dial tcp: lookup denied.registry.example on 10.0.0.53:53: no such host", "ImagePullFailed"),
        ("dial tcp 10.0.0.7:403: i/o timeout", "ImagePullFailed"),
        ("dial tcp [fd00:10::404]:443: connect: no route to host", "ImagePullFailed"),
        ("no match for platform in manifest: not found", "ImagePullFailed"),
        ("no match for platform in manifest sha256:9f86d081884c: not found", "ImagePullFailed"),
        ("write /var/lib/containerd/ingest/404aa/data: no space left on device", "ImagePullFailed"),
        ("unexpected status from HEAD request to https://r.example/v2/a: 403 Forbidden", "ImagePullUnauthorized"),
        ('pull access denied for "x/y", repository does not exist', "ImagePullUnauthorized"),
        ('Get "https://r.example/v2/": authentication required', "ImagePullUnauthorized"),
        ('failed to resolve reference "r.example/denied:1": r.example/denied:1: not found', "ImageNotFound"),
        ("reading manifest x in r.example/vllm: manifest unknown", "ImageNotFound"),
        ("reading manifest x in r.example/vllm: name unknown: repository does not exist", "ImageNotFound"),
        ('failed to resolve reference "r.example/snapshot/vllm:lease": not found', "ImageNotFound"),
        ("reading manifest snapshot in r.example/vllm: manifest unknown", "ImageNotFound"),
        ("reading manifest denied in r.example/vllm: i/o timeout", "ImagePullFailed"),
        ("Error response from daemon: manifest for vllm:nightly-snapshot not found", "ImageNotFound"),
        ("Error response from daemon: manifest for vllm:snapshot not found: manifest unknown", "ImageNotFound"),
        ("failed to unpack image: parent snapshot sha256:9f86d081884c does not exist: not found", "ImagePullFailed"),
        ("failed to copy: content digest sha256:9f86d081884c: not found", "ImagePullFailed"),
        ("failed to create image: lease does not exist: not found", "ImagePullFailed"),
    ],
)
def test_a_cause_is_a_word_of_its_own_and_never_part_of_a_name(message: str, reason: str) -> None:
    assert only(pod(warm={"state": {"waiting": {"reason": "ErrImagePull", "message": message}}})).reason == reason


@pytest.mark.parametrize("reason", ["UnexpectedAdmissionError", "TopologyAffinityError"])
def test_pods_that_kubernetes_failed(reason: str) -> None:
    body = pod()
    body["status"] |= {"phase": "Failed", "reason": reason, "message": "Allocate failed"}
    assert only(body).reason == reason


@pytest.mark.parametrize(
    ("reason", "told"),
    [("OutOfamd.com/gpu", "OutOfGPU"), ("OutOfcpu", "OutOfResources"), ("Evicted", "Evicted"), ("a/b", "PodFailed")],
)
def test_a_reason_of_the_kubelet_that_no_condition_takes(reason: str, told: str) -> None:
    body = pod()
    body["status"] |= {"phase": "Failed", "reason": reason}
    assert only(body).reason == told


@pytest.mark.parametrize(
    ("message", "refused"),
    [("401 Unauthorized", True), ("", True), ("manifest unknown", False), ("no such host", False)],
)
def test_whether_a_pull_secret_may_be_the_cause(message: str, refused: bool) -> None:
    state = {"state": {"waiting": {"reason": "ErrImagePull", "message": message}}}
    assert pull_is_refused(parse.pod(pod(warm=state))) is refused
    assert not pull_is_refused(parse.pod(pod()))


def test_a_pod_that_is_being_deleted_is_no_trouble() -> None:
    body = pod(unschedulable="0/1 nodes")
    body["metadata"]["deletionTimestamp"] = time()
    assert none(body)


def test_a_pod_that_just_starts_is_no_trouble() -> None:
    assert none(pod())
    assert none(pod(warming=True))
    assert none(pod(answer=report(), ready=True))
