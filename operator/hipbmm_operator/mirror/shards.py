"""Shards as the operator takes them from logs and ConfigMaps, which anybody may have written. Pure.

The format is docs/pod-contract.md's. What is not exactly a whole shard of that name does not exist; the rows in it are
checked once more, column by column, by the program that reads them in the pod.
"""

import base64
import binascii
import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from hipbmm_operator.pods.report import SHARD_NAME

MAX_TEXT_BYTES = 8 * 2**20
"""Of one shard, unpacked: 8192 rows with their kernel names have 4 MB."""
MAX_PACKED_BYTES = 900_000
"""Of all shards of a mirror: a ConfigMap holds 1 MiB, its metadata and base64 aside."""
MAX_PIECES = 400
MAX_NAMES = 64
"""Shards of one log that are read."""
MAX_INPUTS = 1024
MAX_LINE = 1024

_PIECE = re.compile(r"^hipbmm-shard (\S{1,200}) ([1-9][0-9]{0,3})/([1-9][0-9]{0,3}) ([A-Za-z0-9+/]{1,4096}={0,2})$")
_HEAD = re.compile(
    r"^#hipbmm-shard v1 key=[0-9a-f]{16} origin=(?P<origin>[A-Za-z0-9_.-]{1,128})"
    r" seq=(?P<seq>[0-9]{1,10}) kind=(?P<kind>rows|vetoes|plan|demand) token=(?:[0-9a-f]{12}|-)$"
)
_INPUT = "#input "
_LINE = re.compile(r"^[\x20-\x7e]+$")
_COLUMNS = {"rows": 23, "vetoes": 21, "plan": 1, "demand": 5}
"""AITER's 20 columns and three measurements; its 18 of the key, the index, a name and a reason; a plan is base64; M, N,
K, bias and calls."""
_DEMAND = "demand."
_MAX_DEMAND_LINES = 256


class ShardError(ValueError):
    """The bytes are not the whole shard of that name; the message says why."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A checked shard. `packed` is its gzip, the same bytes for the same text."""

    name: str
    inputs: tuple[str, ...]
    packed: bytes


def in_log(log: str, wanted: Iterable[str]) -> tuple[list[Shard], list[str]]:
    """The shards of these names in a log, and what is wrong with those that are missing or damaged."""
    names = frozenset(list(wanted)[:MAX_NAMES])
    pieces = _pieces(log, lambda name: name in names)
    shards, problems = [], []
    for name in sorted(names):
        try:
            shards.append(_assembled(name, *pieces.get(name, ({}, 0))))
        except ShardError as error:
            problems.append(f"{name}: {error}")
    return shards, problems


def newest_in_log(log: str, of: Iterable[str]) -> list[Shard]:
    """The newest whole shard of each of these origins in a log."""
    origins = frozenset(of)
    pieces = _pieces(log, lambda name: origin(name) in origins)
    found: dict[str, Shard] = {}
    for name in sorted(pieces, key=number, reverse=True)[:MAX_NAMES]:
        if origin(name) not in found:
            with suppress(ShardError):
                found[origin(name)] = _assembled(name, *pieces[name])
    return list(found.values())


def of_sidecar(pod_uid: str) -> tuple[str, str]:
    """The origins of what the sidecar of a pod writes: rows, and demand."""
    return f"{pod_uid}.mirror", f"{_DEMAND}{pod_uid}"


def is_demand(name: str) -> bool:
    """Whether that is the name of demand: what production asked for without a row, by pod."""
    return name.startswith(_DEMAND)


def origin(name: str) -> str:
    """Who made the shard of that name."""
    return name.rsplit(".", 3)[0]


def number(name: str) -> int:
    """The number in a shard's name."""
    return int(name.rsplit(".", 3)[1])


def newest(names: Iterable[str]) -> dict[str, int]:
    """The highest number of each origin."""
    found: dict[str, int] = {}
    for name in filter(SHARD_NAME.fullmatch, names):
        found[origin(name)] = max(number(name), found.get(origin(name), -1))
    return found


