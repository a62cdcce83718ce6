"""Waiting until a cluster can be used."""

import http.client
import ssl
import time
from collections.abc import Callable

from localkube import provisioner
from localkube.api import CONFLICT, Api, ApiError, Object
from localkube.console import Console
from localkube.errors import LocalkubeError

_STORAGE_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
_POLL_SECONDS = 0.2


def api_ready(api: Api) -> str:
    """Empty when the API server is ready, else what is missing."""
    try:
        api.request("GET", "/readyz", seconds=3)
    except ssl.SSLCertVerificationError as error:
        raise LocalkubeError(f"another server answers at the API server's address: {error}") from error
    except (OSError, http.client.HTTPException, ApiError) as error:
        return f"API server: {error}"
    return ""


def accounts_ready(api: Api) -> str:
    """Empty when the controller manager has made the first service account; pods are refused before."""
    try:
        api.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")
    except (OSError, http.client.HTTPException, ApiError) as error:
        return f"controller manager: {error}"
    return ""


def node_ready(api: Api, name: str) -> str:
    """Empty when the node is Ready, else the kubelet's own message."""
    try:
        node = api.request("GET", f"/api/v1/nodes/{name}")
    except (OSError, http.client.HTTPException, ApiError) as error:
        return f"node {name}: {error}"
    condition = ready_condition(node)
    if condition.get("status") == "True":
        return ""
    return f"node {name}: {condition.get('message', 'no Ready condition yet')}"


def ready_condition(node: Object) -> Object:
    """The condition Ready of a Node object, empty when there is none."""
    conditions = node.get("status", {}).get("conditions", [])
    return next((condition for condition in conditions if condition["type"] == "Ready"), {})


def wait(probe: Callable[[], str], seconds: float, alive: Callable[[], bool], console: Console) -> None:
    """Until `probe` says nothing; an error when it takes longer than `seconds` or the processes are gone."""
    started = time.monotonic()
    while missing := probe():
        waited = time.monotonic() - started
        if not alive():
            raise LocalkubeError(f"the supervisor has ended while waiting for {missing}")
        if waited > seconds:
            raise LocalkubeError(f"not ready after {seconds:.0f} s: {missing}")
        console.moving(f"waiting for {missing}")
        time.sleep(_POLL_SECONDS)


def ensure_storage_class(api: Api) -> None:
    """Make the default StorageClass unless it is there."""
    try:
        api.request("POST", _STORAGE_CLASSES, provisioner.storage_class())
    except ApiError as error:
        if error.status != CONFLICT:
            raise
