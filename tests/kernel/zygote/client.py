"""What the program starts instead of Python: a child that lets the zygote do its work, and ends as that work ends.

Arguments are Python's own. Only children that import torch (`-c PROGRAM ROOT PID ...`) go to the zygote.
"""

import array
import json
import os
import signal
import socket
import sys
from pathlib import Path

STATUS_BYTES = 16


def main() -> None:
    """Run a child in the zygote; anything else by the real Python."""
    arguments = sys.argv[1:]
    if len(arguments) < 4 or arguments[0] != "-c" or not arguments[3].isdigit():
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - it becomes that Python
    program, root, parent, *rest = arguments[1:]
    if int(parent):
        sys.path.insert(0, root)
        from hipbmm_kernel.system.process import die_with_parent  # noqa: PLC0415 - from the root that was given

        die_with_parent(int(parent))
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(os.environ["ZYGOTE_ADDRESS"])
    found = (int(path.name) for path in Path("/proc/self/fd").iterdir() if path.exists())
    numbers = sorted(number for number in found if number != connection.fileno())
    parent = os.environ["ZYGOTE_PID"] if int(parent) else parent
    request = {
        "program": program,
        "arguments": ["-c", root, parent, *rest],
        "environment": dict(os.environ),
        "directory": str(Path.cwd()),
        "numbers": numbers,
    }
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", numbers))]
    connection.sendmsg([json.dumps(request).encode()], rights)
    # The descriptors stay open here as well: whoever waits for their end sees it when this process ends.
    status = int(connection.recv(STATUS_BYTES) or b"1")
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


main()
