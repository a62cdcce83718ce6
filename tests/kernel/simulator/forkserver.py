"""Runs programs in children of one process that has torch and the stand-in of AITER loaded, each for a fresh device.

Reads a JSON line {"program", "directory", "env", "seconds"} from standard input for each child; answers with {"code"}:
the child's return code as subprocess counts it, or "timeout". A child's output is in files `stdout` and `stderr` of its
directory.
"""

import json
import os
import signal
import sys
import time

import aiter  # noqa: A004, F401 - loaded for the children
import torch  # noqa: F401 - same


def serve() -> str | None:
    """The program to run, in a child; None in the parent when there are no more requests."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            become(request)
            return str(request["program"])
        print(json.dumps({"code": wait(child, request["seconds"])}), flush=True)  # noqa: T201 - the answer
    return None


def become(request: dict[str, object]) -> None:
    """Take over the directory, the environment and the output files of a request."""
    os.chdir(str(request["directory"]))
    environment = request["env"]
    assert isinstance(environment, dict)
    os.environ.update(environment)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(target, descriptor)
        os.close(target)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)


def wait(child: int, seconds: float) -> int | str:
    """The child's return code, or "timeout" after it was killed."""
    deadline = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "timeout"
        time.sleep(0.005)


PROGRAM = serve()
if PROGRAM is not None:
    exec(compile(PROGRAM, "program", "exec"), {"__name__": "__main__"})  # noqa: S102 - what this module is for
