"""The parent of the child that asks the image's vLLM: deadline, memory bound, one retry, and what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel.planner import answer
from hipbmm_kernel.planner.answer import Answer, AnswerInvalid
from hipbmm_kernel.system import json_text, memory, own_program, process
from hipbmm_kernel.system.process_tree import ProcessTree

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

    from hipbmm_kernel.system.clock import Clock
    from hipbmm_kernel.system.stop import Stop

ATTEMPTS = 2
MEMORY_BYTES = 6 << 30
"""Of one child with what it starts; the largest models need 1.1 GiB. Beyond it all of them are ended."""
CONTAINER_SHARE = 0.75
"""Of what a container has left, beyond which the kernel would end this program as well (memory.oom.group)."""
LOG_BYTES = 1 << 20
"""Of a child's log, which is emptied when it has more: a pod's home is of limited size."""
GLANCE_SECONDS = 0.2
END_SECONDS = 10.0
"""For the end of a child that was killed; one inside a call of a driver that hangs cannot end."""
LOG_NAME = "child.log"


class Asked(NamedTuple):
    """What came of asking: the answer, or None and why there is none. `refused`: vLLM itself takes no such server."""

    answer: Answer | None
    reason: str = ""
    refused: bool = False


def ask(
    arguments: Sequence[str], env: Mapping[str, str], directory: str, seconds: float, clock: Clock, stop: Stop
) -> Asked:
    """Ask the image's vLLM about a server with these arguments and this environment, for at most `seconds` in all.

    `directory` is made, used by the children and removed. Never raises: a directory that cannot be made, a child that
    dies, hangs, takes too much memory or answers nonsense is a reason.
    """
    deadline = clock.monotonic() + seconds
    asked = Asked(None, "no time to ask the image")
    for _ in range(ATTEMPTS):
        if clock.monotonic() >= deadline or stop.requested:
            break
        try:
            asked = _attempt(arguments, env, directory, deadline, clock, stop)
        except OSError as error:
            asked = Asked(None, f"the image could not be asked: {type(error).__name__}: {error}"[:400])
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        if asked.answer is not None or asked.refused:
            break
    return asked


def _attempt(
    arguments: Sequence[str], env: Mapping[str, str], directory: str, deadline: float, clock: Clock, stop: Stop
) -> Asked:
    os.makedirs(directory)
    request, reply = f"{directory}/request.json", f"{directory}/answer.json"
    with open(request, "w", encoding="utf-8") as file:
        json.dump({"arguments": list(arguments)}, file)
    # The log is appended to, so that writers go on where it is emptied.
    with open(f"{directory}/{LOG_NAME}", "ab") as log, ProcessTree() as tree:
        child = process.start([*own_program.command("image.child"), request, reply], directory, env, log, log)
        try:
            ended = _wait(child, tree, log.fileno(), deadline, clock, stop)
        finally:
            status = process.end(child, END_SECONDS)
    if ended:
        return Asked(None, ended)
    return _reply(reply, status, process.last_words_in(f"{directory}/{LOG_NAME}"))


def _wait(child: subprocess.Popen[bytes], tree: ProcessTree, fd: int, deadline: float, clock: Clock, stop: Stop) -> str:
    """Wait for the end of a child, whose log is kept short; why it must be ended, "" when it ended by itself."""
    left = memory.left()
    most = MEMORY_BYTES if left is None else min(MEMORY_BYTES, int(left * CONTAINER_SHARE))
    while child.poll() is None:
        if clock.monotonic() >= deadline:
            return "the image's vLLM did not answer in time"
        if stop.requested:
            return "warm was asked to end"
        if tree.memory() > most:
            return f"the image's vLLM took more than {most / (1 << 30):.1f} GiB to answer"
        if os.fstat(fd).st_size > LOG_BYTES:
            os.ftruncate(fd, 0)
        stop.wait(GLANCE_SECONDS)
    return ""


def _reply(path: str, status: int | None, words: str) -> Asked:
    """What a child that has ended left behind."""
    try:
        # A child may have left a pipe in the file's place, for which `open` would wait: it has no data.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            data = file.read(answer.MAX_BYTES + 1) or b""
    except FileNotFoundError:
        return Asked(None, f"the image's vLLM died of {process.ending(status)}: {words}")
    try:
        return Asked(answer.decode(data))
    except AnswerInvalid as invalid:
        reason = f"the image's vLLM gave no answer: {invalid}"
    with contextlib.suppress(ValueError):
        document = json_text.parsed(data)
        for field, what in (("refused", "refuses this server"), ("error", "could not be asked")):
            if isinstance(document, dict) and isinstance(document.get(field), str):
                return Asked(None, f"the image's vLLM {what}: {document[field]}"[:400], refused=field == "refused")
    return Asked(None, reason)
