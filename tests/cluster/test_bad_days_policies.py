"""Rules that somebody else has made for pods and volumes: the status has their words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.cluster import injection
from tests.cluster.api import ApiStatusError, until
from tests.cluster.badday import BINDING, LIMIT_RANGE, POLICY, QUOTA, heals
from tests.cluster.world import World

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import Kind

Json = dict[str, Any]
WEBHOOK = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)


def pod_spec(**spec: object) -> Json:
    return {"podTemplate": {"spec": spec}}


def rule(group: str, resource: str) -> Json:
    return {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}


def probe(world: World, resource: str) -> str:
    """What a dry run of such an object gets as a refusal; "" when there is none."""
    metadata = {"name": "probe", "namespace": world.namespace, "labels": {"app": "probe"}}
    pod = {"containers": [{"name": "c", "image": "x"}]}
    body: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}
    path = kinds.POD.path(world.namespace)
    if resource == "deployments":
        template = {"metadata": {"labels": {"app": "probe"}}, "spec": pod}
        spec = {"selector": {"matchLabels": {"app": "probe"}}, "template": template}
        body, path = kinds.DEPLOYMENT.body(metadata, spec=spec), kinds.DEPLOYMENT.path(world.namespace)
    try:
        world.api.request("POST", path, body, {"dryRun": "All"})
    except ApiStatusError as error:
        return str(error)
    return ""


@contextmanager
def policy(world: World, group: str, resource: str) -> Iterator[None]:
    """What Gatekeeper does by a webhook: no such object without a label of the company's."""
    name = world.namespace
    denial = {"expression": "has(object.metadata.labels) && 'cost-center' in object.metadata.labels"}
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule(group, resource)]},
        "validations": [{**denial, "message": "you must provide labels: cost-center", "reason": "Forbidden"}],
    }
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": here}
    for kind, body in ((POLICY, spec), (BINDING, binding)):
        world.api.create(kind, kind.body({"name": name}, spec=body))
    until("the policy", lambda: "cost-center" in probe(world, resource))
    yield
    for kind in (BINDING, POLICY):
        world.api.delete(kind, "", name)
    until("no policy", lambda: not probe(world, resource))


@contextmanager
def cap(world: World, replicas: int) -> Iterator[None]:
    """A policy that lets no Deployment have more replicas."""
    name, most = world.namespace, f"object.spec.replicas > {replicas} ? {replicas} : object.spec.replicas"
    patch = f"[JSONPatch{{op: 'replace', path: '/spec/replicas', value: {most}}}]"
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {
            "resourceRules": [{**rule("apps", "deployments"), "operations": ["CREATE", "UPDATE"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        },
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
    }
    for kind, body in ((injection.POLICY, spec), (injection.BINDING, {"policyName": name})):
        world.api.create(kind, kind.body({"name": name}, spec=body))
    until("the policy", lambda: dry_replicas(world, replicas + 1) == replicas)
    yield
    for kind in (injection.BINDING, injection.POLICY):
        world.api.delete(kind, "", name)
    until("no policy", lambda: dry_replicas(world, replicas + 1) > replicas)


def dry_replicas(world: World, replicas: int) -> int:
    """How many a dry run of a Deployment with so many has."""
    template = {"metadata": {"labels": {"app": "probe"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "probe"}}, "template": template}
    body = kinds.DEPLOYMENT.body({"name": "probe", "namespace": world.namespace}, spec=spec)
    answer = world.api.request("POST", kinds.DEPLOYMENT.path(world.namespace), body, {"dryRun": "All"})
    return int(answer["spec"]["replicas"])


@contextmanager
def webhook(world: World) -> Iterator[None]:
    """A webhook for pods whose server is gone."""
    hook = {
        "name": "gone.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/validate"},
        "rules": [rule("", "pods")],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}},
    }
    world.api.create(WEBHOOK, {**WEBHOOK.body({"name": world.namespace}), "webhooks": [hook]})
    until("the webhook", lambda: "gone.example.com" in probe(world, "pods"))
    yield
    world.api.delete(WEBHOOK, "", world.namespace)
    until("no webhook", lambda: not probe(world, "pods"))


