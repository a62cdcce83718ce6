"""The MutatingAdmissionPolicies and their bindings, from the table. Pure.

Two policies with the same mutation: for pods that name a profile, and for pods that a profile chooses by labels.
"""

from hipbmm_operator.injection import marks, spelling, table
from hipbmm_operator.injection.expr import Expr
from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json

API_VERSION = "admissionregistration.k8s.io/v1"
_LABELS = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, spelling.LABEL_ADMISSION: spelling.ADMISSION}
LABEL_POLICY = "label"
MATCH_POLICY = "match"


def objects(name: str) -> list[Json]:
    """All four objects. `name` begins their names."""
    return [
        _policy(f"{name}-{LABEL_POLICY}", named(), table.BY_LABEL),
        _binding(f"{name}-{LABEL_POLICY}"),
        _policy(f"{name}-{MATCH_POLICY}", chosen(), table.BY_MATCH),
        _binding(f"{name}-{MATCH_POLICY}"),
    ]


def named() -> Json:
    """The selectors of pods that name a profile."""
    return {"objectSelector": {"matchExpressions": [{"key": spelling.LABEL_PROFILE, "operator": "Exists"}]}}


def chosen() -> Json:
    """The selectors of pods that a profile may choose."""
    return {
        "namespaceSelector": {"matchLabels": {spelling.LABEL_NAMESPACE: "enabled"}},
        "objectSelector": {"matchExpressions": [{"key": spelling.LABEL_PROFILE, "operator": "DoesNotExist"}]},
    }


def _policy(name: str, selectors: Json, mine: Expr) -> Json:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    ready, settled = table.READY, marks.SETTLED
    conditions = (("mine", mine), ("not-skipped", table.NOT_SKIPPED), ("ready", ready), ("unsettled", ~settled))
    return {
        "apiVersion": API_VERSION,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name, "labels": dict(_LABELS)},
        "spec": {
            "paramKind": {"apiVersion": names.API_VERSION, "kind": "HipbmmProfile"},
            "failurePolicy": "Ignore",
            "reinvocationPolicy": "IfNeeded",
            "matchConstraints": {"matchPolicy": "Equivalent", "resourceRules": [rule], **selectors},
            "matchConditions": [{"name": each, "expression": term.cel} for each, term in conditions],
            "variables": [{"name": each, "expression": term.cel} for each, term in table.VARIABLES],
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": table.OPERATIONS.cel}}],
        },
    }


def _binding(name: str) -> Json:
    return {
        "apiVersion": API_VERSION,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name, "labels": dict(_LABELS)},
        "spec": {"policyName": name, "paramRef": {"selector": {}, "parameterNotFoundAction": "Allow"}},
    }
