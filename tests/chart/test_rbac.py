"""The rendered rights are exactly those that the operator says it needs (operator/hipbmm_operator/rbac.yaml)."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.chart.golden import assert_same
from tests.chart.rendering import render
from tests.chart.tools import CHART, ROOT

RULES = CHART / "templates" / "_rules.tpl"
HEAD = "{{/* Rights of the operator, generated from operator/hipbmm_operator/rbac.yaml, which has the reasons. */}}\n"
TITLES = {
    "namespaced": "In the namespaces it manages.",
    "cluster": "Of the cluster, to read only.",
    "own": "In its own namespace.",
    "secrets": "In the namespaces it manages, if rbac.secrets is set.",
    "injection": "In the namespaces it manages, with injection.enabled.",
    "preflight": "There as well, with injection.preflight.",
    "injection_cluster": "Of the cluster, with injection.enabled.",
    "webhook": "In its own namespace, for a webhook whose certificate it makes.",
    "webhook_cluster": "Of the cluster, likewise.",
}
NAMES = {
    "own": '{{ include "hipbmm.fullname" . }}',
    "webhook": '{{ include "hipbmm.fullname" . }}-webhook',
    "webhook_cluster": 'zz-{{ include "hipbmm.injectionName" . }}',
}
NEEDED: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (ROOT / "operator" / "hipbmm_operator" / "rbac.yaml").read_text()
)
Right = tuple[str, str, str, str]


def template() -> str:
    """The named templates of the three parts; the Lease has the release's name."""
    parts = [HEAD]
    for part, title in TITLES.items():
        lines = [line for rule in NEEDED[part] for line in rule_lines(part, rule)]
        body = "\n".join(lines)
        parts.append(f'{{{{/* {title} */}}}}\n{{{{- define "hipbmm.rules.{part}" -}}}}\n{body}\n{{{{- end }}}}\n')
    return "\n".join(parts)


def rule_lines(part: str, rule: dict[str, Any]) -> list[str]:
    names = {"resourceNames": [NAMES[part]]} if "resourceNames" in rule else {}
    fields = {key: rule[key] for key in ("apiGroups", "resources")} | names | {"verbs": rule["verbs"]}
    core = '""'
    shown = [f"{key}: [{', '.join(value or core for value in values)}]" for key, values in fields.items()]
    return [f"- {shown[0]}", *(f"  {line}" for line in shown[1:])]


def test_rules_of_the_chart_are_generated_from_those_of_the_operator() -> None:
    assert_same(RULES, template())


def rights(rules: list[dict[str, Any]]) -> set[Right]:
    """(group, resource, name or "", verb) of rules, however they are grouped."""
    return {
        (group, resource, name, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def granted(kind: str, name: str, **values: Any) -> set[Right]:  # noqa: ANN401 (chart values)
    roles = [role for role in render(values).of_kind(kind) if role["metadata"]["name"] == name]
    return set().union(*(rights(role["rules"]) for role in roles))


def test_cluster_wide_operator_has_one_cluster_role_with_all_rights() -> None:
    found = granted("ClusterRole", "hipbmm-operator.hipbmm-system")
    assert found == rights(NEEDED["cluster"] + NEEDED["namespaced"])
    assert not granted("Role", "hipbmm-operator-manage")


def test_namespaced_operator_has_a_role_in_each_namespace() -> None:
    namespaces = ["team-a", "team-b"]
    rendering = render({"watchNamespaces": namespaces})
    assert granted("ClusterRole", "hipbmm-operator.hipbmm-system", watchNamespaces=namespaces) == rights(
        NEEDED["cluster"]
    )
    roles = [role for role in rendering.of_kind("Role") if role["metadata"]["name"] == "hipbmm-operator-manage"]
    assert [role["metadata"]["namespace"] for role in roles] == namespaces
    for role in roles:
        assert rights(role["rules"]) == rights(NEEDED["namespaced"])
    bindings = [item for item in rendering.of_kind("RoleBinding") if item["metadata"]["namespace"] in namespaces]
    assert len(bindings) == len(namespaces)


@pytest.mark.parametrize("preflight", [True, False])
def test_injection_adds_its_rights_and_no_more(preflight: bool) -> None:
    values = {"injection": {"enabled": True, "preflight": preflight}}
    added = NEEDED["injection"] + NEEDED["injection_cluster"] + (NEEDED["preflight"] if preflight else [])
    found = granted("ClusterRole", "hipbmm-operator.hipbmm-system", **values)
    assert found == rights(NEEDED["cluster"] + NEEDED["namespaced"] + added)
    namespaced = granted("Role", "hipbmm-operator-manage", watchNamespaces=["team-a"], **values)
    wanted = NEEDED["namespaced"] + NEEDED["injection"] + (NEEDED["preflight"] if preflight else [])
    assert namespaced == rights(wanted)


def test_an_operator_that_serves_its_own_namespace_has_all_its_roles() -> None:
    rendering = render({"watchNamespaces": ["hipbmm-system"]})
    names = sorted(role["metadata"]["name"] for role in rendering.of_kind("Role"))
    assert names == ["hipbmm-operator-lease", "hipbmm-operator-manage"]


@pytest.mark.parametrize("release", ["hipbmm-operator", "tuner"])
def test_lease_is_granted_by_the_name_that_the_operator_uses(release: str) -> None:
    rendering = render(release=release)
    (role,) = [item for item in rendering.of_kind("Role") if item["metadata"]["name"].endswith("-lease")]
    environment = {item["name"]: item.get("value") for item in rendering.container["env"]}
    lease = environment["HIPBMM_LEASE_NAME"]
    assert rights(role["rules"]) == {
        (group, resource, lease if name else "", verb) for group, resource, name, verb in rights(NEEDED["own"])
    }


def test_roles_can_be_left_to_somebody_else() -> None:
    rendering = render({"rbac": {"create": False, "userRoles": False}})
    kinds = {item["kind"] for item in rendering.objects}
    assert not kinds & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


def test_users_get_no_right_to_write_the_status() -> None:
    rendering = render({"rbac": {"create": False}})
    for role in rendering.of_kind("ClusterRole"):
        assert not [
            right
            for right in rights(role["rules"])
            if right[1].endswith("/status") and right[3] != "get" and right[3] not in {"list", "watch"}
        ]
        assert {right[0] for right in rights(role["rules"])} == {"hipbmm.io"}
