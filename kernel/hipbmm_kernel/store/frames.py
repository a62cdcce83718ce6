"""What a mirror holds beside shards, in a shard's frame, so that whoever carries shards carries it: plans and demand.

The first and the last line are a shard's, the second is a header, the rest is whatever the kind says. A frame proves
that it is whole; nobody merges it.
"""

from collections.abc import Iterable

from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.shard import Shard, ShardError
from hipbmm_kernel.system.digest import sha256


def frame(key: str, origin: str, seq: int, kind: str, lines: Iterable[str]) -> bytes:
    """The text, whose name is that of a shard (`shard.name_of`); the first of `lines` is the header."""
    head = Shard(key, origin, seq, kind)
    body = "\n".join((shards.first_line(head), *lines, "")).encode("ascii")
    return body + shards.trailer(len(body), body.count(b"\n") - 2, sha256(body))


def unframe(name: str, packed: bytes, limit: int) -> tuple[str, list[str]]:
    """Key and lines of the file of that name in a gzip, header included. ShardError when it is cut or changed."""
    text = unzipped(packed, limit)
    end = text.rfind(b"\n", 0, -1) + 1
    digest = sha256(text[:end])
    if not end or text[end:] != shards.trailer(end, text.count(b"\n", 0, end) - 2, digest):
        raise ShardError("incomplete or changed")
    first, *lines, _ = text[:end].decode("ascii", "replace").split("\n")
    head = shards.head_of(first)
    if name != shards.file_name(head, digest):
        raise ShardError("its content has another name")
    return head.key, lines


def unzipped(data: bytes, limit: int) -> bytes:
    """What a gzip in a mirror holds, at most `limit` bytes: no shard where it is larger; b"" when it is damaged."""
    import zlib  # noqa: PLC0415 - only mirrors need it

    stream = zlib.decompressobj(wbits=31)
    try:
        text = stream.decompress(data, limit)
    except zlib.error:
        return b""
    return text if stream.eof or len(text) == limit else b""