def _pieces(log: str, wanted: Callable[[str], bool]) -> dict[str, tuple[dict[int, str], int]]:
    """By shard: its pieces by number, and how many there should be."""
    pieces: dict[str, tuple[dict[int, str], int]] = {}
    for line in log.split("\n"):  # not splitlines(): a character inside a line of ours must not begin one
        found = _PIECE.fullmatch(line)
        if found is None or SHARD_NAME.fullmatch(found[1]) is None or not wanted(found[1]):
            continue
        at, count = int(found[2]), int(found[3])
        kept, total = pieces.setdefault(found[1], ({}, count))
        if count == total and at <= count <= MAX_PIECES:
            kept[at] = found[4]
    return pieces


def _assembled(name: str, pieces: dict[int, str], count: int) -> Shard:
    if not count or len(pieces) != count:
        raise ShardError(f"{len(pieces)} of {count or '?'} pieces are in the log")
    try:
        packed = b"".join(base64.b64decode(pieces[number], validate=True) for number in range(1, count + 1))
    except (binascii.Error, KeyError) as error:
        raise ShardError("a piece is not base64") from error
    return check(name, packed)


def check(name: str, packed: bytes) -> Shard:
    """The shard of that name in a gzip. Raises ShardError."""
    text = _unpacked(packed)
    body, trailer = text[: text.rfind("\n", 0, -1) + 1], text[text.rfind("\n", 0, -1) + 1 :]
    lines = body.split("\n")[:-1]
    head = _HEAD.fullmatch(lines[0]) if lines else None
    if head is None:
        raise ShardError("its first line is not that of a shard")
    inputs = [line.removeprefix(_INPUT) for line in lines[1 : MAX_INPUTS + 2] if line.startswith(_INPUT)]
    rows = lines[len(inputs) + 2 :]
    digest = hashlib.sha256(body.encode("ascii")).hexdigest()
    if trailer != f"#end rows={len(rows)} bytes={len(body)} sha256={digest}\n":
        raise ShardError("its last line does not fit what is before it")
    if len(inputs) > MAX_INPUTS or not all(map(SHARD_NAME.fullmatch, inputs)):
        raise ShardError("an input is not the name of a shard")
    if not all(_is_data(line, _COLUMNS[head["kind"]]) for line in rows):
        raise ShardError(f"a line is not one of kind {head['kind']}")
    if (head["kind"] == "demand") != is_demand(name) or (is_demand(name) and len(rows) > _MAX_DEMAND_LINES):
        raise ShardError(f"kind {head['kind']} with another's origin, or more than {_MAX_DEMAND_LINES} lines of demand")
    if name != f"{head['origin']}.{head['seq']}.{digest[:12]}.csv":
        raise ShardError("its content has another name")
    return Shard(name, tuple(inputs), gzip.compress(body.encode() + trailer.encode(), mtime=0))


def _is_data(line: str, columns: int) -> bool:
    return len(line) <= MAX_LINE and line.count(",") == columns - 1 and _LINE.fullmatch(line) is not None


def _unpacked(packed: bytes) -> str:
    if len(packed) > MAX_PACKED_BYTES:
        raise ShardError(f"more than {MAX_PACKED_BYTES} bytes")
    stream = zlib.decompressobj(wbits=31)
    try:
        data = stream.decompress(packed, MAX_TEXT_BYTES + 1)
    except zlib.error as error:
        raise ShardError("not a gzip") from error
    if len(data) > MAX_TEXT_BYTES:
        raise ShardError(f"more than {MAX_TEXT_BYTES} bytes when unpacked")
    if not stream.eof or stream.unused_data:
        raise ShardError("a gzip that is cut, or has something after it")
    if not data.isascii():
        raise ShardError("not ASCII")
    return data.decode("ascii")
