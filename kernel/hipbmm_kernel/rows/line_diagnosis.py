"""Why a line or a whole file is not what AITER's writer wrote, in words that name the cause."""

import re
from collections.abc import Callable, Sequence

from hipbmm_kernel.rows import gemm
from hipbmm_kernel.system.shown import shown

_TAR, _TAR_AT = b"ustar", 257
"""In the header of the first member (tar(5))."""
_FOREIGN_FORMATS = (
    (_TAR, "a tar archive, not text"),
    (b"\x1f\x8b", "gzip data, not text"),
    (b"PK\x03\x04", "a zip archive or spreadsheet, not text"),
    (b"\x28\xb5\x2f\xfd", "zstd data, not text"),
    (b"BZh", "bzip2 data, not text"),
    (b"\xfd7zXZ", "xz data, not text"),
    (b"\x7fELF", "an executable, not text"),
    (b"\xff\xfe", "UTF-16 text: save it as ASCII"),
    (b"\xfe\xff", "UTF-16 text: save it as ASCII"),
    (b"#hipbmm-shard ", "a shard of a store, not AITER's file: see `merge`"),
)
_FOREIGN_TEXTS = (
    (r"versionhttps://git-lfs", "a git-lfs pointer: fetch the file that it stands for"),
    (r"Validator,|\w*TunableOp_", "results of PyTorch TunableOp, whose solutions are for other calls"),
    (r"transA,transB,M,N,batch_count,", "rocBLAS's own override file (ROCBLAS_TENSILE_GEMM_OVERRIDE_PATH)"),
    (r"GitVersion:|transA,transB,", "hipBLASLt's own override file (HIPBLASLT_TUNING_OVERRIDE_FILE)"),
    (r"(?:B,)?M,N,K(?:,|$)|token,model_dim,", "AITER's list of shapes that are to be tuned for other calls"),
    (r"<(?:[!hH]|\?xml)", "HTML or XML, perhaps the answer of a failed download"),
    (r"\{|\[(?:$|[\[{])", "JSON"),
)
"""How the first line of data begins, without blanks, quotes and marks, and with commas between its fields."""
_OTHER_TABLES = frozenset({"cu_num", "kernelId", "solidx", "libtype"})
"""Columns of AITER's tuned tables of other calls (facts: aiter/configs of ROCm/aiter)."""
_HEAD = 4096
_MARKS = str.maketrans("", "", " \"'\r\ufeff")
_SEPARATOR = re.compile(r"[,;\t]")
_ROW_START = re.compile(r"(?:true|false)[,;\t](?:true|false)[,;\t][tn][,;\t][tn][,;\t]")
_CONFLICT_MARKERS = tuple(
    re.compile(b"\n" + text) for text in (b"<<<<<<<", rb"\|\|\|\|\|\|\|", b">>>>>>>", rb"=======\r*(?:\n|\Z)")
)
_SAMPLE = 64
_SHOWN = 40
_MAX_STRIDE_DIGITS = 19

PERMUTED = "the header names the columns in another order, but AITER reads them by position"
BOOLEANS = ("true", "false")
TRANSPOSITIONS = ("T", "N")
_KEY_VOCABULARY: dict[int, tuple[str, ...]] = {0: BOOLEANS, 1: BOOLEANS, 2: TRANSPOSITIONS, 3: TRANSPOSITIONS}
_TYPE_COLUMNS = (7, 10, 13, 16)
_STRIDE_COLUMNS = (9, 12, 15)
_KEY_VOCABULARY.update(dict.fromkeys(_TYPE_COLUMNS, gemm.TYPES))
_M_COLUMN = 5
_BLANKS = " \t\v\f\r"
_SEPARATORS = ((";", "semicolons"), ("\t", "tabs"))
_Causes = tuple[tuple[Callable[[str], bool], str], ...]
_TEXT_CAUSES: _Causes = (
    (lambda text: not text, "is empty"),
    (lambda text: "\0" in text, "has a hole of NUL bytes"),
    (lambda text: '"' in text or "'" in text, "is quoted"),
    (lambda text: " " in text or text != text.strip(_BLANKS), "has a blank in or around it"),
)
_NUMBER_CAUSES: _Causes = (
    *_TEXT_CAUSES,
    (lambda text: text[0] in "+-", "has a sign"),
    (lambda text: text[:2].lower() == "0x", "is hexadecimal"),
    (lambda text: _is_digits(text) and text[0] == "0", "has a leading zero"),
    (lambda text: len(text) > 0 and _is_digits(text), "is too large"),
    (lambda text: text[0].isdigit() and "e" in text.lower(), "is in scientific notation, as a spreadsheet writes it"),
    (lambda text: _is_digits(text.replace(".", "", 1)), "is a decimal fraction, as pandas writes it"),
)


