"""One line of a shard: AITER's 20 columns, then what was measured (rows) or why it is forbidden (vetoes).

Reading is the hot path of merging a store, hence `Known`: a key or kernel name is validated once, not once per shard.
"""

import functools
from collections.abc import Sequence

from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Row, Veto
from hipbmm_kernel.system.shown import shown

MAX_REASON = 200
WHOLE_PROBLEM = 0
"""The algo_index of a veto without an index: the problem itself ended its workers."""

_M_COLUMN = 5
_TOKENS = frozenset(str(m) for m in range(1, gemm.MAX_M + 1))
_FLAGS = {"0": False, "1": True}
_ROW = functools.partial(tuple.__new__, Row)
"""`Row._make` without its frame in Python, which is a tenth of reading a store; zip() guarantees the six columns."""
_AFTER_KEY_OF_ROW = 5
_AFTER_KEY_OF_VETO = 3


class LineError(ValueError):
    """A line, row or veto that may not be stored. The message says which and why."""


class Known:
    """Parts of lines that were found valid, so that a store's many repetitions are checked once.

    `keys` and `names` map a text to itself: every row of a table then shares one string per key. `shapes` holds keys
    without their M, of which a store has few, `indices` the values of texts.
    """

    __slots__ = ("indices", "keys", "names", "shapes")

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.names: dict[str, str] = {gemm.NO_NAME: gemm.NO_NAME}
        self.shapes: set[tuple[str, ...]] = set()
        self.indices: dict[str, int] = {}

    def key(self, text: str) -> str:
        """The key itself. LineError when it is not one that may be stored."""
        *start, m, rest = ("", "", *text.split(",", _M_COLUMN + 1))
        shape = (*start, rest)
        if shape not in self.shapes or m not in _TOKENS:
            if not gemm.is_own(text):
                raise LineError(f"not a key of vLLM's FP8 call: {shown(text)}")
            self.shapes.add(shape)
        self.keys[text] = text
        return text

    def name(self, text: str) -> str:
        """The kernel name itself. LineError when it is none."""
        if not gemm.is_name(text):
            raise LineError("kernel_name is empty or holds a blank, quote or control character")
        self.names[text] = text
        return text

    def index(self, text: str) -> int:
        """The solution index. LineError when AITER would not use it as written."""
        if not gemm.is_index(text):
            raise LineError(f"algo_index {shown(text)} is not an index")
        found = self.indices[text] = int(text)
        return found


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
        raise LineError(f"veto cannot be stored: not a key of vLLM's FP8 call: {shown(veto.key)}")
    if not WHOLE_PROBLEM <= veto.algo_index <= gemm.MAX_INDEX:
        raise LineError(f"veto cannot be stored: algo_index {veto.algo_index} is out of range")
    if not (_is_reason(veto.reason) and gemm.is_node(veto.node)):
        raise LineError("veto cannot be stored: its reason is empty, too long, or holds a comma or control character")
    return f"{veto.key},{veto.algo_index},{veto.node},{veto.reason}"


def rows(texts: Sequence[str], known: Known) -> tuple[Row, ...]:
    """The rows of lines. LineError when one is not a line that `row_line` writes.

    Column by column, because that is where the interpreter is fast: a store of 200,000 rows is read at every start.
    """
    if not texts:
        return ()
    try:
        split = [text.rsplit(",", _AFTER_KEY_OF_ROW) for text in texts]
        keys, indices, names, tuned, default, verified = zip(*split, strict=True)
    except ValueError as error:
        raise LineError(f"a line has not {gemm.KEY_COLUMNS + _AFTER_KEY_OF_ROW} columns") from error
    held_keys, held_names, held_indices = known.keys.get, known.names.get, known.indices.get
    if not _FLAGS.keys() >= set(verified):
        raise LineError("verified is not 0 or 1")
    columns = zip(
        [held_keys(text) or known.key(text) for text in keys],
        [held_indices(text) or known.index(text) for text in indices],
        [held_names(text) or known.name(text) for text in names],
        _times(tuned),
        _times(default),
        map(_FLAGS.__getitem__, verified),
        strict=True,
    )
    return tuple(map(_ROW, columns))


def vetoes(texts: Sequence[str], known: Known) -> tuple[Veto, ...]:
    """The vetoes of lines. LineError at the first line that is not exactly what `veto_line` writes."""
    found = []
    for text in texts:
        columns = text.rsplit(",", _AFTER_KEY_OF_VETO)
        if len(columns) != _AFTER_KEY_OF_VETO + 1 or not (gemm.is_node(columns[2]) and _is_reason(columns[3])):
            raise LineError(f"not a veto: {shown(text)}")
        key = known.key(columns[0])
        index = columns[1]
        if index != str(WHOLE_PROBLEM) and not gemm.is_index(index):
            raise LineError(f"algo_index {shown(index)} is not an index")
        found.append(Veto(key, int(index), columns[3], columns[2]))
    return tuple(found)


def _times(texts: Sequence[str]) -> list[float | None]:
    """Measured times; only plain decimals are taken, which excludes nan, signs, exponents and Unicode digits."""
    digits = "".join(texts).replace(".", "")
    try:
        values = [float(text) if text else None for text in texts]
    except ValueError:
        values = [0.0]
    given = [value for value in values if value is not None]
    if not given:
        return values
    if not (digits.isascii() and digits.isdigit() and gemm.MIN_US <= min(given) <= max(given) <= gemm.MAX_US):
        raise LineError(f"a time is not a plain number of microseconds between {gemm.MIN_US} and {gemm.MAX_US:.0f}")
    return values


def _time_text(us: float | None) -> str:
    return "" if us is None else repr(float(us))


def _is_reason(text: str) -> bool:
    return 0 < len(text) <= MAX_REASON and text.isascii() and text.isprintable() and "," not in text
