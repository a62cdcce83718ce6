"""The served file: the private table that AITER reads on every eager call and appends to.

It is on the pod's own disk and writable: AITER tunes again on every call when it cannot append, and a network file
halves throughput. Only this replica's process ever opens it, so it may be replaced by a rename.
"""

import contextlib
import errno
import os
from collections.abc import Iterable

from hipbmm_kernel.rows import aiter_csv, gemm
from hipbmm_kernel.rows.gemm import Row
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.digest import sha256
from hipbmm_kernel.system.volume import Volume

ROOM = 64 * 1024
"""Bytes that rows learned in production need at least: some 400 of them."""

ASIDE = ".without"
"""What is put behind the name of a table that is suspected of crashing the server."""


def write(volume: Volume, path: str, rows: Iterable[Row]) -> str:
    """Write the served file, or the header alone; `sha256:<hex>` of it. OSError when the pod's own disk refuses it."""
    data = aiter_csv.format_rows(rows)
    volumes.make_directories(volume, os.path.dirname(path))
    volumes.replace_file(volume, path, data)
    return f"sha256:{sha256(data)}"


def repair(volume: Volume, path: str) -> tuple[str, int]:
    """Make the served file exactly what AITER may read again, after a crash may have torn it: what was done, rows.

    Rewritten only when needed: no final line end would glue the next row to the last one and lose both, and a row with
    a negative index would hide every later row of its key. A file that is no table at all is put aside.
    """
    try:
        data = volumes.read_file(volume, path, aiter_csv.MAX_BYTES)
    except FileNotFoundError:
        return "missing", 0
    except OSError as error:
        # A directory, a link, or something larger than any table: AITER must not open it.
        put_aside(volume, path)
        return f"put aside: {volumes.describe(error)}", 0
    parsed = aiter_csv.parse(data)
    if parsed.refused is not None:
        put_aside(volume, path)
        return f"put aside: {parsed.refused}", 0
    rows = [*parsed.accepted, *parsed.foreign]
    if data.endswith(b"\n") and data.startswith(gemm.HEADER.encode("ascii")) and not parsed.rejected:
        return "whole", len(rows)
    volumes.replace_file(volume, path, aiter_csv.format_rows(rows))
    return f"repaired: {len(parsed.rejected)} lines removed", len(rows)


def put_aside(volume: Volume, path: str) -> None:
    """Move the served file, if there is one, out of AITER's sight."""
    with contextlib.suppress(FileNotFoundError):
        volume.rename(path, path + ASIDE)


def check_appendable(path: str) -> None:
    """OSError when AITER could not append to the served file at `path`: it would tune at every call then.

    Where there is none, AITER creates it.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        probe = f"{path}.{os.getpid()}.probe"
        fd = os.open(probe, flags | os.O_CREAT, 0o644)  # one may be left by a start that was killed here
        os.unlink(probe)
    try:
        room = os.fstatvfs(fd)
    finally:
        os.close(fd)
    if room.f_bavail * room.f_frsize < ROOM:
        raise OSError(errno.ENOSPC, f"less than {ROOM} bytes are free", path)
