"""AITER's `hip_online_tuning_res.csv`, read strictly and written exactly.

AITER's own reader takes nearly anything: an empty index runs solution 0, a negative one hides every later row of its
key and makes the process tune again on every call, a large one wraps to another solution. So nothing that is not
exactly a row gets through here, and every line that is left out is named with its reason. Source: the reader and
writer of ROCm/aiter (gradlib/csrc/hipbsolgemm.cu), compiled and questioned.

A repaired file never changes meaning: it answers each key with the index of the first line that is exactly a row with
that key, or not at all.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hipbmm_kernel.rows import gemm, line_diagnosis, torn_lines
from hipbmm_kernel.rows.gemm import Row

MAX_BYTES = 256 * 2**20
"""Largest file that is read: years of appends."""

MAX_ROWS = 262_144
"""Most distinct keys that are kept of one file."""

MAX_LINES = 4 * MAX_ROWS
MAX_LINE = 1 << 20
"""Bytes of a line: a thousand rows that lost their line ends."""

MAX_REJECTED = 65_536
"""Most lines of a file that may be no rows: what has more is no table, and to say why of each takes minutes."""

_BOM = "\xef\xbb\xbf"
"""UTF-8's byte order mark as latin-1; `cat` of two files puts one in the middle too."""

_BLANKS = " \t\r\v\f"


class Finding(NamedTuple):
    """A line that is not used, and why; `line` counts from 1."""

    line: int
    reason: str


class Parsed(NamedTuple):
    """What a file holds.

    `accepted` are rows that vLLM's FP8 call can ask for, `foreign` well-formed rows of other callers; their keys are
    unique and in the order of the file. `duplicates` counts lines that repeat a key with the same index, `conflicts`
    are those that repeat it with another one (the first wins, as in AITER), `rejected` those that are not exactly a
    row. `refused` says why the whole file is not used.
    """

    accepted: tuple[Row, ...] = ()
    foreign: tuple[Row, ...] = ()
    duplicates: int = 0
    conflicts: tuple[Finding, ...] = ()
    rejected: tuple[Finding, ...] = ()
    refused: str | None = None


def parse(data: bytes, max_rows: int = MAX_ROWS) -> Parsed:
    """Read a file. Content never raises."""
    refused = f"larger than {MAX_BYTES} bytes" if len(data) > MAX_BYTES else line_diagnosis.file_reason(data)
    return _read(data, max_rows) if refused is None else Parsed(refused=refused)


def parse_lines(data: bytes) -> Parsed:
    """Read a part of a file that begins with a line: each line is judged alone, and nothing refuses the part."""
    return _read(data, None)


def _read(data: bytes, max_rows: int | None) -> Parsed:
    reader = _Reader(data, max_rows)
    for number, raw in enumerate(_lines(data), 1):
        text = raw.decode("latin-1")
        if text.endswith("\n"):
            reader.take(number, text[:-1].removesuffix("\r"), terminated=True)
        else:
            reader.take(number, text, terminated=False)
        if reader.refused is not None:
            return Parsed(refused=reader.refused)
    return reader.parsed()


def _lines(data: bytes) -> Iterator[bytes]:
    """The lines of a file, each with its line end: a list of them would take ten times the file's own size."""
    at = 0
    while at < len(data):
        stop = data.find(b"\n", at) + 1 or len(data)
        yield data[at:stop]
        at = stop


def format_rows(rows: Iterable[Row]) -> bytes:
    """The file AITER would have written for `rows`, in the order given. ValueError when a key comes twice."""
    rows = list(rows)
    if len({row.key for row in rows}) != len(rows):
        keys = [row.key for row in rows]
        raise ValueError(f"two rows for the key {next(key for key in keys if keys.count(key) > 1)}")
    lines = [f"{row[0]},{row[1]},{row[2]}" for row in rows]
    return "\n".join((gemm.HEADER, *lines, "")).encode("ascii")


def repaired(parsed: Parsed) -> bytes:
    """The normalised file of what was read: accepted rows by M, N and K, then the foreign ones."""
    kinds = parsed.accepted, parsed.foreign
    return format_rows(row for rows in kinds for row in sorted(rows, key=lambda row: gemm.file_order(row.key)))