def file_reason(data: bytes) -> str | None:
    """Why the whole file must not be used, or None."""
    columns = _SEPARATOR.split(_head(data))
    if not _OTHER_TABLES.isdisjoint(columns):
        return "another of AITER's tuned tables, for other calls than the one that HIPBMM makes"
    for magic, reason in _FOREIGN_FORMATS:
        if data.startswith(magic, _TAR_AT if magic == _TAR else 0):
            return reason
    for start, reason in _FOREIGN_TEXTS:
        if re.match(start, ",".join(columns)):
            return reason
    if _looks_wide(data[:_SAMPLE]):
        return "UTF-16 text: save it as ASCII"
    if b"\r" in data and b"\n" not in data:
        return "line ends are CR only: AITER sees one line"
    return _conflict_reason(data)


def _head(data: bytes) -> str:
    """The first line that is neither empty nor a comment."""
    lines = data[:_HEAD].decode("utf-8", "replace").translate(_MARKS).split("\n")
    return next((line for line in map(str.strip, lines) if line and line[0] != "#"), "")


def looks_like_a_row(text: str) -> bool:
    """Whether a line that is no row may be a damaged one: it begins as one, or has a row's beginning in it somehow."""
    return text.startswith(BOOLEANS) or _ROW_START.search(text.translate(_MARKS).lower()) is not None


def header_reason(columns: Sequence[str]) -> str | None:
    """What is wrong with a line of column names; "" when it is AITER's header or its harmless variant, else None.

    None: it is not a line of column names. A header in another order is wrong for the whole file, since AITER goes by
    position.
    """
    names = [column.strip(" \t\xef\xbb\xbf\"'") for column in columns]
    if names and names[0] == "bpreshuffle":
        names[0] = "preshuffle"
    if tuple(names) == gemm.COLUMNS:
        return ""
    if sum(name in gemm.COLUMNS for name in names) * 2 <= len(names):
        return None
    if sorted(names) == sorted(gemm.COLUMNS):
        return PERMUTED
    return f"a header of {len(names)} columns that is not AITER's"


def row_reason(columns: Sequence[str]) -> str | None:
    """Why 20 columns are not a row, or None when they are one: of vLLM's FP8 call or of another caller."""
    for number, name in enumerate(gemm.COLUMNS[: gemm.KEY_COLUMNS]):
        reason = _key_column_reason(number, columns[number])
        if reason is not None:
            return f"{name} {reason}"
    if int(columns[_M_COLUMN]) > gemm.MAX_M:
        return f"n (tokens) {columns[_M_COLUMN]} is above {gemm.MAX_M}: AITER never looks it up"
    reason = index_reason(columns[-2])
    if reason is not None:
        return f"algo_index {reason}"
    if not gemm.is_name(columns[-1]):
        otherwise = "holds a control character or one outside ASCII"
        return f"kernel_name {_first_cause(columns[-1], _TEXT_CAUSES, otherwise)}"
    return None


