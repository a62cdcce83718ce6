"""The chart on a real API server: admitted, restricted, upgraded, removed."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.chart.cluster import RESTRICTED, Cluster, CommandError, eventually
from tests.chart.rendering import render, variants
from tests.chart.tools import CHART

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Long enough for the first start of the API server.
pytestmark = pytest.mark.timeout(1800)

CRD = "customresourcedefinition/hipbmmdeployments.hipbmm.io"
ALL_CRDS = (CRD, "customresourcedefinition/hipbmmprofiles.hipbmm.io")
SELECTOR = "app.kubernetes.io/name=hipbmm-operator"
SAMPLE: dict[str, Any] = {
    "apiVersion": "hipbmm.io/v1alpha1",
    "kind": "HipbmmDeployment",
    "metadata": {"name": "sample"},
    "spec": {"image": "registry.example/vllm:v1", "model": {"name": "org/model"}},
}


@pytest.fixture
def release(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace that enforces the restricted standard; nothing of the release stays in the cluster."""
    name = cluster.namespace(request.node.name.replace("_", "-")[5:50].strip("-"), RESTRICTED)
    yield name
    cluster.uninstall(name)
    cluster.kubectl("delete", *ALL_CRDS, "--ignore-not-found")
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def pods(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.get("pods", "--namespace", namespace, "--selector", SELECTOR)
    return found


def established(cluster: Cluster) -> None:
    cluster.established("hipbmmdeployments.hipbmm.io")


@pytest.fixture(scope="module")
def prepared(cluster: Cluster, monitoring_crds: list[dict[str, Any]]) -> str:
    """Everything that a variant refers to."""
    for crd in monitoring_crds:
        cluster.apply(crd)
        cluster.established(crd["metadata"]["name"])
    for name in ("team-a", "team-b"):
        cluster.namespace(name)
    return cluster.namespace("dry-run", RESTRICTED)


@pytest.mark.parametrize("file", [None, *variants()], ids=lambda path: path.stem if path else "defaults")
def test_every_object_is_accepted(cluster: Cluster, prepared: str, file: Path | None) -> None:
    rendering = render({"networkPolicy": {"enabled": True}}, *([file] if file else []), namespace=prepared)
    answer = cluster.apply(rendering.text, "--dry-run=server")
    assert answer.count("serverside-applied") == len(rendering.objects)


@pytest.mark.parametrize("file", [None, *variants()], ids=lambda path: path.stem if path else "defaults")
def test_pod_is_admitted_by_the_restricted_standard(cluster: Cluster, prepared: str, file: Path | None) -> None:
    template = render(None, *([file] if file else []), namespace=prepared).pod
    # Admission asks for the account and the class before it looks at the rest.
    spec = {**template["spec"], "serviceAccountName": "default"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": prepared}, "spec": spec}
    eventually("default account", lambda: cluster.exists("serviceaccount/default", "--namespace", prepared))
    assert "created" in cluster.kubectl("create", "-f", "-", "--dry-run=server", stdin=json.dumps(pod))
    spec["securityContext"] = {}
    with pytest.raises(CommandError, match="violates PodSecurity"):
        cluster.kubectl("create", "-f", "-", "--dry-run=server", stdin=json.dumps(pod))


def test_defaults_install_and_the_pod_is_created(cluster: Cluster, release: str) -> None:
    cluster.install(release)
    (pod,) = eventually("a pod", lambda: pods(cluster, release))
    assert pod["spec"]["serviceAccountName"] == "hipbmm-operator"
    assert pod["spec"]["tolerations"] == render().pod["spec"]["tolerations"]

    def counted() -> bool:
        return [each["status"]["replicas"] for each in cluster.get("replicasets", "--namespace", release)] == [1]

    eventually("the pod to be counted", counted)
    failures = cluster.get("events", "--namespace", release, "--field-selector", "reason=FailedCreate")
    assert failures == []


def test_upgrade_changes_the_pod_and_brings_the_new_crd(cluster: Cluster, release: str, tmp_path: Path) -> None:
    old = tmp_path / "hipbmm-operator"
    shutil.copytree(CHART, old)
    crd = old / "templates" / "crds" / "hipbmm.io_hipbmmdeployments.yaml"
    crd.write_text(crd.read_text().replace("    - hbd\n", "    - hbold\n"))
    cluster.install(release, chart=old)
    established(cluster)
    assert cluster.get(CRD)["spec"]["names"]["shortNames"] == ["hbold"]
    cluster.apply(SAMPLE, "--namespace", release)
    (before,) = eventually("a pod", lambda: pods(cluster, release))

    cluster.install(release, {"log": {"level": "debug"}})
    eventually("the new CRD", lambda: cluster.get(CRD)["spec"]["names"]["shortNames"] == ["hbd"])
    assert cluster.exists("hipbmmdeployments/sample", "--namespace", release)

    def replaced() -> list[dict[str, Any]]:
        found = pods(cluster, release)
        return [] if before["metadata"]["uid"] in [pod["metadata"]["uid"] for pod in found] else found

    (after,) = eventually("a new pod", replaced)
    assert {"name": "HIPBMM_LOG_LEVEL", "value": "debug"} in after["spec"]["containers"][0]["env"]


def test_the_same_values_again_change_nothing(cluster: Cluster, release: str) -> None:
    cluster.install(release)
    before = cluster.get("deployment/hipbmm-operator", "--namespace", release)["metadata"]["generation"]
    cluster.install(release)
    assert cluster.get("deployment/hipbmm-operator", "--namespace", release)["metadata"]["generation"] == before


def test_rollback_goes_back(cluster: Cluster, release: str) -> None:
    cluster.install(release)
    cluster.install(release, {"log": {"level": "debug"}})
    cluster.helm("rollback", "hipbmm-operator", "1", "--namespace", release)
    (container,) = cluster.get("deployment/hipbmm-operator", "--namespace", release)["spec"]["template"]["spec"][
        "containers"
    ]
    assert {"name": "HIPBMM_LOG_LEVEL", "value": "info"} in container["env"]


def test_uninstall_keeps_the_crd_and_what_users_made_and_a_reinstall_adopts_it(cluster: Cluster, release: str) -> None:
    cluster.install(release)
    established(cluster)
    cluster.apply(SAMPLE, "--namespace", release)
    uid = cluster.get("hipbmmdeployments/sample", "--namespace", release)["metadata"]["uid"]
    cluster.uninstall(release)
    assert not cluster.exists("deployment/hipbmm-operator", "--namespace", release)
    assert not cluster.exists("clusterroles,clusterrolebindings,validatingadmissionpolicies", "--selector", SELECTOR)
    assert cluster.get("hipbmmdeployments/sample", "--namespace", release)["metadata"]["uid"] == uid
    cluster.install(release)
    assert cluster.get("hipbmmdeployments/sample", "--namespace", release)["metadata"]["uid"] == uid


def test_uninstall_without_keep_removes_everything(cluster: Cluster, release: str) -> None:
    cluster.install(release, {"crds": {"keep": False}})
    established(cluster)
    cluster.uninstall(release)
    eventually("no CRD", lambda: not any(map(cluster.exists, ALL_CRDS)))


def test_a_kept_crd_moves_to_a_release_elsewhere(cluster: Cluster, release: str) -> None:
    cluster.install(release)
    established(cluster)
    cluster.uninstall(release)
    elsewhere = cluster.namespace("elsewhere", RESTRICTED)
    try:
        with pytest.raises(CommandError, match=r"invalid ownership metadata|conflict"):
            cluster.install(elsewhere)
        cluster.install(elsewhere, None, "--take-ownership")
        assert cluster.get(CRD)["metadata"]["annotations"]["meta.helm.sh/release-namespace"] == elsewhere
    finally:
        cluster.uninstall(elsewhere)


def test_two_namespaced_releases_live_side_by_side(cluster: Cluster, release: str) -> None:
    second = cluster.namespace("second-team", RESTRICTED)
    try:
        cluster.install(release, {"watchNamespaces": [release]})
        cluster.install(second, {"watchNamespaces": [second], "crds": {"enabled": False}})
        account = f"system:serviceaccount:{second}:hipbmm-operator"
        eventually("the right", lambda: cluster.can(account, "patch", "deployments.apps", second))
        assert not cluster.can(account, "patch", "deployments.apps", release)
        assert not cluster.can(account, "list", "hipbmmdeployments.hipbmm.io", release)
    finally:
        cluster.uninstall(second)


def test_operator_may_do_its_work_and_nothing_else(cluster: Cluster, release: str) -> None:
    cluster.install(release)
    account = f"system:serviceaccount:{release}:hipbmm-operator"
    eventually("the right", lambda: cluster.can(account, "create", "deployments.apps"))
    for verb, resource in (
        ("get", "secrets"),
        ("list", "secrets"),
        ("create", "pods"),
        ("delete", "nodes"),
        ("patch", "nodes"),
        ("delete", "hipbmmdeployments.hipbmm.io"),
        ("create", "hipbmmdeployments.hipbmm.io"),
        ("update", "customresourcedefinitions.apiextensions.k8s.io"),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
        ("create", "serviceaccounts"),
    ):
        assert not cluster.can(account, verb, resource), (verb, resource)
    assert not cluster.can(account, "create", "pods", subresource="exec")
    lease = "leases.coordination.k8s.io/hipbmm-operator"
    eventually("the right in its own namespace", lambda: cluster.can(account, "get", lease, release))
    assert not cluster.can(account, "get", "leases.coordination.k8s.io/other", release)
    assert not cluster.can(account, "update", "leases.coordination.k8s.io/hipbmm-operator", "default")


def test_a_second_release_over_the_same_namespaces_is_refused(cluster: Cluster, release: str) -> None:
    other = cluster.namespace("second", RESTRICTED)
    without_crds = {"crds": {"enabled": False}}
    for name in ("team-a", "team-b"):
        cluster.namespace(name)
    try:
        cluster.install(release)
        with pytest.raises(CommandError, match=f"hipbmm-operator in namespace {release} already serves all namespaces"):
            cluster.install(other, without_crds)
        with pytest.raises(CommandError, match="already serves all namespaces"):
            cluster.install(other, {**without_crds, "watchNamespaces": ["team-a"]})
        cluster.install(release, {"watchNamespaces": ["team-a"]})
        with pytest.raises(CommandError, match="already serves team-a: two operators"):
            cluster.install(other, {**without_crds, "watchNamespaces": ["team-a", "team-b"]})
        cluster.install(other, {**without_crds, "watchNamespaces": ["team-b"]})
        cluster.install(release, {"watchNamespaces": ["team-a"]})
        injecting = {"injection": {"enabled": True}}
        cluster.install(release, {"watchNamespaces": ["team-a"], **injecting})
        with pytest.raises(CommandError, match="of one release only"):
            cluster.install(other, {**without_crds, "watchNamespaces": ["team-b"], **injecting})
        cluster.install(release, {"watchNamespaces": ["team-a"], **injecting})
        cluster.install(release, {"watchNamespaces": ["team-a"]})
    finally:
        cluster.uninstall(other)
        cluster.kubectl("delete", "namespace", other, "--wait=false")
