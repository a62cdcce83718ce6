"""Whose pods they are, and which container is the server."""

from typing import Any

import pytest
from tests import stacks

from hipbmm_operator.kube import metadata
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


def test_a_controller_that_nobody_has_heard_of() -> None:
    body = stacks.pod("kubeai")
    body["metadata"]["ownerReferences"] = [
        {"apiVersion": "x/v1", "kind": "Model", "name": "m", "uid": "u", "controller": True}
    ]
    assert pods.workload(metadata.parse(body)) == pods.Workload("Model", "m", "x/v1", "u")


def test_the_server_is_the_container_with_gpus() -> None:
    assert pods.server(stacks.pod("statefulset"))["name"] == "vllm"
    assert pods.server({"spec": {}}) == {}


def test_statuses_get_our_names() -> None:
    body = stacks.pod("deployment")
    body["status"] = {"initContainerStatuses": [{"name": "hipbmm-warm"}], "containerStatuses": [{"name": "vllm"}]}
    named = pods.with_our_names(body)["status"]
    assert [each["name"] for each in named["initContainerStatuses"]] == ["warm"]
    assert [each["name"] for each in named["containerStatuses"]] == ["server"]
