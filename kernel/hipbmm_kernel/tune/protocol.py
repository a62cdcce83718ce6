"""The messages between parent and child: one JSON object per line, on two pipes of their own.

Not stdin and stdout: AITER prints from C++, block-buffered, and a dying library prints what it likes.
"""

import json
from typing import Any

from hipbmm_kernel.rows.gemm import is_time

MAX_LINE = 1 << 20

Message = dict[str, Any]
"""What one side says to the other; both are of this program."""

HELLO = "hello"
READY = "ready"
DONE = "done"
FAILED = "failed"
SKIPPED = "skipped"
CANDIDATE = "candidate"
RIGHT = "right"

PROBE = "probe"
TUNE = "tune"
VERIFY = "verify"
SEARCH = "search"
LAST = "last"


class MemoryShortError(RuntimeError):
    """The device has not enough free memory for a task; AITER would end the process."""


class ProtocolError(ValueError):
    """The other side said something that is no message."""


def encode(message: Message) -> bytes:
    """One message as a line."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    """The message of a line. ProtocolError when it is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not a message: {line[:80]!r}") from error
    if not isinstance(message, dict):
        raise ProtocolError(f"not a message: {line[:80]!r}")
    return message


def times(value: object) -> list[float]:
    """What of a value in a message is a time: microseconds."""
    return [float(us) for us in value if isinstance(us, float) and us > 0] if isinstance(value, list) else []


def median(found: list[float]) -> float | None:
    """The median in microseconds, to a thousandth; None for no times, or one that no device can have."""
    if not found:
        return None
    import statistics  # noqa: PLC0415 - a start from the store measures nothing, and would pay 4 ms for it

    us = round(statistics.median(found), 3)
    return us if is_time(us) else None
