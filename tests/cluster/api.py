"""A plain client for tests, by dictionaries; independent of the operator's own."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from kubernetes import client
from kubernetes.config import load_kube_config

from hipbmm_operator.kube.kinds import Kind

Json = dict[str, Any]
T = TypeVar("T")

WAIT_SECONDS = 400.0
"""The garbage collector may stand still for five minutes on a busy machine, after CRDs have come or gone."""
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


class ApiStatusError(Exception):
    """The API server's refusal."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(f"{status} {body.get('reason')}: {body.get('message')}")
        self.status = status
        self.reason = str(body.get("reason"))
        self.message = str(body.get("message"))


class Api:
    """One API server as one user."""

    def __init__(self, kubeconfig: Path) -> None:
        configuration = client.Configuration()
        load_kube_config(str(kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call]
        self._client = client.ApiClient(configuration)

    def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Json | None = None,
        content: str = "application/json",
    ) -> Json:
        """One request; raises ApiStatusError."""
        status, text = self._text(method, path, body, query, content)
        if status >= 400:
            raise ApiStatusError(status, _refusal(text))
        parsed: Json = json.loads(text)
        return parsed

    def sample(self, name: str) -> float:
        """Sum of the API server's own metric of this name, labels as printed; 0 when it is not there."""
        lines = self._text("GET", "/metrics", None, None)[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def _lines(self, method: str, path: str, query: Json) -> list[Json]:
        return [json.loads(line) for line in self._text(method, path, None, query)[1].splitlines()]

    def _text(
        self, method: str, path: str, body: Json | None, query: Json | None, content: str = "application/json"
    ) -> tuple[int, str]:
        _, url, headers, _, _ = self._client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json", "Content-Type": content},
            auth_settings=["BearerToken"],
        )
        answer = self._client.call_api(method, url, headers, body, _request_timeout=120)
        answer.read()  # type: ignore[no-untyped-call]
        return answer.status, str(answer.data, "utf-8")  # type: ignore[call-overload]  # typed as None before it is read

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        return self.request("GET", kind.path(namespace, name))

    def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        try:
            return self.get(kind, namespace, name)
        except ApiStatusError as error:
            if error.status == 404:
                return None
            raise

    def items(self, kind: Kind, namespace: str = "", selector: str = "") -> list[Json]:
        answer = self.request("GET", kind.path(namespace), query={"labelSelector": selector} if selector else None)
        return list(answer["items"])

    def watch(self, path: str, version: str, seconds: int = 2) -> list[Json]:
        """The states of objects after this version, as far as they are known now."""
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(seconds)}
        return [event["object"] for event in self._lines("GET", path, query)]

    def create(self, kind: Kind, body: Json) -> Json:
        return self.request("POST", kind.path(body["metadata"].get("namespace", "")), body)

    def merge(self, kind: Kind, namespace: str, name: str, patch: Json, subresource: str = "") -> Json:
        return self.request("PATCH", kind.path(namespace, name, subresource), patch, content=_MERGE)

    def apply(self, kind: Kind, body: Json, manager: str = "test") -> Json:
        metadata = body["metadata"]
        path = kind.path(metadata.get("namespace", ""), metadata["name"])
        return self.request("PATCH", path, body, {"fieldManager": manager, "force": "true"}, _APPLY)

    def delete(self, kind: Kind, namespace: str, name: str, grace: int | None = None) -> None:
        body = {} if grace is None else {"gracePeriodSeconds": grace}
        try:
            self.request("DELETE", kind.path(namespace, name), body)
        except ApiStatusError as error:
            if error.status not in (404, 409):
                raise


def _refusal(text: str) -> Json:
    """The Status of a refusal. A server that is busy or stops answers with a plain line."""
    try:
        return dict(json.loads(text))
    except ValueError:
        return {"message": text}


def is_established(crd: Json) -> bool:
    """Whether a CRD is served. It has no conditions at first."""
    conditions = (crd.get("status") or {}).get("conditions") or []
    return any((entry["type"], entry["status"]) == ("Established", "True") for entry in conditions)


def until(what: str, ask: Callable[[], T | None], seconds: float = WAIT_SECONDS) -> T:
    """The first answer that is not None (or False); fails after so long, naming what it waited for."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}; last answer: {answer!r}")
        time.sleep(0.1)
