"""A shard: an immutable text of rows or vetoes that proves its own completeness.

    #hipbmm-shard v1 key=<16 hex> origin=<pod uid>.<rank> seq=<n> kind=rows token=<12 hex or ->
    #input <name of a shard that this one contains>           (compaction only, any number)
    preshuffle, use_rowwise, ..., kernel_name, tuned_us, default_us, verified
    true,true,T,N,10240,1,5120,...,1,812,Cijk_...,12.5,14.25,1
    #end rows=<lines of data> bytes=<bytes before this line> sha256=<of these bytes>

Every byte but the last line is covered by the hash, and the last line must be exactly the one that the bytes before it
call for: any truncation, flipped bit or hole makes the shard nonexistent. A valid checksum proves nothing about the
writer, so each line is validated as strictly as a line of AITER's CSV (`shardlines`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel.rows import gemm
from hipbmm_kernel.store import shard_lines
from hipbmm_kernel.store.shard_lines import Known, LineError
from hipbmm_kernel.system import digest

if TYPE_CHECKING:
    from hipbmm_kernel.rows.gemm import Row, Veto

MAGIC = "#hipbmm-shard v1"
INPUT = "#input "
MAX_BYTES = 64 * 2**20
"""Largest shard that is read or written: about 100,000 rows with their kernel names."""

ROWS = "rows"
VETOES = "vetoes"
ANY_TOKEN = "-"
"""The token of shards that were published without one."""

KEY_DIGITS = 16
SHA_DIGITS = 12
MAX_ORIGIN = 128

_HEADERS = {
    ROWS: f"{gemm.HEADER}, tuned_us, default_us, verified",
    VETOES: f"{gemm.HEADER}, reason",
}
_FIELDS = ("key=", "origin=", "seq=", "kind=", "token=")
_HEX = frozenset("0123456789abcdef")
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


class ShardError(ValueError):
    """The bytes are no complete shard, or hold something that may not be stored. The message says what."""


class Shard(NamedTuple):
    """A shard's content. `origin` is `<pod uid>.<rank>`, `token` the digest of the retune token (`token_digest`)."""

    key: str
    origin: str
    seq: int
    kind: str = ROWS
    token: str = ANY_TOKEN
    inputs: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    vetoes: tuple[Veto, ...] = ()


class Name(NamedTuple):
    """What a shard's file name says: its origin, its number there and the first 12 digits of its hash."""

    origin: str
    seq: int
    sha12: str


def encode(shard: Shard) -> bytes:
    """The text of `shard`. ShardError when it holds a field, row or veto that may not be stored, or is too large."""
    _check_head(shard)
    head = f"{MAGIC} key={shard.key} origin={shard.origin} seq={shard.seq} kind={shard.kind} token={shard.token}"
    try:
        data = [shard_lines.row_line(row) for row in shard.rows] or [shard_lines.veto_line(v) for v in shard.vetoes]
    except LineError as error:
        raise ShardError(str(error)) from error
    lines = [head, *(INPUT + name for name in shard.inputs), _HEADERS[shard.kind], *data, ""]
    body = "\n".join(lines).encode("ascii")
    if len(body) > MAX_BYTES:
        raise ShardError(f"{len(body)} bytes are more than {MAX_BYTES}")
    return body + _trailer(body, len(data))


def decode(data: bytes, known: Known | None = None) -> Shard:
    """The shard in `data`. ShardError when it is incomplete, changed, or holds a line that may not be stored.

    `known` remembers keys and kernel names that were found valid: pass the same one while reading many shards of one
    store, where the same ones come again and again.
    """
    body = data[: data.rfind(b"\n", 0, -1) + 1]
    if not body.isascii() or len(data) > MAX_BYTES:
        raise ShardError("not ASCII" if len(data) <= MAX_BYTES else f"more than {MAX_BYTES} bytes")
    lines = body.decode("ascii").split("\n")
    lines.pop()
    inputs_end = 1
    while inputs_end < len(lines) and lines[inputs_end].startswith(INPUT):
        inputs_end += 1
    texts = lines[inputs_end + 1 :]
    if not body or data[len(body) :] != _trailer(body, len(texts)):
        raise ShardError("incomplete or changed: the last line is not the trailer of the bytes before it")
    shard = _head(lines[0])._replace(inputs=tuple(line[len(INPUT) :] for line in lines[1:inputs_end]))
    _check_head(shard)
    if inputs_end >= len(lines) or lines[inputs_end] != _HEADERS[shard.kind]:
        raise ShardError(f"line {inputs_end + 1} is not the column header of kind {shard.kind}")
    known = Known() if known is None else known
    try:
        if shard.kind == ROWS:
            return shard._replace(rows=shard_lines.rows(texts, known))
        return shard._replace(vetoes=shard_lines.vetoes(texts, known))
    except LineError as error:
        raise ShardError(str(error)) from error


