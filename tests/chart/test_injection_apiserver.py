"""The chart with injection on a real API server: installed, used, upgraded, removed."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests import stacks
from tests.chart.cluster import RESTRICTED, Cluster, CommandError, eventually

from hipbmm_operator.admission import certificate
from hipbmm_operator.injection import spelling

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(1800)

VALUES: dict[str, Any] = {"injection": {"enabled": True, "webhook": {"enabled": True}}}
SYSTEM, MODELS = "injecting", "injected-models"
ACCOUNT = f"system:serviceaccount:{SYSTEM}:hipbmm-operator"
NAME = f"hipbmm-operator.{SYSTEM}-injection"
CONFIGURATION = f"zz-{NAME}"
BINDINGS = "mutatingadmissionpolicybindings,mutatingwebhookconfigurations"
ADMISSION = "mutatingadmissionpolicies,mutatingadmissionpolicybindings,mutatingwebhookconfigurations"


FOREIGN: dict[str, Any] = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "mesh-injection-status"},
    "spec": {
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["mesh.example"],
                    "apiVersions": ["v1"],
                    "operations": ["UPDATE"],
                    "resources": ["meshes/status"],
                }
            ]
        },
        "validations": [{"expression": "true"}],
    },
}
"""Of a product that has nothing to do with ours but the name."""


@pytest.fixture
def installed(cluster: Cluster) -> Iterator[Cluster]:
    cluster.namespace(SYSTEM, RESTRICTED)
    cluster.namespace(MODELS)
    cluster.apply(FOREIGN)
    cluster.install(SYSTEM, VALUES)
    cluster.established("hipbmmprofiles.hipbmm.io")
    yield cluster
    cluster.uninstall(SYSTEM)
    cluster.kubectl("delete", "validatingadmissionpolicy", FOREIGN["metadata"]["name"])
    for crd in ("hipbmmdeployments.hipbmm.io", "hipbmmprofiles.hipbmm.io"):
        cluster.kubectl("delete", "crd", crd, "--ignore-not-found")
    cluster.kubectl("delete", "namespace", SYSTEM, MODELS, "--wait=false")


def injected(cluster: Cluster) -> bool:
    pod = json.dumps(stacks.asking("deployment", MODELS))
    made = cluster.kubectl("create", "-f", "-", "--dry-run=server", "-o", "json", stdin=pod)
    return "hipbmm-warm" in [each["name"] for each in json.loads(made)["spec"].get("initContainers", [])]


def ready(cluster: Cluster) -> None:
    """A profile with a recipe, as the operator writes it; nobody else can."""
    body = stacks.profile(MODELS)
    cluster.apply({key: value for key, value in body.items() if key != "status"})
    status = {key: value for key, value in body.items() if key != "spec"}

    def refused() -> bool:
        try:
            cluster.apply(status, "--subresource=status", "--dry-run=server", "--force-conflicts")
        except CommandError as error:
            return "only the hipbmm-operator writes the status" in str(error)
        return False

    eventually("the API server to guard the status", refused)
    profiles = "hipbmmprofiles.hipbmm.io"
    eventually("the right", lambda: cluster.can(ACCOUNT, "patch", profiles, MODELS, subresource="status"))
    cluster.apply(status, "--subresource=status", "--force-conflicts", user=ACCOUNT)


def certify(cluster: Cluster, held: dict[str, str]) -> None:
    """What the operator does with its rights and no more."""
    secret = cluster.get("secret/hipbmm-operator-webhook", "-n", SYSTEM)
    secret["data"] = {key: base64.b64encode(text.encode()).decode() for key, text in held.items()}
    cluster.kubectl("replace", "-f", "-", stdin=json.dumps(secret), user=ACCOUNT)
    hooks = cluster.get(f"mutatingwebhookconfiguration/{CONFIGURATION}")
    bundle = {"caBundle": secret["data"]["ca.crt"]}
    body = {key: hooks[key] for key in ("apiVersion", "kind")} | {"metadata": {"name": CONFIGURATION}}
    body["webhooks"] = [{"name": each["name"], "clientConfig": bundle} for each in hooks["webhooks"]]
    cluster.apply(body, "--field-manager=hipbmm-operator", user=ACCOUNT)


def kept(cluster: Cluster) -> tuple[Any, Any]:
    hooks = cluster.get(f"mutatingwebhookconfiguration/{CONFIGURATION}")["webhooks"]
    data = cluster.get("secret/hipbmm-operator-webhook", "-n", SYSTEM)["data"]
    return data, [each["clientConfig"]["caBundle"] for each in hooks]


def test_installed_used_upgraded_removed(installed: Cluster) -> None:
    ready(installed)
    eventually("an injected pod", lambda: injected(installed))
    chosen = f"--selector={spelling.LABEL_ADMISSION}=injection"
    found = installed.kubectl("get", BINDINGS, chosen, "-o", "name", user=ACCOUNT).split()
    assert [each.partition("/")[2] for each in found] == [f"{NAME}-label", f"{NAME}-match", CONFIGURATION]
    host = f"hipbmm-operator-webhook.{SYSTEM}.svc"
    certify(installed, certificate.step({}, "", host, datetime.now(UTC)))
    before = kept(installed)
    installed.install(SYSTEM, VALUES)
    installed.install(SYSTEM, {**VALUES, "log": {"level": "debug"}})
    assert kept(installed) == before
    assert injected(installed)
    for verb, resource in (
        ("get", "secrets/other"),
        ("list", "secrets"),
        ("create", "secrets"),
        ("patch", "mutatingwebhookconfigurations.admissionregistration.k8s.io/other"),
        ("create", "mutatingwebhookconfigurations.admissionregistration.k8s.io"),
        ("patch", "mutatingadmissionpolicies.admissionregistration.k8s.io"),
    ):
        assert not installed.can(ACCOUNT, verb, resource, SYSTEM), (verb, resource)
    installed.uninstall(SYSTEM)
    eventually("a plain pod", lambda: not injected(installed))
    assert not installed.exists(ADMISSION, "-l", "app.kubernetes.io/managed-by=hipbmm-operator")
    assert installed.exists(f"hbp/{stacks.PROFILE}", "-n", MODELS)
