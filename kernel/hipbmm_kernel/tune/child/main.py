"""The child of the tuner: one process, one GPU, torch and AITER. It may be ended by the library at any call.

It sends hello (what torch sees), ready (the extension exists: any JIT build is over), then answers one task at a time.
What it measured is in its answers; what AITER chose is in the CSV of its working directory, which the parent reads.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from hipbmm_kernel.contract.settings import ONLINE_TUNING
from hipbmm_kernel.system.shown import first_line
from hipbmm_kernel.tune import protocol
from hipbmm_kernel.tune.child.device import MemoryShortError
from hipbmm_kernel.tune.child.lifeline import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hipbmm_kernel.tune.child.tasks import Tasks

    Message = dict[str, object]
    Last = Callable[[Message, Callable[[Message], None]], Message]


class Channel:
    """The two pipes to the parent."""

    def __init__(self, commands: int, events: int) -> None:
        self._commands = commands
        self._events = events

    def send(self, message: dict[str, object]) -> None:
        """Send a message to the parent; OSError when it is gone."""
        data = memoryview(protocol.encode(message))
        while data:
            data = data[os.write(self._events, data) :]

    def receive(self) -> Iterator[dict[str, object]]:
        """The parent's commands until it closes the pipe."""
        lines = protocol.Lines()
        while data := os.read(self._commands, 65536):
            for line in lines.feed(data):
                yield protocol.decode(line)


def main(arguments: list[str], last: Last | None = None) -> int:
    """Run as `main([parent's pid, descriptor of commands, descriptor of events])`; the exit status is for people.

    `last` does the command of that name.
    """
    parent, commands, events = (int(argument) for argument in arguments)
    die_with_parent(parent)
    os.environ.pop(ONLINE_TUNING, None)  # tasks switch it on for the calls that need it
    channel = Channel(commands, events)
    tasks = _start(channel)
    if tasks is None:
        return 1
    for command in channel.receive():
        channel.send(_answer(tasks, command, channel, last))
    return 0


def _start(channel: Channel) -> Tasks | None:
    """Import torch and AITER and make the extension. None when that failed, which has been reported to the parent."""
    try:
        from hipbmm_kernel.tune.child.device import Device, loaded_libraries  # noqa: PLC0415 - imports torch

        device = Device()
        channel.send({"event": protocol.HELLO, **device.description()})
        from hipbmm_kernel.tune.child.tasks import Tasks  # noqa: PLC0415 - imports torch

        tasks = Tasks(device)
    except Exception as error:  # noqa: BLE001 - imports run foreign code: whatever it raises is the reason to report
        channel.send({"event": protocol.FAILED, "id": None, "error": type(error).__name__, "reason": first_line(error)})
        return None
    channel.send({"event": protocol.READY, "libraries": loaded_libraries(), "free": device.free_bytes()})
    return tasks


def _answer(tasks: Tasks, command: dict[str, object], channel: Channel, last: Last | None) -> dict[str, object]:
    """Do one task. An exception of torch or AITER is an answer; the process goes on."""
    try:
        if last is not None and command["do"] == protocol.LAST:
            tasks.release()
            return {"event": protocol.DONE, "id": command["id"], **last(command, channel.send)}
        return {"event": protocol.DONE, "id": command["id"], **tasks.run(command, channel.send)}
    except MemoryShortError as error:
        return {"event": protocol.SKIPPED, "id": command["id"], "reason": first_line(error)}
    except Exception as error:  # noqa: BLE001 - torch and AITER raise what they like; the parent decides what it means
        return {
            "event": protocol.FAILED,
            "id": command["id"],
            "error": type(error).__name__,
            "reason": first_line(error),
        }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