class _Reader:
    def __init__(self, data: bytes, max_rows: int | None) -> None:
        """`max_rows` is the most that a whole file may have; None is a part of one."""
        self._data = data
        self._max_rows = max_rows
        self._accepted: dict[str, Row] = {}
        self._foreign: dict[str, Row] = {}
        self._duplicates = 0
        self._conflicts: list[Finding] = []
        self._rejected: list[Finding] = []
        self._names: frozenset[str] | None = None
        self._signs = False
        self.refused: str | None = None

    def take(self, number: int, text: str, *, terminated: bool) -> None:
        """Take one line without its line end; `terminated` says whether it had one."""
        if self._max_rows is not None and number > MAX_LINES:
            self.refused = f"more than {MAX_LINES} lines"
            return
        if len(text) > MAX_LINE:
            self._reject(number, f"longer than {MAX_LINE} bytes")
            return
        text = text.removeprefix(_BOM)
        if not text.strip(_BLANKS) or text[0] == "#":
            return
        columns = text.split(",")
        if columns[0] not in line_diagnosis.BOOLEANS and self._header(number, columns):
            return
        reason = self._row(number, columns, terminated=terminated)
        if reason is None:
            return
        self._signs = self._signs or line_diagnosis.looks_like_a_row(text)
        # What else writes into such a file leaves other traces than a torn append, and then nothing of it is believed.
        pieces = torn_lines.pieces(text) if text.isprintable() and gemm.COLUMNS[0] not in text else [text]
        if len(pieces) == 1:
            self._reject(number, reason)
            return
        for piece in pieces[:-1]:
            self._piece(number, piece, terminated=False)
        self._piece(number, pieces[-1], terminated=terminated)

    def parsed(self) -> Parsed:
        """Everything that was read. A whole file is refused of which nothing at all looks like a table of rows."""
        if self._max_rows is not None and self._rejected and not (self._signs or self._accepted or self._foreign):
            return Parsed(refused=f"no row and no header of AITER's online tuning: {self._rejected[0].reason}")
        return Parsed(
            tuple(self._accepted.values()),
            tuple(self._foreign.values()),
            self._duplicates,
            tuple(self._conflicts),
            tuple(self._rejected),
        )

    def _header(self, number: int, columns: list[str]) -> bool:
        """Whether the line is one of column names; notes what is wrong with it."""
        reason = line_diagnosis.header_reason(columns)
        if reason is None:
            return False
        if reason == line_diagnosis.PERMUTED and self._max_rows is not None:
            self.refused = f"line {number}: {reason}"
        elif reason:  # no sign of a table of rows: tools of hipBLASLt write such headers, too
            self._reject(number, reason)
        else:
            self._signs = True
        return True

    def _piece(self, number: int, piece: str, *, terminated: bool) -> None:
        reason = self._row(number, piece.split(","), terminated=terminated)
        if reason is not None:
            self._reject(number, f"part of a line that rows share: {reason}")

    def _reject(self, number: int, reason: str) -> None:
        """A line is no row. Of a part of a file not more than so many are named; a whole file is refused for it."""
        if len(self._rejected) < MAX_REJECTED:
            self._rejected.append(Finding(number, reason))
        elif self._max_rows is not None:
            self.refused = f"more than {MAX_REJECTED} lines are no rows, line {number} last: {reason}"

    def _row(self, number: int, columns: list[str], *, terminated: bool) -> str | None:
        """Take one row, or say why the columns are none."""
        if len(columns) != len(gemm.COLUMNS):
            return line_diagnosis.count_reason(columns)
        key = ",".join(columns[: gemm.KEY_COLUMNS])
        index, name = columns[-2:]
        own = gemm.is_own(key)
        if not (own and gemm.is_index(index) and gemm.is_name(name)):
            reason = line_diagnosis.row_reason(columns)
            if reason is not None:
                return reason
        if not terminated and torn_lines.is_cut(name, self._complete_names()):
            return f"no line end, and kernel_name {name[-24:]!r} is cut"
        self._keep(number, self._accepted if own else self._foreign, Row(key, int(index), name))
        return None

    def _keep(self, number: int, rows: dict[str, Row], row: Row) -> None:
        """Keep the first row of a key, as AITER does."""
        held = rows.setdefault(row.key, row)
        if held is row:
            if self._max_rows is not None and len(self._accepted) + len(self._foreign) > self._max_rows:
                self.refused = f"more than {self._max_rows} rows"
        elif held.algo_index == row.algo_index:
            self._duplicates += 1
        else:
            reason = f"algo_index {row.algo_index} for a key that an earlier line gives {held.algo_index}"
            self._conflicts.append(Finding(number, reason))

    def _complete_names(self) -> frozenset[str]:
        if self._names is None:
            self._names = torn_lines.complete_names(_lines(self._data))
        return self._names
