"""A process that has imported torch and forks for each child that asks: the import takes seconds of each life.

A child is a process `client.py` (which the program starts in place of Python, and supervises) and the fork that does
its work here: same arguments, environment, directory and descriptors. When either ends, so does the other, alike.
"""

import array
import contextlib
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from typing import Any

import torch  # noqa: F401 - loaded for the children

MOST_BYTES = 1 << 20
MOST_DESCRIPTORS = 64

Json = dict[str, Any]


class Fork(Exception):  # noqa: N818 - it leads out of the server
    """Raised in a child: leave the server and do what the request says."""

    def __init__(self, request: Json) -> None:
        super().__init__()
        self.request = request


class Server:
    """Forks, and ties each fork to the connection that asked for it."""

    def __init__(self, path: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(64)
        print("ready", flush=True)  # noqa: T201 - for whoever waits to connect
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(0, selectors.EVENT_READ, self._close)
        self._open = True

    def run(self) -> None:
        """Serve until standard input is closed. Raises Fork in each child."""
        while self._open:
            for key, _ in self._selector.select():
                if key.fd in self._selector.get_map():
                    key.data()

    def _close(self) -> None:
        self._open = False

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        descriptors = array.array("i")
        room = socket.CMSG_SPACE(MOST_DESCRIPTORS * descriptors.itemsize)
        data, ancillary, _, _ = connection.recvmsg(MOST_BYTES, room)
        for _, _, content in ancillary:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
        request = json.loads(data)
        child = os.fork()
        if child == 0:
            self._become(request, descriptors.tolist(), connection)
        for descriptor in descriptors:
            os.close(descriptor)
        ended = os.pidfd_open(child)

        def finish() -> None:
            _, status = os.waitpid(child, 0)
            for fileno in (ended, connection.fileno()):
                self._selector.unregister(fileno)
            os.close(ended)
            with contextlib.suppress(OSError):  # the other side may be gone, which is why the child was killed
                connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            connection.close()

        def abandon() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.kill(child, signal.SIGKILL)  # it may not have a group of its own yet
            finish()

        self._selector.register(ended, selectors.EVENT_READ, finish)
        self._selector.register(connection, selectors.EVENT_READ, abandon)

    def _become(self, request: Json, received: list[int], connection: socket.socket) -> None:
        """In the child: the asked session, descriptors, directory and environment, and nothing of the server's."""
        os.setsid()
        self._selector.close()
        self._listener.close()
        connection.close()
        # Out of the way of the numbers that they are to have.
        high = [os.dup2(descriptor, 500 + at) for at, descriptor in enumerate(received)]
        for descriptor in received:
            os.close(descriptor)
        for descriptor, number in zip(high, request["numbers"], strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(request["directory"])
        os.environ.clear()
        os.environ.update(request["environment"])
        raise Fork(request)


def main() -> Json | None:
    """The request to do, in a child; None when the server ends."""
    try:
        Server(sys.argv[1]).run()
    except Fork as fork:
        return fork.request
    return None


REQUEST = main()
if REQUEST is not None:
    sys.path[:0] = REQUEST["environment"].get("PYTHONPATH", "").split(":")
    importlib.import_module("aiter_simulator.torch_shim").install()
    sys.argv = REQUEST["arguments"]
    exec(compile(REQUEST["program"], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - what this is for
