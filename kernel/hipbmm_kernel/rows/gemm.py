"""The values everything else speaks of: problems, linears, rows and vetoes.

AITER's names differ from ours: its CSV calls N `m` and M `n` (facts: gradlib/csrc/hipbsolgemm.cu of ROCm/aiter).
A row's key is kept as the text of its first 18 columns, because that is what AITER compares byte by byte.
"""

from typing import NamedTuple

from hipbmm_kernel.system.shown import shown

HEADER = (
    "preshuffle, use_rowwise, trans_a, trans_b, m, n, k, A_data_type, lda, stride_a, B_data_type, ldb, stride_b, "
    "C_data_type, ldc, stride_c, compute_type, batch_count, algo_index, kernel_name"
)
"""Exactly what AITER writes into an empty file, without the line end."""

COLUMNS = tuple(HEADER.split(", "))
"""The 20 columns of `hip_online_tuning_res.csv`; the first 18 are the key."""

KEY_COLUMNS = 18

FNUZ = "f8_e4m3_fnuz_r"
"""FP8 of gfx942 as AITER prints it."""

OTHER = "<?>"
"""What AITER prints for every type it has no name for; the OCP FP8 of gfx950 is one of them."""

TYPES = ("f32_r", "f16_r", "bf16_r", FNUZ, OTHER)
FP8_TYPES = (FNUZ, OTHER)
FP8_COLUMN = {"e4m3fnuz": FNUZ, "e4m3fn": OTHER}
"""Stack's name of the FP8 type -> AITER's column text."""

MAX_M = 512
"""AITER looks up and tunes only up to this many tokens (`decode_max_n`)."""

MAX_INDEX = 2**31 - 1
"""Largest solution index: AITER reads the column into an int, larger values wrap to other solutions."""

OWN_CHOICE = MAX_INDEX
"""In a veto: what AITER chooses for the problem by itself, which has no index that can be named (it wrote 0). hipBLASLt
numbers its solutions from 1, some 100,000 of them."""

MAX_SIZE = 2**31 - 1
"""Largest M, N or K: AITER keeps them in an int."""

MAX_DIGITS = 10
"""Digits of the largest of both."""

NO_NAME = "-"
"""The kernel name of a served row: AITER never reads that column, and a shorter file is scanned faster."""

NO_NODE = "-"
"""The node of a veto that does not say where it comes from."""
NODE_DIGITS = 12

MIN_US = 0.001
MAX_US = 1e9
"""Bounds of a measured time in microseconds; inside them `repr` never uses an exponent."""


class Problem(NamedTuple):
    """One GEMM to be tuned: `m` tokens, `n` weight rows and `k` weight columns of one rank."""

    m: int
    n: int
    k: int


class Linear(NamedTuple):
    """A linear layer as one rank has it: `n` weight rows, `k` weight columns, and how many `copies` the model has."""

    n: int
    k: int
    bias: bool = False
    name: str = ""
    copies: int = 1


class Row(NamedTuple):
    """One line of AITER's CSV, with what was measured about it.

    `key` is the text of the first 18 columns, `tuned_us` and `default_us` the time of this index and of the
    heuristic's own choice in microseconds (None: not measured), `verified` says that its result was compared with an
    fp32 reference and was right.
    """

    key: str
    algo_index: int
    kernel_name: str = NO_NAME
    tuned_us: float | None = None
    default_us: float | None = None
    verified: bool = False

    @property
    def problem(self) -> Problem:
        """M, N and K of the key. ValueError when the key is not one."""
        return problem_of(self.key)


class Veto(NamedTuple):
    """What a node says against an index of a key, and why: it gave wrong numbers or ended a worker.

    `algo_index` 0 means that no index is known because the problem itself ended its workers: it is not tuned again.
    `node` is 12 hex digits that stand for the machine. One sick machine must not veto for all, so a veto binds the
    others only when a second node says the same (`table`).
    """

    key: str
    algo_index: int
    reason: str
    node: str = NO_NODE


def label(problem: Problem) -> str:
    """A problem in reports and logs."""
    return "M={} N={} K={}".format(*problem)


def key_of(problem: Problem, fp8: str = FNUZ) -> str:
    """The 18 columns that AITER writes for vLLM's FP8 call of `problem`; `fp8` is AITER's name of the FP8 type."""
    m, n, k = problem
    return f"true,true,T,N,{n},{m},{k},{fp8},{k},0,{fp8},{k},0,bf16_r,{n},0,f32_r,1"


def problem_of(key: str) -> Problem:
    """M, N and K of a key of 18 columns. ValueError when it has no such columns."""
    columns = key.split(",")
    if len(columns) != KEY_COLUMNS:
        raise ValueError(f"a key has {KEY_COLUMNS} columns, not {len(columns)}")
    return Problem(m=int(columns[5]), n=int(columns[4]), k=int(columns[6]))


def file_order(key: str) -> tuple[int, int, int, str]:
    """Where a key's line belongs in a delivered file: by M, then AITER's m (N), then k, then its text."""
    columns = key.split(",", 7)
    return (int(columns[5]), int(columns[4]), int(columns[6]), key)


def is_own(key: str) -> bool:
    """Whether `key` is one that vLLM's FP8 call can ask for: all fixed relations of AITER's writer hold and M <= 512.

    Two torn rows can splice into 20 plausible columns; these relations are the only defence against that.
    """
    columns = key.split(",")
    if len(columns) != KEY_COLUMNS or columns[7] not in FP8_TYPES:
        return False
    sizes = columns[4:7]
    if not all(is_size(size) for size in sizes) or int(columns[5]) > MAX_M:
        return False
    n, m, k = (int(size) for size in sizes)
    return key == key_of(Problem(m, n, k), columns[7])


def is_size(text: str) -> bool:
    """Whether `text` is a positive int in plain decimal digits that AITER's `int` holds."""
    if not (text.isascii() and text.isdigit()) or text[0] == "0" or len(text) > MAX_DIGITS:
        return False
    return int(text) <= MAX_SIZE


is_index = is_size
"""Whether a text is a solution index that AITER uses as written: 1 <= index < 2^31, decimal, no leading zero.

0 is what an unset candidate leaves behind, negative ones hide every later row of their key, larger ones wrap.
"""


def is_name(text: str) -> bool:
    """Whether `text` can be a kernel name: printable ASCII without blanks, commas and quotes, not empty."""
    marked = " " in text or "," in text or '"' in text or "'" in text
    return bool(text) and text.isascii() and text.isprintable() and not marked


def is_node(text: str) -> bool:
    """Whether `text` is the name of a machine, or of none."""
    return text == NO_NODE or (len(text) == NODE_DIGITS and not text.strip("0123456789abcdef"))


def is_time(us: float | None) -> bool:
    """Whether `us` is a time in microseconds that a shard can carry, or None."""
    return us is None or MIN_US <= us <= MAX_US


def check_row(row: Row) -> str | None:
    """Why `row` may not be stored or served, or None: the same rules as the strict reader's, for rows made here."""
    if not is_own(row.key):
        return f"not a key of vLLM's FP8 call: {shown(row.key)}"
    if not 1 <= row.algo_index <= MAX_INDEX:
        return f"algo_index {row.algo_index} is not between 1 and {MAX_INDEX}"
    if not is_name(row.kernel_name):
        return "kernel_name is empty or holds a blank, comma, quote or control character"
    if not (is_time(row.tuned_us) and is_time(row.default_us)):
        return f"times must be between {MIN_US} and {MAX_US:.0f} us"
    return None
