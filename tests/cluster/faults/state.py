"""The final state of a namespace without what differs between two equal runs: the oracle of fault tests."""

import copy
from typing import Any

from tests.cluster.api import Api

from hipbmm_operator.kube import kinds

Json = dict[str, Any]

KINDS = (
    kinds.HIPBMM_DEPLOYMENT,
    kinds.DEPLOYMENT,
    kinds.SERVICE,
    kinds.CLAIM,
    kinds.CONTROLLER_REVISION,
    kinds.BUDGET,
)
_METADATA = ("labels", "annotations")
_NODES = {"hardware"}


def of(api: Api, namespace: str) -> Json:
    """Kind and name -> what is the same in every run."""
    found: Json = {}
    for kind in KINDS:
        for body in api.items(kind, namespace):
            found[f"{kind.kind}/{body['metadata']['name']}"] = _essence(kind, body)
    return found


def _essence(kind: kinds.Kind, body: Json) -> Json:
    metadata = body["metadata"]
    kept: Json = {key: metadata.get(key) for key in _METADATA}
    kept["owners"] = [reference["name"] for reference in metadata.get("ownerReferences", [])]
    spec = copy.deepcopy(body.get("spec") or body.get("data") or {})
    for assigned in ("clusterIP", "clusterIPs", "volumeName"):
        spec.pop(assigned, None)
    for port in spec.get("ports", []):
        port.pop("nodePort", None)
    # The hash of an intent covers the owner's uid, and a kube-controller's number of a rollout counts its detours.
    noisy = ("hipbmm.io/intent", "deployment.kubernetes.io/revision", "pv.kubernetes.io", "volume.")
    annotations = kept["annotations"] or {}
    kept["annotations"] = {key: text for key, text in annotations.items() if not key.startswith(noisy)}
    kept["spec"] = spec
    if kind == kinds.HIPBMM_DEPLOYMENT:
        kept["status"] = _status(body.get("status") or {}, metadata["namespace"])
    return kept


def _status(status: Json, namespace: str) -> Json:
    kept = {key: value for key, value in status.items() if key not in _NODES}
    kept["conditions"] = [
        {key: entry[key] for key in ("type", "status", "reason", "observedGeneration")}
        for entry in status.get("conditions", [])
    ]
    if "service" in status:  # its URL names the namespace, and each run has one of its own
        url = str(status["service"].get("url", "")).replace(f".{namespace}.", ".NAMESPACE.")
        kept["service"] = {**status["service"], "url": url}
    return kept


def differences(found: object, expected: object, at: str = "") -> list[str]:
    """Where two states differ, one line each."""
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = sorted({*found, *expected})
        return [line for key in keys for line in differences(found.get(key), expected.get(key), f"{at}.{key}")]
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, f"{at}[{index}]")]
    return [] if found == expected else [f"{at}: {found!r}, not {expected!r}"]
