"""The restricted pod security standard, least privilege and hygiene, as assertions over what is rendered."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.chart.rendering import Manifest, Rendering, render, variants
from tests.chart.tools import ROOT

RESTRICTED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
MIN_ID = 10_000
NO_VERBS = {"*", "escalate", "bind", "impersonate", "approve", "sign"}
NO_RESOURCES = {
    "*",
    "secrets",
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "pods/ephemeralcontainers",
    "serviceaccounts",
    "serviceaccounts/token",
    "roles",
    "rolebindings",
    "clusterroles",
    "clusterrolebindings",
    "customresourcedefinitions",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "nodes/proxy",
    "certificatesigningrequests",
}


@pytest.fixture(params=[None, *variants()], ids=lambda path: path.stem if path else "defaults")
def rendering(request: pytest.FixtureRequest) -> Rendering:
    return render(None, *([request.param] if request.param else []))


def rules(rendering: Rendering) -> list[dict[str, Any]]:
    roles = [*rendering.of_kind("ClusterRole"), *rendering.of_kind("Role")]
    return [rule for role in roles for rule in role["rules"]]


def test_pod_is_restricted(rendering: Rendering) -> None:
    spec = rendering.pod["spec"]
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(context), "platforms assign them, or the image does"
    assert int(re.findall(r"^USER ([0-9]+):[0-9]+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[-1]) > MIN_ID
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert spec["enableServiceLinks"] is False


def test_container_is_restricted(rendering: Rendering) -> None:
    context = rendering.container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert "privileged" not in context
    assert not [port for port in rendering.container["ports"] if "hostPort" in port]


def test_only_harmless_volumes_and_a_writable_tmp(rendering: Rendering) -> None:
    volumes = {volume["name"]: set(volume) - {"name"} for volume in rendering.pod["spec"]["volumes"]}
    assert set().union(*volumes.values()) <= RESTRICTED_VOLUMES
    writable = [mount for mount in rendering.container["volumeMounts"] if not mount.get("readOnly")]
    assert [mount["mountPath"] for mount in writable] == ["/tmp"]  # noqa: S108 (a path in the container)
    assert volumes[writable[0]["name"]] == {"emptyDir"}


def test_the_pod_of_helm_test_is_restricted_too_and_is_no_operator(rendering: Rendering) -> None:
    for pod in rendering.of_kind("Pod"):
        assert pod["spec"]["securityContext"] == rendering.pod["spec"]["securityContext"]
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"] == rendering.container["securityContext"]
        assert container["image"] == rendering.container["image"]
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
        # Neither Service, NetworkPolicy nor Deployment may take it for the operator.
        assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "test"


def test_requests_and_limits_are_set(rendering: Rendering) -> None:
    for part in ("requests", "limits"):
        assert set(rendering.container["resources"][part]) == {"cpu", "memory", "ephemeral-storage"}


def test_probes_ask_ports_that_exist(rendering: Rendering) -> None:
    ports = {port["name"] for port in rendering.container["ports"]}
    paths = {}
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        get = rendering.container[probe]["httpGet"]
        assert get["port"] in ports
        paths[probe] = get["path"]
    assert paths == {"livenessProbe": "/healthz", "readinessProbe": "/readyz", "startupProbe": "/healthz"}


def test_token_is_mounted_by_the_pod_and_not_by_the_account(rendering: Rendering) -> None:
    assert rendering.only("ServiceAccount")["automountServiceAccountToken"] is False
    assert rendering.pod["spec"]["automountServiceAccountToken"] is True
    assert rendering.pod["spec"]["serviceAccountName"] == rendering.only("ServiceAccount")["metadata"]["name"]


def test_no_rule_is_broad_or_escalates(rendering: Rendering) -> None:
    for rule in rules(rendering):
        assert not NO_VERBS & set(rule["verbs"]), rule
        assert not NO_RESOURCES & set(rule["resources"]), rule
        assert "*" not in rule["apiGroups"], rule
        assert "nonResourceURLs" not in rule


def test_bindings_name_one_subject_and_roles_that_exist(rendering: Rendering) -> None:
    roles = {
        (role["kind"], role["metadata"]["name"]) for kind in ("Role", "ClusterRole") for role in rendering.of_kind(kind)
    }
    account = rendering.only("ServiceAccount")["metadata"]
    for binding in [*rendering.of_kind("RoleBinding"), *rendering.of_kind("ClusterRoleBinding")]:
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles
        subject = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        assert binding["subjects"] == [subject]


def test_cluster_wide_rights_only_read_in_namespaced_mode() -> None:
    rendering = render({"watchNamespaces": ["team-a"], "rbac": {"userRoles": False}})
    for rule in rendering.only("ClusterRole")["rules"]:
        assert set(rule["verbs"]) <= {"get", "list", "watch"}, rule


def test_no_secret_and_no_image_without_version(rendering: Rendering) -> None:
    assert not rendering.of_kind("Secret")
    image = rendering.container["image"]
    assert "@sha256:" in image or not image.endswith(":latest")
    assert ":" in image.rpartition("/")[2] or "@" in image


def test_network_policy_and_services_select_the_pod(rendering: Rendering) -> None:
    labels = rendering.pod["metadata"]["labels"]
    selectors: list[Manifest] = [
        policy["spec"]["podSelector"]["matchLabels"] for policy in rendering.of_kind("NetworkPolicy")
    ]
    selectors += [service["spec"]["selector"] for service in rendering.of_kind("Service")]
    for selector in selectors:
        assert selector.items() <= labels.items()


def test_every_variant_is_covered() -> None:
    names = {path.stem for path in variants()}
    assert {"everything-values", "namespaced-values", "airgapped-values", "monitored-values"} <= names
    assert all(isinstance(path, Path) for path in variants())
