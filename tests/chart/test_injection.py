"""What the chart installs for pods that somebody else makes: nothing by default; else the operator's own objects."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.chart.golden import assert_same
from tests.chart.rendering import RenderError, Rendering, render
from tests.chart.tools import CHART

from hipbmm_operator.injection import registration, spelling

HEAD = "# Generated from operator/hipbmm_operator/injection by tests/chart/test_injection.py. Do not edit.\n"
NAME = "hipbmm-injection"
KINDS = ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration")


def dump(*bodies: dict[str, Any]) -> str:
    return HEAD + "---\n".join(yaml.safe_dump(body, sort_keys=False, width=10**9) for body in bodies)


def test_the_policy_is_the_operator_s_own() -> None:
    assert_same(CHART / "files" / "injection-policy.yaml", dump(*registration.policies(NAME)))


def test_the_webhook_is_the_operator_s_own() -> None:
    service = {"name": "", "namespace": ""}
    assert_same(CHART / "files" / "injection-webhook.yaml", dump(registration.webhook(f"zz-{NAME}", service)))


def installed(rendering: Rendering) -> list[str]:
    return [f"{item['kind']} {item['metadata']['name']}" for item in rendering.objects if item["kind"] in KINDS]


def test_the_operator_finds_what_a_release_installs() -> None:
    """By a label that Helm leaves: `app.kubernetes.io/managed-by` is Helm's on all that it installs."""
    rendering = render({"injection": {"enabled": True, "policy": "Always", "webhook": {"enabled": True}}})
    for item in rendering.objects:
        if item["kind"] in KINDS:
            assert item["metadata"]["labels"][spelling.LABEL_ADMISSION] == "injection"


def test_nothing_by_default() -> None:
    assert installed(render()) == []
    assert "HIPBMM_INJECTION_NAME" not in [item["name"] for item in render().container["env"]]


def test_policies_have_the_names_that_the_operator_looks_for() -> None:
    rendering = render({"injection": {"enabled": True, "policy": "Always"}})
    (name,) = (item["value"] for item in rendering.container["env"] if item["name"] == "HIPBMM_INJECTION_NAME")
    assert [item["metadata"]["name"] for item in rendering.of_kind("MutatingAdmissionPolicyBinding")] == [
        f"{name}-label",
        f"{name}-match",
    ]
    rendered = {item["metadata"]["name"]: item["spec"] for item in rendering.of_kind("MutatingAdmissionPolicy")}
    own = {
        body["metadata"]["name"]: body["spec"] for body in registration.policies(name) if "Binding" not in body["kind"]
    }
    assert rendered == own
    assert installed(render({"injection": {"enabled": True, "policy": "Never"}})) == []


def test_the_operator_makes_the_webhook_s_certificate() -> None:
    rendering = render({"injection": {"enabled": True, "webhook": {"enabled": True}}}, release="tuner")
    environment = {item["name"]: item.get("value") for item in rendering.container["env"]}
    secret, configuration = rendering.only("Secret"), rendering.only("MutatingWebhookConfiguration")
    # Nothing that a tool which applies the chart again would take back.
    assert not secret.keys() & {"data", "stringData"}
    for each in configuration["webhooks"]:
        assert "caBundle" not in each["clientConfig"]
        assert each["clientConfig"]["service"]["name"] == secret["metadata"]["name"]
    assert environment["HIPBMM_WEBHOOK_SECRET"] == secret["metadata"]["name"]
    assert configuration["metadata"]["name"] == f"zz-{environment['HIPBMM_INJECTION_NAME']}"
    assert "HIPBMM_WEBHOOK_CERTIFICATES" not in environment
    assert "certificates" not in [volume["name"] for volume in rendering.pod["spec"]["volumes"]]
    assert not rendering.of_kind("Certificate")
    granted = {
        (rule["resources"][0], *rule["resourceNames"], *rule["verbs"])
        for kind in ("Role", "ClusterRole")
        for role in rendering.of_kind(kind)
        for rule in role["rules"]
        if rule.get("resourceNames") and rule["resources"] != ["leases"]
    }
    assert granted == {
        ("secrets", secret["metadata"]["name"], "get", "update"),
        ("mutatingwebhookconfigurations", configuration["metadata"]["name"], "get", "patch"),
    }


def test_one_maker_of_the_certificate() -> None:
    webhook = {"enabled": True, "certManager": True, "secretName": "mine"}
    with pytest.raises(RenderError, match="not both"):
        render({"injection": {"enabled": True, "webhook": webhook}})


def test_the_webhook_gets_its_certificate_from_cert_manager() -> None:
    rendering = render({"injection": {"enabled": True, "webhook": {"enabled": True, "certManager": True}}})
    assert not rendering.of_kind("Secret")
    configuration = rendering.only("MutatingWebhookConfiguration")
    (certificate,) = rendering.of_kind("Certificate")
    service = next(item for item in rendering.of_kind("Service") if item["metadata"]["name"].endswith("-webhook"))
    assert configuration["metadata"]["annotations"] == {
        "cert-manager.io/inject-ca-from": f"hipbmm-system/{certificate['metadata']['name']}"
    }
    assert configuration["metadata"]["name"].startswith("zz-")
    for each in configuration["webhooks"]:
        assert each["clientConfig"]["service"]["name"] == service["metadata"]["name"]
        assert "caBundle" not in each["clientConfig"]
        assert (each["failurePolicy"], each["timeoutSeconds"]) == ("Ignore", 2)
    ports = {port["name"]: port["containerPort"] for port in rendering.container["ports"]}
    assert ports["webhook"] == 10250
    mounts = {mount["name"]: mount["mountPath"] for mount in rendering.container["volumeMounts"]}
    environment = {item["name"]: item.get("value") for item in rendering.container["env"]}
    assert mounts["certificates"] == environment["HIPBMM_WEBHOOK_CERTIFICATES"]


def test_the_webhook_takes_a_certificate_that_is_there() -> None:
    values = {"enabled": True, "webhook": {"enabled": True, "secretName": "mine", "caBundle": "QUJD"}}
    rendering = render({"injection": values})
    assert not rendering.of_kind("Certificate")
    for each in rendering.only("MutatingWebhookConfiguration")["webhooks"]:
        assert each["clientConfig"]["caBundle"] == "QUJD"
    volumes = {volume["name"]: volume for volume in rendering.pod["spec"]["volumes"]}
    assert volumes["certificates"]["secret"] == {"secretName": "mine", "optional": True}


def test_only_the_operator_writes_the_status_of_a_profile() -> None:
    rendering = render({"injection": {"enabled": True}})
    (found,) = [item for item in rendering.of_kind("ValidatingAdmissionPolicy") if "status" in item["metadata"]["name"]]
    (rule,) = found["spec"]["matchConstraints"]["resourceRules"]
    assert rule["resources"] == ["hipbmmprofiles/status"]
    account = "system:serviceaccount:hipbmm-system:hipbmm-operator"
    assert found["spec"]["validations"][0]["expression"] == f"request.userInfo.username == '{account}'"
