"""The objects that make an API server inject: two policies with their bindings, or a webhook's configuration. Pure.

Both do it in two ways with the same selectors: for pods that name a profile, and for pods that a profile chooses.
"""

from hipbmm_operator.injection import marks, spelling, table
from hipbmm_operator.injection.expr import Expr
from hipbmm_operator.kube import kinds, names
from hipbmm_operator.kube.json_text import Json

LABEL, MATCH = "label", "match"
"""The two ways, as they end the names of policies."""
LABEL_PATH, MATCH_PATH = f"/inject/{LABEL}", f"/inject/{MATCH}"
NAME_START = "zz-"
"""Of a webhook's configuration: its name sorts behind those of other injectors (KServe's, Istio's), whose additions are
there."""
SECONDS = 2
"""The API server waits so long for an answer, and then makes the pod without it."""


def policies(name: str) -> list[Json]:
    """All four objects; `name` begins their names."""
    return [
        *_policy(f"{name}-{LABEL}", _named(), table.BY_LABEL),
        *_policy(f"{name}-{MATCH}", _chosen(), table.BY_MATCH),
    ]


def webhook(name: str, service: Json) -> Json:
    """The configuration, for API servers without a MutatingAdmissionPolicy; NAME_START begins `name`.

    `service` names the operator's Service. Whoever makes its certificate sets the CA bundle.
    """
    hooks = [
        _webhook(LABEL, {**service, "path": LABEL_PATH}, _named()),
        _webhook(MATCH, {**service, "path": MATCH_PATH}, _chosen()),
    ]
    return _object("MutatingWebhookConfiguration", name, webhooks=hooks)


def _named() -> Json:
    """The selectors of pods that name a profile."""
    return {"objectSelector": {"matchExpressions": [{"key": spelling.LABEL_PROFILE, "operator": "Exists"}]}}


def _chosen() -> Json:
    """The selectors of pods that a profile may choose."""
    return {
        "namespaceSelector": {"matchLabels": {spelling.LABEL_NAMESPACE: "enabled"}},
        "objectSelector": {"matchExpressions": [{"key": spelling.LABEL_PROFILE, "operator": "DoesNotExist"}]},
    }


def _policy(name: str, selectors: Json, mine: Expr) -> list[Json]:
    """The policy and its binding."""
    ready, settled = table.READY, marks.SETTLED
    conditions = (("mine", mine), ("not-skipped", table.NOT_SKIPPED), ("ready", ready), ("unsettled", ~settled))
    policy: Json = {
        "paramKind": {"apiVersion": kinds.HIPBMM_PROFILE.api_version, "kind": kinds.HIPBMM_PROFILE.kind},
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {"matchPolicy": "Equivalent", "resourceRules": [_rule()], **selectors},
        "matchConditions": [{"name": each, "expression": term.cel} for each, term in conditions],
        "variables": [{"name": each, "expression": term.cel} for each, term in table.VARIABLES],
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": table.OPERATIONS.cel}}],
    }
    binding = {"policyName": name, "paramRef": {"selector": {}, "parameterNotFoundAction": "Allow"}}
    return [
        _object("MutatingAdmissionPolicy", name, spec=policy),
        _object("MutatingAdmissionPolicyBinding", name, spec=binding),
    ]


def _webhook(name: str, service: Json, selectors: Json) -> Json:
    return {
        "name": f"{name}.injection.{names.GROUP}",
        "clientConfig": {"service": service, "caBundle": ""},
        "rules": [{**_rule(), "scope": "*"}],
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "timeoutSeconds": SECONDS,
        "admissionReviewVersions": ["v1"],
        **selectors,
    }


def _rule() -> Json:
    return {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}


def _object(kind: str, name: str, **parts: object) -> Json:
    labels = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, spelling.LABEL_ADMISSION: spelling.ADMISSION}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": metadata, **parts}
