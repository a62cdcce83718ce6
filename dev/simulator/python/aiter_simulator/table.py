"""AITER's tuning table.

./hip_online_tuning_res.csv of the working directory, read on each call and appended to on each miss.

The rules are those of AITER's C++ reader and writer (v0.1.10.post2 to v0.1.20, which never changed them); they are
laxer than any tool should be, and that is the point.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

PATH = "./hip_online_tuning_res.csv"
HEADER = (
    b"preshuffle, use_rowwise, trans_a, trans_b, m, n, k, A_data_type, lda, stride_a, B_data_type, ldb, stride_b, "
    b"C_data_type, ldc, stride_c, compute_type, batch_count, algo_index, kernel_name\n"
)
_COLUMNS = 20
_KEY_COLUMNS = 18
_BLANKS = b" \t\n\v\f\r"
_LONG_MAX, _LONG_MIN = 2**63 - 1, -(2**63)
_LONG_DIGITS = 19
_CHUNK = 1 << 20


def strtol(field: bytes) -> int | None:
    """C's strtol over a whole field, base 10; None when it stops before the field's end.

    Leading white space and one sign are allowed, an empty field is 0 (no digit read, end pointer at the start, which
    is the end of an empty field), and values out of range are clamped.
    """
    if not field:
        return 0
    digits = field.lstrip(_BLANKS)
    sign = -1 if digits[:1] == b"-" else 1
    if digits[:1] in {b"-", b"+"}:
        digits = digits[1:]
    if not digits or digits.strip(b"0123456789"):
        return None
    # Python refuses to parse more than 4300 digits; the clamp makes all values beyond 19 significant digits alike.
    significant = digits.lstrip(b"0") or b"0"
    value = -2 * _LONG_MIN if len(significant) > _LONG_DIGITS else int(significant)
    return max(_LONG_MIN, min(_LONG_MAX, sign * value))


def state() -> str:
    """``with`` when the working directory has a table with more than a header, else ``without``."""
    try:
        return "with" if Path(PATH).stat().st_size > len(HEADER) else "without"
    except OSError:
        return "without"


def lookup(key: tuple[str | int, ...], path: str = PATH) -> int:
    """The index of the first row with this key, as a 32-bit C int (which may be negative: a miss), or -1."""
    wanted = [part.encode() if isinstance(part, str) else part for part in key]
    for line in _lines(path):
        if not line or line[:1] == b"#":
            continue
        columns = line.split(b",")
        if len(columns) != _COLUMNS or not _matches(columns, wanted):
            continue
        index = strtol(columns[_KEY_COLUMNS])
        if index is not None:
            return (index + 2**31) % 2**32 - 2**31
    return -1


def append(key: tuple[str | int, ...], index: int, kernel_name: str, *, cut: int | None = None) -> None:
    """Append a row under flock with one write, the header first when the file is empty.

    Every error is ignored, as AITER does.

    ``cut`` keeps only that many bytes of the text: a disk that filled up in the middle of the write.
    """
    try:
        descriptor = os.open(PATH, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        return
    try:
        row = ",".join(map(str, (*key, index, kernel_name))).encode() + b"\n"
        _append_locked(descriptor, row, cut)
    finally:
        os.close(descriptor)


def _append_locked(descriptor: int, row: bytes, cut: int | None) -> None:
    with contextlib.suppress(OSError):  # AITER ignores flock's result and writes all the same
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        if os.lseek(descriptor, 0, os.SEEK_END) == 0:
            row = HEADER + row
        os.write(descriptor, row if cut is None else row[:cut])
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:
        return  # AITER ignores the result of lseek, write and flock


def _matches(columns: list[bytes], wanted: list[bytes | int]) -> bool:
    for column, value in zip(columns, wanted, strict=False):
        if (strtol(column) if isinstance(value, int) else column) != value:
            return False
    return True


def _lines(path: str) -> Iterator[bytes]:
    """std::getline over the file.

    Split at LF only, the last line may lack it; a file that cannot be opened has no lines.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    rest = b""
    try:
        while chunk := _read(descriptor):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
    finally:
        os.close(descriptor)
    if rest:
        yield rest


def _read(descriptor: int) -> bytes:
    """The next bytes; none for what opens and cannot be read, such as a directory: C++ sees the end of the file."""
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:
        return b""
