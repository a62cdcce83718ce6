"""Waiting until a cluster can be used."""

import http.client
import re
import ssl
import time
from collections.abc import Callable
from datetime import datetime

from localkube import provisioner
from localkube.api import CONFLICT, Api, ApiError, Object
from localkube.console import Console
from localkube.errors import LocalkubeError

_STORAGE_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
_POLL_SECONDS = 0.2
_GONE_POLLS = 10
"""A process shows no environment, by which it is found, while it executes another program: that is no end of it."""


def api_ready(api: Api) -> str:
    """Empty when the API server is ready, else what is missing."""
    try:
        api.request("GET", "/readyz", seconds=30)
    except ssl.SSLCertVerificationError as error:
        raise LocalkubeError(f"another server answers at the API server's address: {error}") from error
    except ApiError as error:
        return f"API server: {unready_checks(str(error))}"
    except (OSError, http.client.HTTPException) as error:
        return f"API server: {error}"
    return ""


def unready_checks(text: str) -> str:
    """The names of the failed checks in the answer of /readyz, the answer itself when it has no such lines."""
    failed: list[str] = re.findall(r"^\[-\](\S+)", text, re.MULTILINE)
    if not failed:
        return text
    return failed[0] + (f" and {len(failed) - 1} more" if failed[1:] else "")


def accounts_ready(api: Api) -> str:
    """Empty when the controller manager has made the first service account; pods are refused before."""
    try:
        api.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")
    except (OSError, http.client.HTTPException, ApiError) as error:
        return f"controller manager: {error}"
    return ""


def node_ready(api: Api, name: str, since: float = 0.0) -> str:
    """Empty when the node is Ready, else the kubelet's own message.

    What it said before `since` (seconds of the wall clock) does not count: after a kill -9 the object still says Ready.
    """
    try:
        node = api.request("GET", f"/api/v1/nodes/{name}")
    except (OSError, http.client.HTTPException, ApiError) as error:
        return f"node {name}: {error}"
    condition = ready_condition(node)
    if condition.get("status") == "True":
        return "" if _heartbeat(condition) >= since else f"node {name}: no word from its kubelet yet"
    return f"node {name}: {condition.get('message', 'no Ready condition yet')}"


def ready_condition(node: Object) -> Object:
    """The condition Ready of a Node object, empty when there is none."""
    conditions = node.get("status", {}).get("conditions", [])
    return next((condition for condition in conditions if condition["type"] == "Ready"), {})


def _heartbeat(condition: Object) -> float:
    return datetime.fromisoformat(condition["lastHeartbeatTime"]).timestamp()


def wait(probe: Callable[[], str], seconds: float, alive: Callable[[], bool], console: Console) -> None:
    """Until `probe` says nothing; an error when it takes longer than `seconds` or the processes are gone."""
    started, gone = time.monotonic(), 0
    while missing := probe():
        waited = time.monotonic() - started
        gone = 0 if alive() else gone + 1
        if gone > _GONE_POLLS:
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
