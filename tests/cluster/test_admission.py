"""The minimal resource in namespaces with rules of their own: real admission plugins let its pods in."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.api import Api, ApiStatusError, until
from tests.cluster.badday import BINDING, LIMIT_RANGE, POLICY, QUOTA
from tests.cluster.kubelet import pods
from tests.cluster.world import WAIT, World

from hipbmm_operator.kube.kinds import NAMESPACE, Kind

Json = dict[str, Any]
LIMITED = {"requests": {"cpu": "16", "memory": "128Gi"}, "limits": {"cpu": "16", "memory": "128Gi"}}
POD = "object.spec.securityContext"
IN_RANGE = "c.securityContext.runAsUser >= 1000660000 && c.securityContext.runAsUser <= 1000669999"
NO_OTHER_USER = f"!has(c.securityContext) || !has(c.securityContext.runAsUser) || ({IN_RANGE})"


@pytest.fixture
def like_openshift(api: Api) -> Iterator[str]:
    """What the rule MustRunAsRange of restricted-v2 refuses; the name of a label that switches it on."""
    name = f"like-restricted-v2-{uuid.uuid4().hex[:6]}"
    rules = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    expressions = [
        f"object.spec.containers.all(c, {NO_OTHER_USER})",
        f"!has(object.spec.initContainers) || object.spec.initContainers.all(c, {NO_OTHER_USER})",
        f"!has({POD}) || !(has({POD}.runAsUser) || has({POD}.runAsGroup) || has({POD}.fsGroup))",
    ]
    spec: Json = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rules]},
        "validations": [{"expression": each, "message": "provider restricted-v2: refused"} for each in expressions],
    }
    binding = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {name: "true"}}},
    }
    for kind, body in ((POLICY, spec), (BINDING, binding)):
        api.create(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": body})
    yield name
    for kind in (BINDING, POLICY):
        api.delete(kind, "", name)


def put(api: Api, kind: Kind, namespace: str, spec: Json) -> None:
    metadata = {"name": "rules", "namespace": namespace}
    api.create(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec})


def admitted(world: World) -> Json:
    """The pod of the resource, once the API server has let it in."""
    return dict(until("a pod", lambda: next(iter(pods(world.api, world.namespace)), None), WAIT))


def limited(*names: str) -> Json:
    return {"spec": {"containers": [{"name": name, "resources": LIMITED} for name in names]}}


def test_a_platform_that_gives_pods_their_user(api: Api, world: World, like_openshift: str) -> None:
    api.merge(NAMESPACE, "", world.namespace, {"metadata": {"labels": {like_openshift: "true"}}})

    def refused() -> bool:
        """The policy is in force some time after it was made."""
        body: Json = {
            "metadata": {"name": "probe", "namespace": world.namespace},
            "spec": {"containers": [{"name": "c", "image": "x", "securityContext": {"runAsUser": 65532}}]},
        }
        path = f"/api/v1/namespaces/{world.namespace}/pods"
        try:
            api.request("POST", path, {"apiVersion": "v1", "kind": "Pod", **body}, {"dryRun": "All"})
        except ApiStatusError as error:
            return "restricted-v2" in str(error)
        return False

    until("the policy", refused)
    world.create()
    assert admitted(world)


def test_a_restricted_namespace(api: Api, world: World) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.merge(NAMESPACE, "", world.namespace, {"metadata": {"labels": labels}})
    world.create()
    assert admitted(world)["spec"]["securityContext"]["runAsNonRoot"] is True


def test_a_quota_on_limits_and_gpus(api: Api, world: World) -> None:
    hard = {"limits.cpu": "200", "limits.memory": "2Ti", "requests.cpu": "200", "requests.memory": "2Ti"}
    put(api, QUOTA, world.namespace, {"hard": {**hard, "requests.amd.com/gpu": "1"}})
    world.create(podTemplate=limited("server"))
    assert admitted(world)


def test_a_quota_on_limits_where_the_namespace_has_defaults(api: Api, world: World) -> None:
    put(api, QUOTA, world.namespace, {"hard": {"limits.cpu": "200", "limits.memory": "2Ti"}})
    item = {"type": "Container", "default": {"cpu": "8", "memory": "64Gi"}}
    put(api, LIMIT_RANGE, world.namespace, {"limits": [item]})
    world.create()
    assert admitted(world)


@pytest.mark.parametrize(
    "item",
    [
        {"min": {"cpu": "250m", "memory": "512Mi"}, "default": {"cpu": "4", "memory": "64Gi"}},
        {"max": {"cpu": "32", "memory": "256Gi"}},
        {"maxLimitRequestRatio": {"cpu": "1", "memory": "2"}, "default": {"cpu": "8", "memory": "64Gi"}},
        {"max": {"amd.com/gpu": "8"}},
    ],
    ids=["min", "max", "ratio", "devices"],
)
def test_a_limit_range(api: Api, world: World, item: Json) -> None:
    put(api, LIMIT_RANGE, world.namespace, {"limits": [{"type": "Container", **item}]})
    world.create()
    limits = {each["name"]: each["resources"]["limits"] for each in admitted(world)["spec"]["initContainers"]}
    assert {each.get("amd.com/gpu", "0") for name, each in limits.items() if name != "warm"} == {"0"}


def test_a_ratio_of_whole_pods(api: Api, world: World) -> None:
    put(
        api,
        LIMIT_RANGE,
        world.namespace,
        {"limits": [{"type": "Pod", "maxLimitRequestRatio": {"cpu": "1", "memory": "1"}}]},
    )
    world.create(podTemplate=limited("server"))
    assert admitted(world)


def test_a_ratio_of_whole_pods_with_room_for_the_server(api: Api, world: World) -> None:
    """The server's own ratio is as large as is allowed."""
    put(api, LIMIT_RANGE, world.namespace, {"limits": [{"type": "Pod", "maxLimitRequestRatio": {"cpu": "2"}}]})
    resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    world.create(podTemplate={"spec": {"containers": [{"name": "server", "resources": resources}]}})
    assert admitted(world)


def test_a_guaranteed_server_makes_a_guaranteed_pod(world: World) -> None:
    world.create(podTemplate=limited("server"))
    assert admitted(world)["status"]["qosClass"] == "Guaranteed"


def test_shared_memory_of_the_users_own(world: World) -> None:
    server = {"name": "server", "volumeMounts": [{"name": "dshm", "mountPath": "/dev/shm"}]}  # noqa: S108
    volume = {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Gi"}}
    world.create(podTemplate={"spec": {"volumes": [volume], "containers": [server]}})
    (container,) = admitted(world)["spec"]["containers"]
    assert [mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == "/dev/shm"] == ["dshm"]  # noqa: S108


def test_what_the_operators_containers_cannot_be_given_is_refused(world: World) -> None:
    mounts = [{"name": "x", "mountPath": "/x"}]
    with pytest.raises(ApiStatusError, match="payload and harvest can be given resources only"):
        world.create(podTemplate={"spec": {"containers": [{"name": "harvest", "volumeMounts": mounts}]}})
