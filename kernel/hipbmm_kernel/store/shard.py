"""A shard: an immutable text of rows or vetoes that proves its own completeness.

    #hipbmm-shard v1 key=<16 hex> origin=<pod uid>.<rank> seq=<n> kind=rows token=<12 hex or ->
    #input <name of a shard that this one contains>           (compaction only, any number)
    preshuffle, use_rowwise, ..., kernel_name, tuned_us, default_us, verified
    true,true,T,N,10240,1,5120,...,1,812,Cijk_...,12.5,14.25,1
    #end rows=<lines of data> bytes=<bytes before this line> sha256=<of these bytes>

Every byte but the last line is covered by the hash, and the last line must be exactly the one that the bytes before it
call for: any truncation, flipped bit or hole makes the shard nonexistent. A valid checksum proves nothing about the
writer, so each line is validated as strictly as a line of AITER's CSV (`shard_lines`). A veto has the node that says
so in the column of the kernel's name.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Row, Veto
from hipbmm_kernel.store import shard_lines
from hipbmm_kernel.store.shard_lines import Known, LineError
from hipbmm_kernel.system import digest

MAGIC = "#hipbmm-shard v1"
INPUT = "#input "
MAX_BYTES = 64 * 2**20
"""Largest shard that is read or written: about 100,000 rows with their kernel names."""

BLOCK = 1 << 20
"""Bytes whose lines are taken apart at a time."""

ROWS = "rows"
VETOES = "vetoes"
PLAN, DEMAND = "plan", "demand"
"""Kinds of what a mirror holds beside shards (`frames`), and how their origins begin: nobody's pod has that uid."""
ANY_TOKEN = "-"
"""The token of shards that were published without one."""

MIN_BYTES = 256
"""Less than any shard has: its column header alone is longer."""

SHA_DIGITS = 12

_HEADERS = {
    ROWS: f"{gemm.HEADER}, tuned_us, default_us, verified",
    VETOES: f"{gemm.HEADER}, reason",
}
_KEY, _SHA, _SEQ = "[0-9a-f]{16}", "[0-9a-f]{12}", "0|[1-9][0-9]{0,9}"
_ORIGIN = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_HEAD = re.compile(rf"{MAGIC} key=({_KEY}) origin=({_ORIGIN}) seq=({_SEQ}) kind=([a-z]+) token=({_SHA}|{ANY_TOKEN})")
_NAME = re.compile(rf"{_ORIGIN}\.(?:{_SEQ})\.{_SHA}\.csv")


class ShardError(ValueError):
    """The bytes are no complete shard, or hold something that may not be stored. The message says what."""


class Shard(NamedTuple):
    """A shard's content. `origin` is `<pod uid>.<rank>`, `token` the digest of the retune token (`token_digest`).

    `node` is where vetoes come from that do not say so themselves; it is written with each of them.
    """

    key: str
    origin: str
    seq: int
    kind: str = ROWS
    token: str = ANY_TOKEN
    inputs: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    vetoes: tuple[Veto, ...] = ()
    node: str = gemm.NO_NODE


def claims(shard: Shard) -> Iterator[Veto]:
    """The shard's vetoes, each with the node that says so: its own, or the shard's for those that were made here."""
    for veto in shard.vetoes:
        yield veto if veto.node != gemm.NO_NODE else veto._replace(node=shard.node)


def encode(shard: Shard) -> bytes:
    """The text of `shard`. ShardError when it holds a field, row or veto that may not be stored, or is too large."""
    head = first_line(shard)
    _check(shard)
    try:
        data = [shard_lines.row_line(row) for row in shard.rows]
        data += [shard_lines.veto_line(veto) for veto in claims(shard)]
    except LineError as error:
        raise ShardError(str(error)) from error
    lines = [head, *(INPUT + name for name in shard.inputs), _HEADERS[shard.kind], *data, ""]
    body = "\n".join(lines).encode("ascii")
    if len(body) > MAX_BYTES:
        raise ShardError(f"{len(body)} bytes are more than {MAX_BYTES}")
    return body + trailer(len(body), len(data), digest.sha256(body))


def decode(data: bytes, known: Known | None = None, name: str | None = None) -> Shard:
    """The shard in `data`. ShardError when it is incomplete, changed, or holds a line that may not be stored.

    `known` remembers keys and kernel names that were found valid: pass the same one while reading many shards of one
    store, where the same ones come again and again. With `name`, the file's name must be the one that this content has.
    """
    if len(data) > MAX_BYTES or not data.isascii():
        raise ShardError("not ASCII" if len(data) <= MAX_BYTES else f"more than {MAX_BYTES} bytes")
    end = data.rfind(b"\n", 0, -1) + 1
    lines = _Lines(data, end)
    first = lines.next()
    inputs = []
    header = lines.next()
    while header.startswith(INPUT):
        inputs.append(header[len(INPUT) :])
        header = lines.next()
    sha256 = digest.sha256(memoryview(data)[:end])
    if not end or data[end:] != trailer(end, data.count(b"\n", lines.at, end), sha256):
        raise ShardError("incomplete or changed: the last line is not the trailer of the bytes before it")
    shard = head_of(first)._replace(inputs=tuple(inputs))
    _check(shard)
    if name is not None and name != file_name(shard, sha256):
        raise ShardError("its name is not the one that its content has")
    if header != _HEADERS.get(shard.kind):
        raise ShardError(f"line {len(inputs) + 2} is not the column header of kind {shard.kind}")
    known = Known() if known is None else known
    try:
        if shard.kind == ROWS:
            return shard._replace(rows=tuple(row for texts in lines.blocks() for row in shard_lines.rows(texts, known)))
        return shard._replace(vetoes=tuple(v for texts in lines.blocks() for v in shard_lines.vetoes(texts, known)))
    except LineError as error:
        raise ShardError(str(error)) from error


