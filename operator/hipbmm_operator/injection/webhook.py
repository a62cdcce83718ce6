"""The MutatingWebhookConfiguration, for API servers without a MutatingAdmissionPolicy. Pure."""

from hipbmm_operator.injection import policy, spelling
from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json

LABEL_PATH = "/inject/label"
MATCH_PATH = "/inject/match"
NAME_START = "zz-"
"""Of a configuration: its name sorts behind those of other injectors (KServe's, Istio's), whose additions are there."""
SECONDS = 2
"""The API server waits so long for an answer, and then makes the pod without it."""


def configuration(name: str, client: Json, certificates: str) -> Json:
    """`client` is a clientConfig without its path, `certificates` a CA bundle in base64; NAME_START begins `name`."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {
            "name": name,
            "labels": {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, spelling.LABEL_ADMISSION: spelling.ADMISSION},
        },
        "webhooks": [
            _webhook("label", _client(client, LABEL_PATH, certificates), policy.named()),
            _webhook("match", _client(client, MATCH_PATH, certificates), policy.chosen()),
        ],
    }


def _client(client: Json, path: str, certificates: str) -> Json:
    if "url" in client:
        return {"url": client["url"] + path, "caBundle": certificates}
    return {"service": {**client["service"], "path": path}, "caBundle": certificates}


def _webhook(name: str, client: Json, selectors: Json) -> Json:
    return {
        "name": f"{name}.injection.{names.GROUP}",
        "clientConfig": client,
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "*"}
        ],
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "timeoutSeconds": SECONDS,
        "admissionReviewVersions": ["v1"],
        **selectors,
    }
