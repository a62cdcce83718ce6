"""A very small HTTP/1.0 server for three paths, in the one thread of the sidecar.

`http.server` would cost a third of the sidecar's memory. Connections are few (a scraper, the kubelet), bounded in
number, size and time, and a slow one never delays the harvest.
"""

import selectors
import socket
from collections.abc import Callable

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


class _Connection:
    def __init__(self, peer: socket.socket, deadline: float) -> None:
        self.peer = peer
        self.deadline = deadline
        self.received = b""
        self.to_send = b""


class HttpServer:
    """Listens on `port` of all addresses, IPv6 included; `answer(path)` is called for each GET."""

    def __init__(self, port: int, clock: Clock, answer: Callable[[str], Answer]) -> None:
        self._clock = clock
        self._answer = answer
        self._selector = selectors.DefaultSelector()
        self._listener = _listen(port)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._connections: dict[socket.socket, _Connection] = {}

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
            ready = self._selector.select(min(left, 1.0) if self._connections else left)
            for key, events in ready:
                if key.data is self:
                    return
                self._turn(key.fileobj, events)
            self._expire()
            if late and not ready:
                return

    def close(self) -> None:
        """Close everything."""
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._selector.close()
        self._listener.close()

    def _turn(self, source: object, events: int) -> None:
        if source is self._listener:
            self._accept()
            return
        connection = self._connections.get(source) if isinstance(source, socket.socket) else None
        if connection is None:
            return
        try:
            if events & selectors.EVENT_READ:
                self._receive(connection)
            elif events & selectors.EVENT_WRITE:
                self._send(connection)
        except OSError:
            self._drop(connection)

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return
        if len(self._connections) >= MAX_CONNECTIONS:
            self._drop(next(iter(self._connections.values())))  # the oldest; one that holds it open must not shut us
        peer.setblocking(False)
        self._connections[peer] = _Connection(peer, self._clock.monotonic() + CONNECTION_SECONDS)
        self._selector.register(peer, selectors.EVENT_READ)

    def _receive(self, connection: _Connection) -> None:
        data = connection.peer.recv(MAX_REQUEST)
        connection.received += data
        if b"\r\n\r\n" in connection.received or b"\n\n" in connection.received:
            connection.to_send = _response(connection.received, self._answer)
            self._selector.modify(connection.peer, selectors.EVENT_WRITE)
        elif not data or len(connection.received) > MAX_REQUEST:
            self._drop(connection)

    def _send(self, connection: _Connection) -> None:
        sent = connection.peer.send(connection.to_send)
        connection.to_send = connection.to_send[sent:]
        if not connection.to_send:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._selector.unregister(connection.peer)
        del self._connections[connection.peer]
        connection.peer.close()

    def _expire(self) -> None:
        now = self._clock.monotonic()
        for connection in [each for each in self._connections.values() if each.deadline <= now]:
            self._drop(connection)


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
