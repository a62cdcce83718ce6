"""What a row is valid for. Any difference here is another key, hence another table.

hipBLASLt's solution indices "cannot be reused across library releases or across different device architectures" (its
offline-tuning guide), and AITER's CSV names neither; an index of another build runs another kernel without a check.
"""

from typing import Any, NamedTuple

from hipbmm_kernel.rows import gemm
from hipbmm_kernel.system import digest, json_text
from hipbmm_kernel.system.digest import canonical

VERSION = 1
UNKNOWN = "unknown"
MAX_BYTES = 64 * 1024


class StackError(ValueError):
    """The bytes are no stack.json. The message says why."""


class Stack(NamedTuple):
    """The parts of a key. None (or an empty `databases`) means that it could not be read.

    `features` is what follows the name in gcnArchName (`sramecc+:xnack-`), `partition` the compute partition (SPX),
    `memory_partition` NPS1 and so on, `databases` the sha256 of each TensileLibrary_lazy_<arch> that the process could
    load, sorted, `fp8` e4m3fnuz or e4m3fn, `environment` the set variables that change hipBLASLt's selection, sorted.
    """

    arch: str | None = None
    features: str | None = None
    compute_units: int | None = None
    product: str | None = None
    partition: str | None = None
    memory_partition: str | None = None
    hipblaslt: str | None = None
    databases: tuple[str, ...] = ()
    aiter: str | None = None
    fp8: str | None = None
    rocm: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    simulated: bool = False

    def unknown(self) -> list[str]:
        """Names of mandatory parts that could not be read, as in stack.json."""
        document = self.document()
        return [name for name, value in document.items() if value is None or value == []]

    def document(self) -> dict[str, object]:
        """The stack as it is hashed and written to stack.json."""
        parts = {name: getattr(self, field) for name, field in _PARTS.items()}
        databases, environment = sorted(set(self.databases)), dict(sorted(self.environment))
        return {"v": VERSION, **parts, "databases": databases, "environment": environment}

    def canonical(self) -> bytes:
        """The canonical JSON: sorted keys, no blanks, ASCII."""
        return canonical(self.document())

    @property
    def key(self) -> str:
        """First 16 hex digits of the sha256 of the canonical JSON; `unknown` when a mandatory part is unknown."""
        return UNKNOWN if self.unknown() else digest.sha256(self.canonical())[:16]

    @property
    def fp8_column(self) -> str:
        """AITER's text for this stack's FP8 type. ValueError when the type is unknown."""
        column = gemm.FP8_COLUMN.get(self.fp8 or "")
        if column is None:
            raise ValueError(f"FP8 type {self.fp8!r} has no name in AITER's CSV")
        return column

    def summary(self) -> dict[str, object]:
        """The part that the report of `warm` carries."""
        document = self.document()
        return {name: document[name] for name in _SUMMARY}


def parse(data: bytes) -> Stack:
    """The stack in a stack.json. StackError when it is not the canonical JSON of one."""
    if len(data) > MAX_BYTES:
        raise StackError(f"more than {MAX_BYTES} bytes")
    try:
        document: Any = json_text.parsed(data)
        stack = _from(document)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StackError(f"not a stack: {type(error).__name__}") from error
    if stack.canonical() != data.rstrip(b"\n"):
        raise StackError("not the canonical JSON of a stack of this version")
    return stack


def _from(document: dict[str, Any]) -> Stack:
    """A stack from its document; types are proved afterwards by comparing the canonical text."""
    parts = {field: document[name] for name, field in _PARTS.items()}
    for field, value in parts.items():
        kind = {"compute_units": int, "simulated": bool}.get(field, str)
        if type(value) is not kind and not (value is None and kind is not bool):
            raise TypeError(field)
    databases, environment = document["databases"], document["environment"]
    if not isinstance(databases, list):
        raise TypeError("databases")
    pairs = tuple(sorted((str(name), str(value)) for name, value in environment.items()))
    return Stack(databases=tuple(str(digest) for digest in databases), environment=pairs, **parts)


def json_name(field: str) -> str:
    """`computeUnits` for compute_units."""
    first, *others = field.split("_")
    return first + "".join(map(str.capitalize, others))


_PARTS = {json_name(field): field for field in Stack._fields if field not in ("databases", "environment")}
"""Name in stack.json -> field, of the parts that are one value."""

_SUMMARY = tuple(name for name in _PARTS if name != "features")
