"""The OpenAI-compatible part of vLLM's HTTP API that a smoke test uses, on http.server's threads."""

import json
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from vllm import __version__
from vllm.engine import Engine, count_tokens
from vllm.log import LOGGER
from vllm.metrics import Metrics

_MAX_BODY = 16 << 20
_DEFAULT_TOKENS = 16
_MAX_TOKENS = 4096


class ApiServer(ThreadingHTTPServer):
    """A server for one engine.

    Idle connections do not hold up its end; Metrics.wait_idle waits for running requests.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], names: tuple[str, ...], engine: Engine, metrics: Metrics) -> None:
        self.names = names
        self.engine = engine
        self.metrics = metrics
        self.started = int(time.time())
        # As vLLM's create_server_socket: an IPv6 address has a socket of its family, and `::` takes IPv4 as well.
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)


class BadRequestError(ValueError):
    """A request body the API refuses."""


class _Handler(BaseHTTPRequestHandler):
    server: ApiServer
    protocol_version = "HTTP/1.1"
    server_version = "uvicorn"

    def do_GET(self) -> None:
        """Health, version, models and metrics."""
        path = self.path.partition("?")[0]
        if path in {"/health", "/ping"}:
            self._send(HTTPStatus.OK, b"", "text/plain")
        elif path == "/metrics":
            self._send(HTTPStatus.OK, self.server.metrics.text().encode(), "text/plain; version=0.0.4; charset=utf-8")
        elif path == "/version":
            self._json(HTTPStatus.OK, {"version": __version__})
        elif path == "/v1/models":
            self._json(HTTPStatus.OK, {"object": "list", "data": [self._model(name) for name in self.server.names]})
        else:
            self._json(HTTPStatus.NOT_FOUND, {"detail": "Not Found"})

    def do_POST(self) -> None:
        """Completions, plain and for chats."""
        routes = {"/v1/completions": _prompt_of_text, "/v1/chat/completions": _prompt_of_chat}
        reader = routes.get(self.path.partition("?")[0])
        if reader is None:
            self._json(HTTPStatus.NOT_FOUND, {"detail": "Not Found"})
            return
        try:
            body = self._body()
            self._complete(body, reader(body), chat=reader is _prompt_of_chat)
        except BadRequestError as error:
            status = HTTPStatus.NOT_FOUND if "does not exist" in str(error) else HTTPStatus.BAD_REQUEST
            self._json(status, {"error": {"message": str(error), "type": "BadRequestError", "code": status.value}})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Access lines, without those of probes and scrapes."""
        if self.path not in {"/health", "/metrics", "/ping"}:
            LOGGER.info('%s - "%s"', self.address_string(), format % args)

    def _complete(self, body: dict[str, Any], prompt: str, *, chat: bool) -> None:
        name = body.get("model", self.server.names[0])
        if name not in self.server.names:
            raise BadRequestError(f"The model `{name}` does not exist.")
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or _DEFAULT_TOKENS
        if not isinstance(limit, int) or not 0 < limit <= _MAX_TOKENS:
            raise BadRequestError(f"max_tokens must be between 1 and {_MAX_TOKENS}, got {limit}.")
        words = self.server.engine.generate(prompt, limit)
        self.server.metrics.request_started()
        sent: list[str] = []
        success = False
        try:
            if body.get("stream"):
                self._stream(name, words, sent, chat=chat)
            else:
                sent.extend(words)
                self._json(HTTPStatus.OK, _answer(name, prompt, sent, chat=chat))
            success = True
        finally:
            self.server.metrics.request_ended(count_tokens(prompt), len(sent), success=success)

    def _stream(self, name: str, words: Iterator[str], sent: list[str], *, chat: bool) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for word in words:
            text = f" {word}" if sent else word
            choice: dict[str, Any] = {"delta": {"content": text}} if chat else {"text": text}
            self._event(json.dumps(_envelope(name, choice | {"index": 0, "finish_reason": None}, chat=chat)))
            sent.append(word)
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: str) -> None:
        line = f"data: {data}\n\n".encode()
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.flush()

    def _body(self) -> dict[str, Any]:
        size = self.headers.get("Content-Length", "")
        if not size.isdigit() or int(size) > _MAX_BODY:
            self.close_connection = True
            raise BadRequestError("a body with a Content-Length of at most 16 MiB is required")
        try:
            body = json.loads(self.rfile.read(int(size)))
        except ValueError as error:
            raise BadRequestError(f"the body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise BadRequestError("the body is not a JSON object")
        return body

    def _model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.server.started, "owned_by": "vllm", "root": name}

    def _json(self, status: HTTPStatus, value: object) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _send(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _prompt_of_text(body: dict[str, Any]) -> str:
    prompt = body.get("prompt")
    if isinstance(prompt, list) and prompt and all(isinstance(item, str) for item in prompt):
        return str(prompt[0])
    if not isinstance(prompt, str):
        raise BadRequestError("prompt must be a string or a list of strings")
    return prompt


def _prompt_of_chat(body: dict[str, Any]) -> str:
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise BadRequestError("messages must be a list of objects")
    return "\n".join(str(message.get("content", "")) for message in messages)


def _answer(name: str, prompt: str, words: list[str], *, chat: bool) -> dict[str, Any]:
    text = " ".join(words)
    choice: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    answer = _envelope(name, choice | {"index": 0, "finish_reason": "length", "logprobs": None}, chat=chat)
    used = count_tokens(prompt)
    counts = {"prompt_tokens": used, "completion_tokens": len(words), "total_tokens": used + len(words)}
    return answer | {"usage": counts}


def _envelope(name: str, choice: dict[str, Any], *, chat: bool) -> dict[str, Any]:
    kind, prefix = ("chat.completion", "chatcmpl") if chat else ("text_completion", "cmpl")
    created = int(time.time())
    return {"id": f"{prefix}-{created}", "object": kind, "created": created, "model": name, "choices": [choice]}