def count_reason(columns: Sequence[str]) -> str:
    """Why a line that has not 20 columns is no row."""
    text = ",".join(columns)
    if "\0" in text:
        cause = "a hole of NUL bytes"
    elif len(columns) < len(gemm.COLUMNS):
        separator = next((name for mark, name in _SEPARATORS if text.count(mark) >= gemm.KEY_COLUMNS), None)
        begins = "cut before the end of the row" if looks_like_a_row(text) else "not the beginning of a row"
        cause = f"separated by {separator}, as a spreadsheet does" if separator else begins
    elif not looks_like_a_row(text):
        cause = "not the beginning of a row"
    elif columns[-1] == "":
        cause = "a trailing comma"
    elif columns[0].isdigit() and columns[1].strip().lower() in BOOLEANS:
        cause = "an extra index column in front, as pandas writes it"
    elif '"' in text:
        cause = "a quoted field that holds a comma"
    else:
        cause = "a kernel_name that holds a comma, or rows glued together"
    return f"{len(columns)} columns instead of {len(gemm.COLUMNS)}: {cause}"


def index_reason(text: str) -> str | None:
    """Why an algo_index must not reach AITER, or None."""
    if gemm.is_index(text):
        return None
    if not text:
        return "is empty: AITER would run solution 0"
    sign, digits = (text[0], text[1:]) if text[0] in "+-" else ("", text)
    if _is_digits(digits):
        if not digits.strip("0"):
            return f"{shown(text, _SHOWN)} is what an unset candidate leaves behind"
        if sign == "-":
            return f"{shown(text, _SHOWN)} is negative: it hides every later row of its key"
        if sign == "" and digits[0] != "0":
            return f"{shown(text, _SHOWN)} is above {gemm.MAX_INDEX}: AITER wraps it to another solution"
    return number_reason(text)


def number_reason(text: str) -> str:
    """Why a text is not a plain decimal number, for one that is not."""
    return _first_cause(text, _NUMBER_CAUSES, "is not a number")


def _first_cause(text: str, causes: _Causes, otherwise: str) -> str:
    return f"{shown(text, _SHOWN)} {next((reason for applies, reason in causes if applies(text)), otherwise)}"


def _key_column_reason(number: int, text: str) -> str | None:
    allowed = _KEY_VOCABULARY.get(number)
    if allowed is not None:
        capital = ((lambda text: text.lower() in allowed, "is capitalised, as a spreadsheet or pandas writes it"),)
        otherwise = f"is not one of {' '.join(allowed)}"
        return None if text in allowed else _first_cause(text, (*_TEXT_CAUSES, *capital), otherwise)
    if number in _STRIDE_COLUMNS:
        plain = _is_digits(text) and len(text) <= _MAX_STRIDE_DIGITS
        return None if plain and (text == "0" or text[0] != "0") else number_reason(text)
    if gemm.is_size(text):
        return None
    return "is 0" if text == "0" else number_reason(text)


def _looks_wide(sample: bytes) -> bool:
    """Whether every other byte is NUL and the rest is not: UTF-16 without a mark. A hole after a crash is all NUL."""
    for odd in (0, 1):
        zeros, texts = sample[odd::2], sample[1 - odd :: 2]
        if len(zeros) > 1 and not zeros.strip(b"\0") and b"\0" not in texts:
            return True
    return False


def _conflict_reason(data: bytes) -> str | None:
    """A reason when a line is a conflict marker of git; the same characters inside a name are none."""
    first = b"\n" + data[: data.find(b"\n") + 1 or None]
    for text, before in ((first, 0), (data, 1)):
        starts = [found.start() for marker in _CONFLICT_MARKERS if (found := marker.search(text))]
        if starts:
            number = text.count(b"\n", 0, min(starts)) + 1 + before
            return f"line {number} is a conflict marker of a version control system"
    return None


def _is_digits(text: str) -> bool:
    """Whether `text` is ASCII digits only; `int` takes Unicode digits and underscores too, which AITER does not."""
    return text.isascii() and text.isdigit()