def name_of(data: bytes) -> str:
    """The file name that the encoded shard `data` has in a store. ShardError when it is not a shard."""
    end = data.rfind(b"\n", 0, -1) + 1
    first = data[: data.find(b"\n")]
    if not first.isascii():
        raise ShardError("not ASCII")
    head = _head(first.decode("ascii"))
    _check_head(head)
    return f"{head.origin}.{head.seq}.{digest.sha256(data[:end])[:SHA_DIGITS]}.csv"


def parse_name(name: str) -> Name | None:
    """What a file name in `shards/` says, or None when no shard can have that name."""
    parts = name.rsplit(".", 3)
    if len(parts) != len(("origin", "seq", "sha12", "csv")) or parts[3] != "csv":
        return None
    origin, seq, sha12, _ = parts
    if not (_is_origin(origin) and _is_number(seq) and len(sha12) == SHA_DIGITS and _HEX.issuperset(sha12)):
        return None
    return Name(origin, int(seq), sha12)


def token_digest(token: str) -> str:
    """What a shard's head says for a retune token: any text of a user becomes 12 hex digits, "" becomes `-`."""
    return digest.sha256(token.encode())[:SHA_DIGITS] if token else ANY_TOKEN


def is_key(text: str) -> bool:
    """Whether `text` is a key: 16 lower-case hex digits."""
    return len(text) == KEY_DIGITS and _HEX.issuperset(text)


def _trailer(body: bytes, data_lines: int) -> bytes:
    """The only last line that is right for `body`."""
    return f"#end rows={data_lines} bytes={len(body)} sha256={digest.sha256(body)}\n".encode("ascii")


def _head(line: str) -> Shard:
    """The fields of the first line, unchecked but for their names and order."""
    parts = line.split(" ")
    fields = parts[2:]
    if " ".join(parts[:2]) != MAGIC or len(fields) != len(_FIELDS):
        raise ShardError(f"the first line is not {MAGIC} with {len(_FIELDS)} fields")
    values = []
    for label, text in zip(_FIELDS, fields, strict=True):
        if not text.startswith(label):
            raise ShardError(f"the first line has no {label} where it belongs")
        values.append(text[len(label) :])
    key, origin, seq, kind, token = values
    if not _is_number(seq):
        raise ShardError("seq is not a number")
    return Shard(key, origin, int(seq), kind, token)


def _check_head(shard: Shard) -> None:
    """ShardError unless every field of the first lines may be stored."""
    if not is_key(shard.key):
        raise ShardError(f"key is not {KEY_DIGITS} hex digits")
    if not _is_origin(shard.origin):
        raise ShardError("origin is not <pod uid>.<rank> in letters, digits, '-', '_' and '.'")
    if not 0 <= shard.seq < 10**gemm.MAX_DIGITS:
        raise ShardError("seq is negative or too large")
    if shard.kind not in _HEADERS or (shard.vetoes and shard.rows):
        raise ShardError(f"kind is not one of {', '.join(_HEADERS)}")
    if (shard.rows and shard.kind != ROWS) or (shard.vetoes and shard.kind != VETOES):
        raise ShardError(f"kind {shard.kind} with data of another kind")
    if shard.token != ANY_TOKEN and not (len(shard.token) == SHA_DIGITS and _HEX.issuperset(shard.token)):
        raise ShardError("token is not a digest")
    if not all(parse_name(name) for name in shard.inputs):
        raise ShardError("an input is not the name of a shard")


def _is_origin(text: str) -> bool:
    return 0 < len(text) <= MAX_ORIGIN and text[0] not in ".-" and _NAME.issuperset(text)


def _is_number(text: str) -> bool:
    """Whether `text` is a canonical natural number of at most 10 digits."""
    return text == "0" or (text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= gemm.MAX_DIGITS)