def inputs_of(data: bytes) -> Iterator[str]:
    """The inputs that a shard names, unproven: for a reader that cannot afford its rows."""
    lines = _Lines(data, len(data))
    lines.next()
    while (line := lines.next()).startswith(INPUT):
        yield line[len(INPUT) :]


class _Lines:
    """The lines of `data` up to `end`: single ones first, then the rest in blocks, so that no second copy is made."""

    def __init__(self, data: bytes, end: int) -> None:
        self._data = data
        self._end = end
        self.at = 0

    def next(self) -> str:
        """The next line without its end; "" when there is none."""
        start, stop = self.at, self._data.find(b"\n", self.at, self._end)
        if stop < 0:
            return ""
        self.at = stop + 1
        return self._data[start:stop].decode("ascii", "replace")

    def blocks(self) -> Iterator[list[str]]:
        """All further lines."""
        while self.at < self._end:
            stop = self._data.rfind(b"\n", self.at, min(self.at + BLOCK, self._end)) + 1
            stop = stop or self._data.find(b"\n", self.at) + 1
            texts = self._data[self.at : stop].decode("ascii").split("\n")
            texts.pop()
            self.at = stop
            yield texts


def name_of(data: bytes) -> str:
    """The file name that the encoded shard `data` has in a store. ShardError when it is not a shard."""
    head = head_of(data[: data.find(b"\n")].decode("ascii", "replace"))
    return file_name(head, digest.sha256(memoryview(data)[: data.rfind(b"\n", 0, -1) + 1]))


def is_name(name: str) -> bool:
    """Whether a shard can have that file name: `<pod uid>.<rank>.<seq>.<first digits of the hash>.csv`."""
    return _NAME.fullmatch(name) is not None


def is_beside(name: str) -> bool:
    """Whether a name of a mirror is that of a plan or of demand, which are no shards and lie among them."""
    return name.startswith(f"{PLAN}.") or is_demand(name)


def is_demand(name: str) -> bool:
    """Whether a name of a mirror is that of demand."""
    return name.startswith(f"{DEMAND}.")


def token_digest(token: str) -> str:
    """What a shard's head says for a retune token: any text of a user becomes 12 hex digits, "" becomes `-`."""
    return digest.sha256(token.encode())[:SHA_DIGITS] if token else ANY_TOKEN


def is_key(text: str) -> bool:
    """Whether `text` is a key: 16 lower-case hex digits."""
    return re.fullmatch(_KEY, text) is not None


def trailer(size: int, data_lines: int, sha256: str) -> bytes:
    """The only last line that is right for `size` bytes with that hash."""
    return f"#end rows={data_lines} bytes={size} sha256={sha256}\n".encode("ascii")


def file_name(head: Shard, sha256: str) -> str:
    """The name of a shard with that hash."""
    return f"{head.origin}.{head.seq}.{sha256[:SHA_DIGITS]}.csv"


def first_line(shard: Shard) -> str:
    """The first line of a shard. ShardError when a field of it may not be stored."""
    line = f"{MAGIC} key={shard.key} origin={shard.origin} seq={shard.seq} kind={shard.kind} token={shard.token}"
    head_of(line)
    return line


def head_of(line: str) -> Shard:
    """The shard, without its content, that has this first line."""
    found = _HEAD.fullmatch(line)
    if found is None:
        fields = "key=<16 hex> origin=<pod uid>.<rank> seq=<number> kind=<kind> token=<12 hex or ->"
        raise ShardError(f"the first line is not {MAGIC} {fields}")
    key, origin, seq, kind, token = found.groups()
    return Shard(key, origin, int(seq), kind, token)


def _check(shard: Shard) -> None:
    """ShardError unless the content is of the shard's kind, and its inputs are names."""
    if shard.kind not in _HEADERS:
        raise ShardError(f"kind is not one of {', '.join(_HEADERS)}")
    if (shard.rows and shard.kind != ROWS) or (shard.vetoes and shard.kind != VETOES):
        raise ShardError(f"kind {shard.kind} with data of another kind")
    if not all(is_name(name) for name in shard.inputs):
        raise ShardError("an input is not the name of a shard")
