"""A small client of the API server: JSON over TLS with a client certificate, standard library only."""

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Object = dict[str, Any]

CONFLICT, GONE, NOT_FOUND = 409, 410, 404
_FIRST_ERROR = 400


class ApiError(Exception):
    """The API server answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """One user's view of one API server."""

    def __init__(self, server: str, pki: Path, user: str) -> None:
        self._host = urlsplit(server).netloc
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(str(pki / f"{user}.crt"), str(pki / f"{user}.key"))

    def request(self, method: str, path: str, body: Object | None = None, seconds: float = 60.0) -> Object:
        """One call. Raises ApiError for a refusal, OSError or http.client.HTTPException when nobody answers."""
        connection = http.client.HTTPSConnection(self._host, context=self._context, timeout=seconds)
        try:
            text, headers = _encode(method, body)
            connection.request(method, path, text, headers)
            response = connection.getresponse()
            return _decode(response.status, response.read())
        finally:
            connection.close()

    def watch(self, path: str, seconds: int) -> Iterator[Object]:
        """The events of a list path until the server ends the watch after `seconds`."""
        connection = http.client.HTTPSConnection(self._host, context=self._context, timeout=seconds + 15)
        try:
            separator = "&" if "?" in path else "?"
            connection.request("GET", f"{path}{separator}watch=1&timeoutSeconds={seconds}")
            response = connection.getresponse()
            if response.status >= _FIRST_ERROR:
                _decode(response.status, response.read())
            while line := response.readline():
                yield json.loads(line)
        finally:
            connection.close()


def _encode(method: str, body: Object | None) -> tuple[str | None, dict[str, str]]:
    if body is None:
        return None, {}
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    return json.dumps(body), {"Content-Type": kind}


def _decode(status: int, text: bytes) -> Object:
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        # /readyz and /healthz answer in plain text.
        value = {"message": text.decode(errors="replace")}
    if status >= _FIRST_ERROR:
        raise ApiError(status, str(value.get("message", value)))
    return value if isinstance(value, dict) else {"items": value}