def test_a_policy_that_caps_replicas(world: World) -> None:
    with cap(world, 1):
        world.create(replicas=3)
        world.serve(1)
        assert "is stored with 1 replicas in place of 3" in world.becomes("Progressing", "False", "Conflict")["message"]
        world.becomes("Ready", "False", "Conflict")
        seen = world.deployment()["metadata"]["generation"]
        world.change({"service": {"port": 8080}})
        world.shows(Ready="Conflict", Progressing="Conflict", ConfigValid="Valid")
        assert world.deployment()["metadata"]["generation"] == seen
    world.change({"replicas": 2})
    heals(world, 2)


def test_a_policy_that_wants_a_label_of_pods(world: World) -> None:
    with policy(world, "", "pods"):
        world.create()
        assert "cost-center" in world.becomes("Progressing", "False", "PodCreationRefused")["message"]
        world.becomes("Ready", "False", "PodCreationRefused")


def test_a_policy_that_wants_a_label_of_deployments(world: World) -> None:
    """No right of the operator is missing."""
    with policy(world, "apps", "deployments"):
        world.create()
        assert "cost-center" in world.becomes("ConfigValid", "False", "Rejected")["message"]
        world.becomes("Ready", "False", "Rejected")
    heals(world)


def test_a_webhook_whose_server_is_gone(world: World) -> None:
    with webhook(world):
        world.create()
        assert "gone.example.com" in world.becomes("Progressing", "False", "PodCreationRefused")["message"]
        world.becomes("Ready", "False", "PodCreationRefused")


@pytest.mark.parametrize(
    ("field", "name"), [("priorityClassName", "no-such-priority"), ("runtimeClassName", "no-such-runtime")]
)
def test_a_class_that_does_not_exist(world: World, field: str, name: str) -> None:
    world.create(**pod_spec(**{field: name}))
    assert name in world.becomes("Progressing", "False", "PodCreationRefused")["message"]
    world.becomes("Ready", "False", "PodCreationRefused")


@pytest.mark.parametrize(
    ("kind", "spec", "reason"),
    [
        (LIMIT_RANGE, {"limits": [{"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}]}, "LimitRangeRejected"),
        (QUOTA, {"hard": {"requests.storage": "1Gi"}}, "QuotaExceeded"),
        (QUOTA, {"hard": {"slow.storageclass.storage.k8s.io/persistentvolumeclaims": "0"}}, "QuotaExceeded"),
    ],
)
def test_a_claim_that_is_larger_than_the_namespace_admits(world: World, kind: Kind, spec: Json, reason: str) -> None:
    world.api.create(kind, kind.body({"name": "rules", "namespace": world.namespace}, spec=spec))
    if kind == QUOTA:
        until("the quota", lambda: "hard" in world.api.get(QUOTA, world.namespace, "rules").get("status", {}))
    world.create(cache={"pvc": {"size": "20Gi", "storageClassName": "slow"}})
    assert "PersistentVolumeClaim" in world.becomes("Progressing", "False", reason)["message"]
    world.becomes("Ready", "False", reason)


def test_a_quota_of_a_priority_class(world: World) -> None:
    """Of pods of a class, and of no others."""
    scope = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}]}
    spec = {"hard": {"pods": "0"}, "scopeSelector": scope}
    world.api.create(QUOTA, QUOTA.body({"name": "rules", "namespace": world.namespace}, spec=spec))
    until("the quota", lambda: "hard" in world.api.get(QUOTA, world.namespace, "rules").get("status", {}))
    world.create(**pod_spec(priorityClassName="system-node-critical"))
    assert "rules" in world.becomes("Progressing", "False", "QuotaExceeded")["message"]


@pytest.mark.long
def test_a_claim_of_the_users_whose_storage_class_does_not_exist(world: World) -> None:
    spec = {
        "accessModes": ["ReadOnlyMany"],
        "storageClassName": "no-such-class",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    world.api.create(kinds.CLAIM, kinds.CLAIM.body({"name": "weights", "namespace": world.namespace}, spec=spec))
    world.create(model={"name": "/models/m", "volume": {"claimName": "weights"}})
    found = world.becomes("Progressing", "False", "StorageNotReady")
    assert "PersistentVolumeClaim" in found["message"]
    assert "weights" in found["message"]
