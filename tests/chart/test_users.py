"""Who may make a HipbmmDeployment: the admission policy and the aggregated roles on a real API server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.chart.cluster import RESTRICTED, Cluster, CommandError, eventually
from tests.chart.test_apiserver import ALL_CRDS, SAMPLE, established

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(1800)

NAMESPACE = "users"
REFUSED = "may not create Deployments in namespace users"


def grant(cluster: Cluster, user: str, *rules: dict[str, Any]) -> None:
    """Give a user rules in the namespace, and nothing else."""
    metadata = {"name": user, "namespace": NAMESPACE}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user}
    cluster.apply({**rbac, "kind": "Role", "rules": list(rules)})
    cluster.apply({**rbac, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]})


def ours(*resources: str) -> dict[str, Any]:
    verbs = ["get", "create", "update", "patch", "delete"]
    return {"apiGroups": ["hipbmm.io"], "resources": list(resources), "verbs": verbs}


def attempt(action: Callable[[], object]) -> str:
    """Nothing when the API server lets it pass, else what it says."""
    try:
        action()
    except CommandError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def users(cluster: Cluster) -> Iterator[Cluster]:
    """The chart is installed; alice may write HipbmmDeployments, bob may create Deployments as well."""
    cluster.namespace(NAMESPACE, RESTRICTED)
    cluster.install(NAMESPACE)
    established(cluster)
    grant(cluster, "alice", ours("hipbmmdeployments", "hipbmmdeployments/scale", "hipbmmdeployments/status"))
    grant(
        cluster,
        "bob",
        ours("hipbmmdeployments"),
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]},
    )
    eventually("alice's role", lambda: cluster.can("alice", "create", "hipbmmdeployments.hipbmm.io", NAMESPACE))
    # The API server reads a new policy some time after it is stored.
    eventually("the policy", lambda: REFUSED in attempt(lambda: make(cluster, "alice", "--dry-run=server")))
    yield cluster
    cluster.kubectl("delete", "hipbmmdeployments", "--all", "--namespace", NAMESPACE)
    cluster.uninstall(NAMESPACE)
    cluster.kubectl("delete", *ALL_CRDS)
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def make(cluster: Cluster, user: str, *flags: str) -> str:
    return cluster.kubectl("create", "-f", "-", "-n", NAMESPACE, *flags, stdin=json.dumps(SAMPLE), user=user)


def change(cluster: Cluster, user: str, patch: dict[str, Any], *flags: str) -> str:
    arguments = ["patch", "hipbmmdeployment", "sample", "-n", NAMESPACE, "--type=merge", "-p", json.dumps(patch)]
    return cluster.kubectl(*arguments, *flags, user=user)


@pytest.fixture(scope="module")
def sample(users: Cluster) -> Cluster:
    """A HipbmmDeployment that bob made."""
    eventually("bob", lambda: not attempt(lambda: make(users, "bob")))
    return users


def test_refusal_names_user_and_namespace(users: Cluster) -> None:
    message = attempt(lambda: make(users, "alice"))
    assert f"user alice {REFUSED}, and so must not create or change a HipbmmDeployment there" in message
    assert not users.exists("hipbmmdeployments/none", "-n", NAMESPACE)


def test_administrator_passes(users: Cluster) -> None:
    assert "created" in users.kubectl(
        "create", "-f", "-", "-n", NAMESPACE, "--dry-run=server", stdin=json.dumps(SAMPLE)
    )


def test_spec_of_a_foreign_object_must_not_be_changed(sample: Cluster) -> None:
    message = attempt(lambda: change(sample, "alice", {"spec": {"image": "evil.example/image:v1"}}))
    assert REFUSED in message
    stored = sample.get("hipbmmdeployment/sample", "-n", NAMESPACE)
    assert stored["spec"]["image"] == SAMPLE["spec"]["image"]


def test_who_may_create_deployments_may_change_the_spec(sample: Cluster) -> None:
    assert "patched" in change(sample, "bob", {"spec": {"suspend": True}})


def test_metadata_status_and_scale_need_no_right_to_create_deployments(sample: Cluster) -> None:
    # The garbage collector, which takes finalizers off, may not create Deployments either.
    change(sample, "alice", {"metadata": {"labels": {"team": "a"}, "finalizers": ["example.com/wait"]}})
    change(sample, "alice", {"metadata": {"finalizers": None}})
    change(sample, "alice", {"status": {"observedGeneration": 1, "phase": "Running"}}, "--subresource=status")
    change(sample, "alice", {"spec": {"replicas": 3}}, "--subresource=scale")
    stored = sample.get("hipbmmdeployment/sample", "-n", NAMESPACE)
    assert (stored["metadata"]["labels"], stored["spec"]["replicas"]) == ({"team": "a"}, 3)


def test_policy_has_no_type_errors(users: Cluster) -> None:
    (policy,) = users.get("validatingadmissionpolicies", "-l", "app.kubernetes.io/instance=hipbmm-operator")
    observed = eventually(
        "the check", lambda: users.get(f"validatingadmissionpolicy/{policy['metadata']['name']}").get("status")
    )
    assert not observed.get("typeChecking", {}).get("expressionWarnings")


@pytest.mark.parametrize(
    ("role", "writes", "reads"), [("view", False, True), ("edit", True, True), ("admin", True, True)]
)
def test_built_in_roles_cover_the_new_kind(users: Cluster, role: str, writes: bool, reads: bool) -> None:
    user = f"{role}-user"
    users.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": user, "namespace": NAMESPACE},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }
    )
    kind = "hipbmmdeployments.hipbmm.io"
    eventually("the aggregated role", lambda: users.can(user, "list", kind, NAMESPACE) is reads)
    eventually("the aggregated role", lambda: users.can(user, "create", kind, NAMESPACE) is writes)
    eventually("the aggregated role", lambda: users.can(user, "patch", kind, NAMESPACE, "scale") is writes)
    assert not users.can(user, "patch", kind, NAMESPACE, "status")
    if writes:
        # The built-in roles may create Deployments, so that the policy lets them pass.
        assert "created" in make_as(users, user)


def make_as(cluster: Cluster, user: str) -> str:
    body = json.dumps({**SAMPLE, "metadata": {"name": "other"}})
    return cluster.kubectl("create", "-f", "-", "-n", NAMESPACE, "--dry-run=server", stdin=body, user=user)
