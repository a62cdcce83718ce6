"""One line of a shard: AITER's 20 columns, then what was measured (rows) or why it is forbidden (vetoes).

One value has exactly one text, so that equal rows of two shards are equal lines. Reading is the hot path of merging a
store, hence `Known`: a key or kernel name is validated once, not once per shard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel import gemm
from hipbmm_kernel.gemm import Row, Veto

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_REASON = 200
WHOLE_PROBLEM = 0
"""The algo_index of a veto without an index: the problem itself ended its workers."""

_AFTER_KEY_OF_ROW = 5
_AFTER_KEY_OF_VETO = 3


class LineError(ValueError):
    """A line, row or veto that may not be stored. The message says which and why."""


class Known:
    """Keys and kernel names that were found valid, so that a store's many repetitions are checked once.

    Values are the strings themselves: every row of a table then shares one string per key.
    """

    __slots__ = ("keys", "names")

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.names: dict[str, str] = {gemm.NO_NAME: gemm.NO_NAME}


def row_line(row: Row) -> str:
    """The text of `row`. LineError when it may not be stored."""
    reason = gemm.check_row(row)
    if reason is not None:
        raise LineError(f"row cannot be stored: {reason}")
    return unchecked_row_line(row)


def unchecked_row_line(row: Row) -> str:
    """The text of a row that is known to be valid; also what ties between equal measurements are broken by."""
    key, index, name, tuned, default, verified = row
    return f"{key},{index},{name},{_time_text(tuned)},{_time_text(default)},{'1' if verified else '0'}"


def veto_line(veto: Veto) -> str:
    """The text of `veto`. LineError when it may not be stored."""
    if not gemm.is_own(veto.key):
        raise LineError(f"veto cannot be stored: not a key of vLLM's FP8 call: {veto.key[:120]}")
    if not WHOLE_PROBLEM <= veto.algo_index <= gemm.MAX_INDEX:
        raise LineError(f"veto cannot be stored: algo_index {veto.algo_index} is out of range")
    if not _is_reason(veto.reason):
        raise LineError("veto cannot be stored: its reason is empty, too long, or holds a comma or control character")
    return f"{veto.key},{veto.algo_index},{gemm.NO_NAME},{veto.reason}"


def rows(texts: Iterable[str], known: Known) -> tuple[Row, ...]:
    """The rows of lines. LineError at the first line that is not exactly what `row_line` writes."""
    keys, names = known.keys, known.names
    found = []
    for text in texts:
        columns = text.rsplit(",", _AFTER_KEY_OF_ROW)
        if len(columns) != _AFTER_KEY_OF_ROW + 1:
            raise LineError(f"not a row: {text[:120]}")
        key = keys.get(columns[0]) or _new_key(columns[0], keys)
        name = names.get(columns[2]) or _new_name(columns[2], names)
        index = columns[1]
        if not gemm.is_index(index):
            raise LineError(f"algo_index {index[:20]!r} is not an index")
        found.append(Row(key, int(index), name, _time(columns[3]), _time(columns[4]), _flag(columns[5])))
    return tuple(found)


def vetoes(texts: Sequence[str], known: Known) -> tuple[Veto, ...]:
    """The vetoes of lines. LineError at the first line that is not exactly what `veto_line` writes."""
    found = []
    for text in texts:
        columns = text.rsplit(",", _AFTER_KEY_OF_VETO)
        if len(columns) != _AFTER_KEY_OF_VETO + 1 or columns[2] != gemm.NO_NAME or not _is_reason(columns[3]):
            raise LineError(f"not a veto: {text[:120]}")
        key = known.keys.get(columns[0]) or _new_key(columns[0], known.keys)
        index = columns[1]
        if index != str(WHOLE_PROBLEM) and not gemm.is_index(index):
            raise LineError(f"algo_index {index[:20]!r} is not an index")
        found.append(Veto(key, int(index), columns[3]))
    return tuple(found)


def _new_key(key: str, keys: dict[str, str]) -> str:
    if not gemm.is_own(key):
        raise LineError(f"not a key of vLLM's FP8 call: {key[:120]}")
    keys[key] = key
    return key


def _new_name(name: str, names: dict[str, str]) -> str:
    if not gemm.is_name(name):
        raise LineError("kernel_name is empty or holds a blank, quote or control character")
    names[name] = name
    return name


def _time_text(us: float | None) -> str:
    return "" if us is None else repr(float(us))


def _time(text: str) -> float | None:
    """A measured time; only the text that `repr` gives is accepted, which excludes nan, signs and Unicode digits."""
    if not text:
        return None
    try:
        us = float(text)
    except ValueError:
        us = 0.0
    if not gemm.MIN_US <= us <= gemm.MAX_US or repr(us) != text:
        raise LineError(f"{text[:20]!r} is not a time in microseconds")
    return us


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise LineError(f"verified is {text[:20]!r}, not 0 or 1")
    return text == "1"


def _is_reason(text: str) -> bool:
    return 0 < len(text) <= MAX_REASON and text.isascii() and text.isprintable() and "," not in text
