"""The child of the tuner: one process, one GPU, torch and AITER. It may be ended by the library at any call.

It sends hello (what torch sees), ready (the extension exists: any JIT build is over), then answers one task at a time.
What it measured is in its answers; what AITER chose is in the CSV of its working directory, which the parent reads.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hipbmm_kernel.contract.settings import ONLINE_TUNING
from hipbmm_kernel.linear.libraries import loaded_libraries
from hipbmm_kernel.system.process import die_with_parent
from hipbmm_kernel.system.shown import first_line
from hipbmm_kernel.tune import protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from hipbmm_kernel.tune.child.tasks import Tasks
    from hipbmm_kernel.tune.protocol import Message

    Send = Callable[[Message], None]
    Last = Callable[[Message, Send], Message]


def main(arguments: list[str], last: Last | None = None) -> int:
    """Run as `main([parent's pid, descriptor of commands, descriptor of events])`; the exit status is for people.

    `last` does the command of that name.
    """
    parent, commands, events = (int(argument) for argument in arguments)
    die_with_parent(parent)
    os.environ.pop(ONLINE_TUNING, None)  # tasks switch it on for the calls that need it
    # The parent kills a child that closes `events`: it ends with the process, which has said by then why it ends.
    with os.fdopen(commands, "rb") as lines, os.fdopen(events, "wb", closefd=False) as answers:

        def send(message: Message) -> None:
            """Send a message to the parent; OSError when it is gone."""
            answers.write(protocol.encode(message))
            answers.flush()

        tasks = _start(send)
        if tasks is None:
            return 1
        for line in lines:
            send(_answer(tasks, protocol.decode(line), send, last))
    return 0


def _start(send: Send) -> Tasks | None:
    """Import torch and AITER and make the extension. None when that failed, which has been reported to the parent."""
    try:
        from hipbmm_kernel.tune.child.device import Device  # noqa: PLC0415 - imports torch

        device = Device()
        send({"event": protocol.HELLO, **device.description()})
        from hipbmm_kernel.tune.child.tasks import Tasks  # noqa: PLC0415 - imports torch

        tasks = Tasks(device)
    except Exception as error:  # noqa: BLE001 - imports run foreign code: whatever it raises is the reason to report
        send(_failed(error))
        return None
    send({"event": protocol.READY, "libraries": loaded_libraries()})
    return tasks


def _answer(tasks: Tasks, command: Message, send: Send, last: Last | None) -> Message:
    """Do one task. An exception of torch or AITER is an answer; the process goes on."""
    try:
        if last is not None and command["do"] == protocol.LAST:
            tasks.release()
            return {"event": protocol.DONE, **last(command, send)}
        return {"event": protocol.DONE, **tasks.run(command, send)}
    except protocol.MemoryShortError as error:
        return {"event": protocol.SKIPPED, "reason": first_line(error)}
    except Exception as error:  # noqa: BLE001 - torch and AITER raise what they like; the parent decides what it means
        return _failed(error)


def _failed(error: Exception) -> Message:
    return {"event": protocol.FAILED, "error": type(error).__name__, "reason": first_line(error)}
