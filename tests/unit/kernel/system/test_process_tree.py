"""All that a child starts is found, and ends; what this process has besides is left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hipbmm_kernel.system.process_tree import ProcessTree

DAEMON = """
import os, sys, threading
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        held = bytearray(64 << 20)
        print(os.getpid(), flush=True)
        threading.Event().wait()
    os._exit(0)
os._exit(0)
"""
# It ends by itself: a run of the tests that is killed would leave it behind, and nobody finds it.
SPRINGS = """
import os, time
print(os.getpid(), flush=True)
end = time.monotonic() + 60
while time.monotonic() < end:
    if os.fork(): os._exit(0)
    os.setsid()
"""
WAITS = "import threading; print(0, flush=True); threading.Event().wait()"


def start(code: str) -> tuple[subprocess.Popen[str], int]:
    """A process, and the number that it or one of its own writes."""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        return child, int(child.stdout.readline())


def test_a_daemon_counts_and_ends_and_a_child_from_before_lives() -> None:
    other, _ = start(WAITS)
    with ProcessTree() as tree:
        child, daemon = start(DAEMON)
        assert child.wait() == 0
        assert tree.memory() > 64 << 20
        assert other.pid not in tree._members()
    assert tree.memory() == 0
    assert not Path(f"/proc/{daemon}").exists()
    assert other.poll() is None
    other.kill()
    other.wait()


def test_one_that_becomes_another_all_the_time_ends() -> None:
    with ProcessTree() as tree:
        child, _ = start(SPRINGS)
        child.wait()
    assert tree.memory() == 0
