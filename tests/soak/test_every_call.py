"""Every system call of tuner and harvester on their files fails once, by a tracer: nothing acknowledged is lost.

What tests with a faulty Volume cannot show is shown here: calls that do not go through it, and what the interpreter
makes of an error at its own.
"""

import errno
import itertools
import re
import shutil
from pathlib import Path

import pytest
from tests.kernel.store import crashes

ERRORS = {
    "openat": (errno.EIO, errno.ESTALE, errno.EACCES, errno.ENOENT, errno.ENOSPC),
    "mkdir": (errno.EIO, errno.ENOSPC),
    "mkdirat": (errno.EIO, errno.ENOSPC),
    "write": (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EINTR),
    "fsync": (errno.EIO, errno.ENOSPC, errno.EINVAL),
    "close": (errno.EIO, errno.EDQUOT),
    "read": (errno.EIO, errno.ESTALE, errno.EINTR),
    "pread64": (errno.EIO, errno.ESTALE),
    "newfstatat": (errno.EIO, errno.ESTALE),
    "fstat": (errno.EIO, errno.ESTALE),
    "getdents64": (errno.EIO, errno.ESTALE),
    "unlink": (errno.EIO, errno.EACCES),
    "unlinkat": (errno.EIO, errno.EACCES),
    "rename": (errno.EIO, errno.ENOSPC),
}
LEAST = 800
TRACER = ("strace", "-f", "-y", "--seccomp-bpf", "-qq", "-e")
"""Stops the process at the calls that are named only."""
_CALL = re.compile(r"^(?P<thread>\d+) +(?P<name>\w+)\(")

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def calls_on_files(root: Path) -> dict[str, list[int]]:
    """Which of the calls of its first thread, by name and number, an undisturbed run makes on files below `root`."""
    log = root.with_suffix(".log")
    crashes.run(root.with_suffix(".first"), 0, "before")  # It may write bytecode, which no later run does.
    status, _ = crashes.run(root, 0, "before", [*TRACER, f"trace={','.join(ERRORS)}", "-o", str(log)])
    assert status == 0
    counts = dict.fromkeys(ERRORS, 0)
    found: dict[str, list[int]] = {name: [] for name in ERRORS}
    first = None
    for line in log.read_text(errors="replace").split("\n"):
        call = _CALL.match(line)
        first = first or (call and call["thread"])
        if call is None or call["thread"] != first:
            continue
        counts[call["name"]] += 1
        if str(root) in line:
            found[call["name"]].append(counts[call["name"]])
    return found


@pytest.mark.timeout(3600)
def test_an_error_at_any_call_loses_nothing(tmp_path: Path) -> None:
    hit = 0
    log = tmp_path / "calls"
    for name, numbers in calls_on_files(tmp_path / "undisturbed").items():
        for number, code in itertools.product(numbers, ERRORS[name]):
            root = tmp_path / f"{name}-{number}-{code}"
            fault = f"inject={name}:error={errno.errorcode[code]}:when={number}"
            _, said = crashes.run(root, 0, "before", [*TRACER, f"trace={name}", "-o", str(log), "-e", fault])
            crashes.check_after(root, said)
            shutil.rmtree(root)
            hit += "(INJECTED)" in log.read_text(errors="replace")
    assert hit >= LEAST
