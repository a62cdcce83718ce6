"""The admission policy as rendered; what it does is shown on a real API server in test_apiserver.py."""

from __future__ import annotations

from tests.chart.rendering import render


def test_policy_is_on_by_default_and_bound() -> None:
    rendering = render()
    policy, binding = (rendering.only(f"ValidatingAdmissionPolicy{part}") for part in ("", "Binding"))
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert binding["spec"]["validationActions"] == ["Deny"]
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert "matchResources" not in binding["spec"]


def test_policy_sees_specs_only_and_never_status_or_scale() -> None:
    (rule,) = render().only("ValidatingAdmissionPolicy")["spec"]["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["operations"]) == (["hipbmmdeployments"], ["CREATE", "UPDATE"])


def test_policy_guards_only_the_namespaces_of_a_namespaced_operator() -> None:
    binding = render({"watchNamespaces": ["a", "b"]}).only("ValidatingAdmissionPolicyBinding")
    (expression,) = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert expression == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b"]}


def test_policy_can_be_switched_off() -> None:
    rendering = render({"admissionPolicy": {"enabled": False}})
    assert not [item for item in rendering.objects if item["kind"].startswith("ValidatingAdmissionPolicy")]
