"""A very small HTTP/1.0 server for three paths, in the one thread of the sidecar.

`http.server` would cost a third of the sidecar's memory. Connections are few (a scraper, the kubelet), bounded in
number, size and time, and a slow one never delays the harvest.
"""

import selectors
import socket
from collections.abc import Callable, Iterator

from hipbmm_kernel.system.clock import Clock

MAX_REQUEST = 8192
MAX_CONNECTIONS = 32
CONNECTION_SECONDS = 5.0
BACKLOG = 16
LATE_ROUNDS = 8
"""Of reading and writing what is ready when time is up: a request takes three, and no flood delays the harvest."""

Answer = tuple[int, str, bytes]
"""Status, content type, body."""

_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


class HttpServer:
    """Listens on `port` of all addresses, IPv6 included; `answer(path)` is called for each GET."""

    def __init__(self, port: int, clock: Clock, answer: Callable[[str], Answer]) -> None:
        self._clock = clock
        self._answer = answer
        self._selector = selectors.DefaultSelector()
        self._listener = _listen(port)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._conversations: dict[socket.socket, tuple[Iterator[int], float]] = {}
        """With each peer, and when it is over at the latest."""

    @property
    def port(self) -> int:
        """The port that was bound."""
        return int(self._listener.getsockname()[1])

    def watch(self, descriptor: int) -> None:
        """Let `serve` return when this descriptor becomes readable."""
        self._selector.register(descriptor, selectors.EVENT_READ, self)

    def serve(self, until: float) -> None:
        """Answer requests until the monotonic second `until`, or a watched descriptor becomes readable.

        Those that are here are answered though it has passed.
        """
        late = 0
        while late < LATE_ROUNDS:
            left = max(0.0, until - self._clock.monotonic())
            late += not left
            ready = self._selector.select(min(left, 1.0) if self._conversations else left)
            for key, _ in ready:
                if key.data is self:
                    return
                self._turn(key.fileobj)
            self._expire()
            if late and not ready:
                return

    def close(self) -> None:
        """Close everything."""
        for peer in list(self._conversations):
            self._drop(peer)
        self._selector.close()
        self._listener.close()

    def _turn(self, source: object) -> None:
        if source is self._listener:
            self._accept()
        elif isinstance(source, socket.socket) and source in self._conversations:
            try:
                self._selector.modify(source, next(self._conversations[source][0]))
            except (OSError, StopIteration):
                self._drop(source)

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return
        if len(self._conversations) >= MAX_CONNECTIONS:
            self._drop(next(iter(self._conversations)))  # the oldest; one that holds it open must not shut us
        peer.setblocking(False)
        conversation = _conversation(peer, self._answer)
        self._conversations[peer] = (conversation, self._clock.monotonic() + CONNECTION_SECONDS)
        self._selector.register(peer, next(conversation))

    def _drop(self, peer: socket.socket) -> None:
        self._selector.unregister(peer)
        del self._conversations[peer]
        peer.close()

    def _expire(self) -> None:
        now = self._clock.monotonic()
        for peer in [peer for peer, (_, deadline) in self._conversations.items() if deadline <= now]:
            self._drop(peer)


def _conversation(peer: socket.socket, answer: Callable[[str], Answer]) -> Iterator[int]:
    """Receive a request and send the answer; before each step, the event of the peer that it waits for."""
    request = b""
    while b"\r\n\r\n" not in request and b"\n\n" not in request:
        if len(request) > MAX_REQUEST:
            return
        yield selectors.EVENT_READ
        data = peer.recv(MAX_REQUEST)
        if not data:
            return
        request += data
    left = _response(request, answer)
    while left:
        yield selectors.EVENT_WRITE
        left = left[peer.send(left) :]


def _listen(port: int) -> socket.socket:
    """A listening socket for both families, or for IPv4 alone where the kernel has no IPv6."""
    if socket.has_dualstack_ipv6():
        listener = socket.create_server(("", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
    else:
        listener = socket.create_server(("", port), backlog=BACKLOG)
    listener.setblocking(False)
    return listener


def _response(request: bytes, answer: Callable[[str], Answer]) -> bytes:
    parts = request.split(b"\n", 1)[0].split()
    if len(parts) < len(("GET", "/path")):
        status, kind, body = 400, "text/plain", b"bad request\n"
    elif parts[0] not in (b"GET", b"HEAD"):
        status, kind, body = 405, "text/plain", b"only GET\n"
    else:
        status, kind, body = answer(parts[1].decode("latin-1").split("?", 1)[0])
    lines = (
        f"HTTP/1.0 {status} {_REASONS[status]}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "\r\n",
    )
    return "\r\n".join(lines).encode("latin-1") + (b"" if parts[:1] == [b"HEAD"] else body)
