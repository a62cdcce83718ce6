"""AITER's own reader, retold from what its compiled code answered, and nothing of ours: the referee of these tests."""

from __future__ import annotations

import re

_NUMBER = re.compile(rb"[ \t\n\v\f\r]*[+-]?[0-9]+")
_NUMERIC = (4, 5, 6, 8, 9, 11, 12, 14, 15, 17)
_COLUMNS = 20
_INDEX = 18
_EXACT = re.compile(
    rb"(?:true|false),(?:true|false),[TN],[TN],"
    rb"[1-9][0-9]*,[1-9][0-9]*,[1-9][0-9]*,"
    rb"(?:T),[1-9][0-9]*,(?:0|[1-9][0-9]*),(?:T),[1-9][0-9]*,(?:0|[1-9][0-9]*),"
    rb"(?:T),[1-9][0-9]*,(?:0|[1-9][0-9]*),(?:T),[1-9][0-9]*,([1-9][0-9]*),[!-~]+".replace(
        b"(?:T)", rb"(?:f32_r|f16_r|bf16_r|f8_e4m3_fnuz_r|<\?>)"
    )
)


def _long(field: bytes) -> int | None:
    """Strtol on a whole field: leading blanks and a sign, nothing behind; an empty field is 0."""
    if field == b"":
        return 0
    if not _NUMBER.fullmatch(field):
        return None
    value = int(field)
    return max(-(2**63), min(2**63 - 1, value))


def _row(line: bytes) -> tuple[tuple[bytes | int, ...], int] | None:
    """Key and index of a line, None when AITER passes it over."""
    if line == b"" or line[:1] == b"#":
        return None
    fields = line.split(b",")
    if len(fields) != _COLUMNS or fields[0] not in (b"true", b"false") or fields[1] not in (b"true", b"false"):
        return None
    key: list[bytes | int] = list(fields[:_INDEX])
    for number in _NUMERIC:
        value = _long(fields[number])
        if value is None:
            return None
        key[number] = value
    index = _long(fields[_INDEX])
    if index is None:
        return None
    wrapped = (index + 2**31) % 2**32 - 2**31
    return tuple(key), wrapped


def table(data: bytes) -> dict[tuple[bytes | int, ...], int]:
    """What AITER answers for every key of a file: the first line of a key hides all later ones."""
    answers: dict[tuple[bytes | int, ...], int] = {}
    for line in data.split(b"\n"):
        row = _row(line)
        if row is not None:
            answers.setdefault(*row)
    return answers


def exact(data: bytes) -> dict[tuple[bytes | int, ...], int]:
    """The index of the first line of each key that the writer could have written and that may be used."""
    answers: dict[tuple[bytes | int, ...], int] = {}
    for raw in data.split(b"\n"):
        line = raw.removesuffix(b"\r")
        match = _EXACT.fullmatch(line)
        row = _row(line)
        if match is None or row is None or b'"' in line or b"'" in line or line.count(b",") != _COLUMNS - 1:
            continue
        if int(match[1]) < 2**31 and 1 <= int(row[0][5]) <= 512:
            answers.setdefault(*row)
    return answers
