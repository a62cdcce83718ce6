"""Whose pods they are, and which container is the server."""

from typing import Any

import pytest
from tests import stacks

from hipbmm_operator.kube import metadata
from hipbmm_operator.observe import parse
from hipbmm_operator.profiles import pods

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("stack", "kind", "name"),
    [
        ("deployment", "Deployment", "vllm"),
        ("statefulset", "Pod", "vllm-0"),
        ("lws-worker", "LeaderWorkerSet", "vllm"),
        ("kserve", "InferenceService", "llama"),
        ("kuberay-worker", "RayCluster", "llm-raycluster-x"),
    ],
)
def test_the_owner_that_a_person_knows(stack: str, kind: str, name: str) -> None:
    found = pods.workload(metadata.parse(stacks.pod(stack)))
    assert (found.kind, found.name) == (kind, name)


def test_a_rollout_of_argo_keeps_its_name_from_one_replica_set_to_the_next() -> None:
    body = stacks.pod("deployment")
    body["metadata"]["labels"] = {"rollouts-pod-template-hash": "7c9f"}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "vllm-7c9f", "uid": "u", "controller": True}
    body["metadata"]["ownerReferences"] = [owner]
    found = pods.workload(metadata.parse(body))
    assert (found.kind, found.name, found.uid) == ("Rollout", "vllm", "")
    assert found.restart == "kubectl argo rollouts restart vllm -n default"


def test_a_pod_that_nobody_owns_has_no_owner_to_restart() -> None:
    body = stacks.pod("deployment")
    del body["metadata"]["ownerReferences"]
    found = pods.workload(metadata.parse(body))
    assert (found.kind, found.restart) == ("Pod", "delete the pod and create it again")


@pytest.mark.parametrize(
    "name", ["x;reboot-7c9f", "$(reboot)-7c9f", "../../../secrets/x-7c9f", "x?watch=1-7c9f", "-7c9f", ""]
)
@pytest.mark.parametrize("kind", ["ReplicaSet", "StatefulSet"])
def test_an_owner_whose_name_is_none_is_not_believed(name: str, kind: str) -> None:
    """Nobody but the author of the pod has seen it, and others paste the command with it."""
    body = stacks.pod("deployment")
    body["metadata"]["labels"] = {"pod-template-hash": "7c9f"}
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": True}
    body["metadata"] |= {"name": "p", "ownerReferences": [owner]}
    found = pods.workload(metadata.parse(body))
    assert (found.kind, found.name) == ("Pod", "p")


def test_a_controller_that_nobody_has_heard_of() -> None:
    body = stacks.pod("kubeai")
    body["metadata"]["ownerReferences"] = [
        {"apiVersion": "x/v1", "kind": "Model", "name": "m", "uid": "u", "controller": True}
    ]
    assert pods.workload(metadata.parse(body)) == pods.Workload("Model", "m", "x/v1", "u", "default")


def test_the_server_is_the_container_with_gpus() -> None:
    assert pods.server(stacks.pod("statefulset"))["name"] == "vllm"
    assert pods.server({"spec": {}}) == {}
    none: Any = {"name": "first", "resources": {"limits": {"amd.com/gpu": "0"}}}
    some: Any = {"name": "vllm", "resources": {"limits": {"amd.com/gpu": "1"}}}
    assert pods.server({"spec": {"containers": [none, some]}})["name"] == "vllm"


def test_statuses_get_our_names() -> None:
    body = stacks.pod("deployment")
    body["status"] = {"initContainerStatuses": [{"name": "hipbmm-warm"}], "containerStatuses": [{"name": "vllm"}]}
    named = pods.with_our_names(body)["status"]
    assert [each["name"] for each in named["initContainerStatuses"]] == ["warm"]
    assert [each["name"] for each in named["containerStatuses"]] == ["server"]


def test_a_container_of_the_pod_that_is_called_like_one_of_ours_is_not_taken_for_it() -> None:
    body = stacks.pod("deployment")
    names = ["vllm", "server", "harvest"]
    body["spec"]["containers"] = [
        body["spec"]["containers"][0] | {"name": "vllm"},
        {"name": "server"},
        {"name": "harvest"},
    ]
    waiting = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 5}
    statuses = [{"name": name} | ({} if name == "vllm" else waiting) for name in names]
    body["status"] = {"containerStatuses": statuses, "initContainerStatuses": [{"name": "warm"} | waiting]}
    containers = parse.foreign_pod(body).pod.containers
    assert containers["server"].restarts == 0
    assert containers["server"].waiting == ""
    assert containers["server of the pod"].restarts == 5
    assert "warm" not in containers
    assert "harvest" not in containers


def test_a_server_that_is_called_server_is_the_server() -> None:
    body = stacks.pod("deployment")
    body["spec"]["containers"][0]["name"] = "server"
    body["status"] = {"containerStatuses": [{"name": "server", "restartCount": 2}]}
    assert parse.foreign_pod(body).pod.containers["server"].restarts == 2
