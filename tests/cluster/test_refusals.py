"""What the API server refuses, with a message that names field and value. No operator takes part."""

import copy
from typing import Any

import pytest
from tests.cluster.api import Api, ApiStatusError
from tests.cluster.world import resource

from hipbmm_operator.kube import kinds

Json = dict[str, Any]


def pod(**spec: object) -> Json:
    return {"podTemplate": {"spec": spec}}


def server(**container: object) -> Json:
    return pod(containers=[{"name": "server", **container}])


REFUSED: list[tuple[Json, str, str]] = [
    ({"replicas": -1}, "spec.replicas", "-1"),
    ({"replicas": 100000}, "spec.replicas", "100000"),
    ({"replicas": 1.5}, "spec.replicas", "float64"),
    ({"image": ""}, "spec.image", '""'),
    ({"image": "bad image; rm -rf /"}, "spec.image", "bad image; rm -rf /"),
    ({"model": {"name": "../../etc/passwd"}}, "spec.model.name", "../../etc/passwd"),
    ({"model": {"name": "/models/../etc"}}, "spec.model.name", "/models/../etc"),
    ({"model": {"name": "--trust-remote-code"}}, "spec.model.name", "--trust-remote-code"),
    ({"model": {"name": "x", "volume": {"claimName": "m", "subPath": "a/../b"}}}, "spec.model.volume.subPath", ".."),
    ({"parallelism": {"tensor": 0}}, "spec.parallelism.tensor", "0"),
    ({"parallelism": {"tensor": 64, "pipeline": 2}}, "spec.parallelism", "64"),
    ({"gpu": {"products": ["H100"]}}, "spec.gpu.products[0]", "H100"),
    ({"gpu": {"products": []}}, "spec.gpu.products", "at least 1"),
    ({"gpu": {"resourceName": "nvidia.com/gpu"}}, "spec.gpu.resourceName", "nvidia.com/gpu"),
    ({"server": {"port": 70000}}, "spec.server.port", "70000"),
    ({"server": {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}}, "spec.server.env[1]", "A"),
    ({"server": {"env": [{"name": "1-A=", "value": "1"}]}}, "spec.server.env[0].name", "1-A="),
    (
        {"server": {"env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]}},
        "spec.server.env[0]",
        "A",
    ),
    ({"tuning": {"tokens": [513]}}, "spec.tuning.tokens[0]", "513"),
    ({"tuning": {"budgetSeconds": 0}}, "spec.tuning.budgetSeconds", "0"),
    ({"tuning": {"policy": "Maybe"}}, "spec.tuning.policy", "Maybe"),
    ({"tuning": {"linears": [{"n": 0, "k": 1}]}}, "spec.tuning.linears[0].n", "0"),
    ({"cache": {"pvc": {"size": "big"}}}, "spec.cache.pvc.size", "big"),
    ({"cache": {"pvc": {"accessModes": ["Everything"]}}}, "spec.cache.pvc.accessModes[0]", "Everything"),
    ({"rollout": {"strategy": "Yolo"}}, "spec.rollout.strategy", "Yolo"),
    ({"service": {"type": "ExternalName"}}, "spec.service.type", "ExternalName"),
    (pod(hostNetwork=True), "spec.podTemplate.spec.hostNetwork", "hostNetwork"),
    (pod(hostPID=True), "spec.podTemplate.spec.hostPID", "hostPID"),
    (pod(hostIPC=True), "spec.podTemplate.spec.hostIPC", "hostIPC"),
    (pod(serviceAccountName="admin"), "spec.podTemplate.spec.serviceAccountName", "serviceAccountName"),
    (pod(volumes=[{"name": "x", "hostPath": {"path": "/"}}]), "spec.podTemplate.spec.volumes[0].hostPath", "hostPath"),
    (pod(volumes=[{"name": "store", "emptyDir": {}}]), "spec.podTemplate.spec.volumes[0].name", "store"),
    (pod(volumes=[{"name": "x"}]), "spec.podTemplate.spec.volumes[0]", "x"),
    (pod(containers=[{"name": "sidecar"}]), "spec.podTemplate.spec.containers[0].name", "sidecar"),
    (server(securityContext={"privileged": True}), "securityContext.privileged", "privileged"),
    (server(resources={"limits": {"amd.com/gpu": "8"}}), "resources.limits", "spec.parallelism"),
    (server(volumeMounts=[{"name": "x", "mountPath": "/hipbmm/store"}]), "mountPath", "/hipbmm/store"),
    ({"podTemplate": {"metadata": {"labels": {"hipbmm.io/deployment": "other"}}}}, "metadata.labels", "hipbmm.io/"),
]


@pytest.mark.parametrize(("change", "field", "value"), REFUSED, ids=[f"{field}={value}" for _, field, value in REFUSED])
def test_the_message_names_field_and_value(api: Api, namespace: str, change: Json, field: str, value: str) -> None:
    body = resource(namespace)
    body["spec"] = {**body["spec"], **copy.deepcopy(change)}
    with pytest.raises(ApiStatusError) as caught:
        api.create(kinds.HIPBMM_DEPLOYMENT, body)
    assert caught.value.status == 422
    assert field in caught.value.message
    assert value in caught.value.message


def test_image_and_model_are_all_that_is_needed(api: Api, namespace: str) -> None:
    path = kinds.HIPBMM_DEPLOYMENT.path(namespace)
    created = api.request("POST", path, resource(namespace), {"dryRun": "All"})
    assert created["spec"]["replicas"] == 1
    assert set(created["spec"]) == {"image", "model", "replicas"}


@pytest.mark.parametrize("medium", ["", "Memory", "HugePages", "HugePages-2Mi", "HugePages-1Gi"])
def test_every_medium_that_kubernetes_has_is_accepted(api: Api, namespace: str, medium: str) -> None:
    volume = {"name": "pages", "emptyDir": {"medium": medium, "sizeLimit": "1Gi"}}
    mount = {"name": "pages", "mountPath": "/dev/hugepages"}
    body = resource(namespace, **pod(volumes=[volume], containers=[{"name": "server", "volumeMounts": [mount]}]))
    api.request("POST", kinds.HIPBMM_DEPLOYMENT.path(namespace), body, {"fieldValidation": "Strict"})


def test_everything_at_once_is_accepted(api: Api, namespace: str, everything: Json) -> None:
    body = resource(namespace, **everything)
    api.request("POST", kinds.HIPBMM_DEPLOYMENT.path(namespace), body, {"fieldValidation": "Strict", "dryRun": "All"})


def test_unknown_fields_are_refused_by_name(api: Api, namespace: str) -> None:
    body = resource(namespace, tunning={})
    with pytest.raises(ApiStatusError, match=r"spec\.tunning"):
        api.request("POST", kinds.HIPBMM_DEPLOYMENT.path(namespace), body, {"fieldValidation": "Strict"})
