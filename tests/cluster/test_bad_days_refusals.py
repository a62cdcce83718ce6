"""What the API server refuses to the operator or to Kubernetes itself shows its own reason, and heals."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.api import Api, ApiStatusError, until
from tests.cluster.badday import BINDING, LIMIT_RANGE, POLICY, QUOTA, heals
from tests.cluster.injection import restricted
from tests.cluster.operator_process import NAMESPACE, OperatorProcess
from tests.cluster.rights import Rights
from tests.cluster.world import World

from hipbmm_operator.kube import kinds

Json = dict[str, Any]


def quota(world: World, hard: Json) -> None:
    """A quota that is in force."""
    metadata = {"name": "none", "namespace": world.namespace}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}
    world.api.create(QUOTA, body)
    until("the quota", lambda: "hard" in world.api.get(QUOTA, world.namespace, "none").get("status", {}))


@pytest.mark.parametrize("counted", ["pods", "services", "count/replicasets.apps"])
def test_a_quota_that_is_exceeded(world: World, counted: str) -> None:
    quota(world, {counted: "0"})
    world.create()
    assert "none" in world.becomes("Progressing", "False", "QuotaExceeded")["message"]
    world.becomes("Ready", "False", "QuotaExceeded")
    world.api.delete(QUOTA, world.namespace, "none")
    heals(world)


def test_a_namespace_that_refuses_the_pods(world: World) -> None:
    label = "pod-security.kubernetes.io/enforce"
    world.api.merge(NAMESPACE, "", world.namespace, {"metadata": {"labels": {label: "restricted"}}})
    until("the label to be in force", lambda: restricted(world.api, world.namespace))
    world.create(podTemplate={"spec": {"securityContext": {"runAsNonRoot": False}}})
    assert "restricted" in world.becomes("Progressing", "False", "PodSecurityRejected")["message"]
    world.becomes("Ready", "False", "PodSecurityRejected")
    world.api.merge(NAMESPACE, "", world.namespace, {"metadata": {"labels": {label: None}}})
    heals(world)


def test_a_limit_that_the_pods_exceed(world: World) -> None:
    limit = {"type": "Container", "max": {"memory": "16Mi"}}
    metadata = {"name": "tiny", "namespace": world.namespace}
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": [limit]}}
    world.api.create(LIMIT_RANGE, body)
    server = {"name": "server", "resources": {"limits": {"memory": "1Gi"}}}
    world.create(podTemplate={"spec": {"containers": [server]}})
    assert "memory" in world.becomes("Progressing", "False", "LimitRangeRejected")["message"]
    world.api.delete(LIMIT_RANGE, world.namespace, "tiny")
    heals(world)


def test_a_foreign_object_of_the_same_name(world: World) -> None:
    metadata = {"name": "qwen", "namespace": world.namespace, "labels": {"app": "other"}}
    foreign = {"selector": {"app": "other"}, "ports": [{"name": "x", "port": 1234}]}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": foreign}
    before = world.api.create(kinds.SERVICE, body)["metadata"]["resourceVersion"]
    world.create()
    assert "Service qwen" in world.becomes("Progressing", "False", "NameConflict")["message"]
    assert world.api.get(kinds.SERVICE, world.namespace, "qwen")["metadata"]["resourceVersion"] == before
    world.api.delete(kinds.SERVICE, world.namespace, "qwen")
    heals(world)
    assert world.api.get(kinds.SERVICE, world.namespace, "qwen")["spec"]["ports"][0]["port"] == 80


@pytest.mark.parametrize("resource", ["deployments", "persistentvolumeclaims", "controllerrevisions"])
def test_a_right_that_is_taken_away(world: World, rights: Rights, resource: str) -> None:
    """The message names verb and resource; what was refused is done when the right is back."""
    rules = [
        rule | ({"verbs": ["get", "list", "watch"]} if resource in rule["resources"] else {}) for rule in rights.rules
    ]
    rights.take(rules, "create", resource)
    world.create()
    found = world.becomes("Progressing", "False", "Forbidden")
    assert resource in found["message"]
    assert "cannot" in found["message"]
    world.becomes("Ready", "False", "Forbidden")
    rights.give_back()
    heals(world)


@pytest.mark.parametrize(("resource", "verb"), [("pods", "list"), ("deployments", "watch")])
def test_what_may_not_be_seen_any_more_is_left_as_it_is(
    world: World, rights: Rights, operator: OperatorProcess, resource: str, verb: str
) -> None:
    world.create()
    heals(world)
    rules = [
        rule | ({"verbs": [v for v in rule["verbs"] if v != verb]} if resource in rule["resources"] else {})
        for rule in rights.rules
    ]
    rights.take(rules, verb, resource)
    found = world.becomes("Progressing", "False", "Forbidden")
    assert resource in found["message"]
    assert f"cannot {verb}" in found["message"]
    world.becomes("Ready", "Unknown", "Forbidden")
    generation = world.deployment()["metadata"]["generation"]
    world.observed({"image": "registry.example/vllm:changed"})
    assert world.deployment()["metadata"]["generation"] == generation
    assert operator.http("/healthz")[0] == 200
    rights.give_back()
    until("the change to be made", lambda: world.deployment()["metadata"]["generation"] > generation)
    heals(world)
    assert operator.defects() == []


def test_rights_that_only_tell_more_are_not_missed(world: World, rights: Rights, operator: OperatorProcess) -> None:
    telling = {"pods/log", "events", "storageclasses"}
    rules = [rule for rule in rights.rules if not telling & set(rule["resources"])]
    rights.take(rules, "get", "pods/log")
    world.create()
    (pod,) = world.scheduled(1)
    world.kubelet.warming(pod, "hipbmm progress phase=Tuning tuned=1 problems=204 failed=0 elapsed_s=1 eta_s=2\n")
    world.becomes("Tuned", "False", "Tuning")
    heals(world)
    assert operator.defects() == []


def deletable(world: World) -> bool:
    """Try to delete the resource; whether that was allowed."""
    try:
        world.api.delete(kinds.HIPBMM_DEPLOYMENT, world.namespace, "qwen")
    except ApiStatusError as error:
        if "kept on purpose" not in error.message:
            raise
        return False
    return True


@pytest.fixture
def undeletable(world: World, api: Api) -> Iterator[None]:
    """A policy that refuses the deletion of resources of ours in this namespace, as policy engines do."""
    name = f"keep-{world.namespace}"
    resources = {"apiGroups": ["hipbmm.io"], "apiVersions": ["*"], "operations": ["DELETE"], "resources": ["*"]}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [resources]},
        "validations": [{"expression": "false", "message": "kept on purpose"}],
    }
    here = {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}}
    binding = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": here},
    }
    for kind, spec in ((POLICY, policy), (BINDING, binding)):
        api.create(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec})
    yield
    for kind in (BINDING, POLICY):
        api.delete(kind, "", name)
    until("the policy to end", lambda: deletable(world))


def test_a_namespace_that_is_being_deleted(world: World, undeletable: None) -> None:
    def kept() -> bool:
        """The policy is in force: until then, what it is tried on is deleted."""
        if world.api.find(kinds.HIPBMM_DEPLOYMENT, world.namespace, "qwen") is None:
            world.create()
        return not deletable(world)

    until("the policy", kept)
    world.recover(1)
    world.api.delete(NAMESPACE, "", world.namespace)
    found = world.becomes("Progressing", "False", "NamespaceTerminating")
    assert "being terminated" in found["message"]
    world.becomes("Ready", "False", "NamespaceTerminating")
