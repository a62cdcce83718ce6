"""How a process that uses AITER ends: C's exit(1) from a failed CHECK, a segmentation fault, an out-of-memory kill."""

import os
import signal
from typing import NoReturn

from aiter_simulator.cstdio import STDOUT

_SOURCE = "/app/aiter/gradlib/csrc/hipbsolgemm.cu"


def exit_hipblas(status: str, code: int, line: int) -> NoReturn:
    """CHECK_HIPBLAS_ERROR.

    A line on standard error and exit(EXIT_FAILURE); Python's own cleanup and buffers never run.
    """
    _exit(f"hipBLAS error: '{status}'({code}) at {_SOURCE}:{line}\n")


def exit_hip(error: str, code: int, line: int) -> NoReturn:
    """CHECK_HIP_ERROR, the same for HIP."""
    _exit(f"Hip error: '{error}'({code}) at {_SOURCE}:{line}\n")


def segmentation_fault() -> NoReturn:
    """Die by SIGSEGV as a null dereference would, without a handler's say."""
    _die(signal.SIGSEGV)


def killed_for_memory() -> NoReturn:
    """Die by SIGKILL, as the kernel's out-of-memory killer does it."""
    _die(signal.SIGKILL)


def engine_died(message: str) -> NoReturn:
    """The server's end when its engine is lost."""
    _exit(f"ERROR {message}\n")


def memory_fault() -> NoReturn:
    """The ROCm runtime's answer to a kernel that reads where nothing is mapped."""
    STDOUT.flush()
    os.write(2, b"Memory access fault by GPU node-2 on address 0x7f0000000000. Reason: Unknown.\n")
    _die(signal.SIGABRT)


def _exit(message: str) -> NoReturn:
    STDOUT.flush()  # exit() runs C's cleanup, which flushes std::cout, and not Python's
    os.write(2, message.encode())
    os._exit(1)


def _die(number: signal.Signals) -> NoReturn:
    if number is not signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.pause()
    raise AssertionError("a default action of a fatal signal returned")
