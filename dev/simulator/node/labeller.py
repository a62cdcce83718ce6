"""Keeps the labels on this node's object, through the API and the pod's service account."""

import json
import os
import ssl
import urllib.request
from pathlib import Path
from typing import Any

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT_S = 10


class Labeller:
    """Labels of one node. Raises OSError (HTTPError among it) when the API cannot be reached or refuses."""

    def __init__(self, node: str, account: Path = _ACCOUNT) -> None:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        bracketed = f"[{host}]" if ":" in host else host
        self._url = f"https://{bracketed}:{port}/api/v1/nodes/{node}"
        self._account = account
        self._context = ssl.create_default_context(cafile=str(account / "ca.crt"))

    def ensure(self, wanted: dict[str, str]) -> bool:
        """Patch what differs; whether anything did."""
        present = self._call("GET", None)["metadata"].get("labels", {})
        different = {key: value for key, value in wanted.items() if present.get(key) != value}
        if different:
            self._call("PATCH", {"metadata": {"labels": different}})
        return bool(different)

    def _call(self, method: str, body: dict[str, Any] | None) -> dict[str, Any]:
        token = (self._account / "token").read_text(encoding="ascii")  # rotated, so read for each call
        request = urllib.request.Request(  # noqa: S310 - the scheme is https above
            self._url,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"},
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=self._context) as response:  # noqa: S310 - same
            answer: dict[str, Any] = json.load(response)
            return answer
