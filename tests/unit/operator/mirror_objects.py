"""Shards and ConfigMaps of a mirror, as a pod and the API server make them. Independent of the program's own writer."""

import base64
import gzip
import hashlib
from typing import Any

from hipbmm_operator.mirror.content import Content, summary
from hipbmm_operator.mirror.shards import Shard, check

Json = dict[str, Any]

KEY = "9f2c0a1b2c3d4e5f"
HEADER = "the,column,header"


def line(m: int, index: int = 7) -> str:
    """A row: AITER's key of 18 columns, index, name, three measurements."""
    return f"true,true,T,N,512,{m},256,f8,f8,bf16,f32,s,s,n,n,n,304,gfx942,{index},Cijk_Alik,9.0,10.0,1"


def text(
    *rows: str, inputs: tuple[str, ...] = (), origin: str = "mirror.table", kind: str = "rows", number: int = 0
) -> str:
    """A shard."""
    head = f"#hipbmm-shard v1 key={KEY} origin={origin} seq={number} kind={kind} token=-"
    body = "".join(f"{entry}\n" for entry in (head, *(f"#input {name}" for name in inputs), HEADER, *rows))
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f"{body}#end rows={len(rows)} bytes={len(body)} sha256={digest}\n"


def name_of(shard: str, origin: str = "mirror.table", number: int = 0) -> str:
    """Its file name."""
    return f"{origin}.{number}.{shard.rsplit('sha256=', 1)[1][:12]}.csv"


def shard(*rows: str, inputs: tuple[str, ...] = (), origin: str = "mirror.table") -> Shard:
    """A checked shard."""
    made = text(*rows, inputs=inputs, origin=origin)
    return check(name_of(made, origin), gzip.compress(made.encode()))


def log(*shards: str, size: int = 100, names: list[str] | None = None) -> str:
    """What `warm` writes, in pieces of `size` bytes."""
    lines = ["hipbmm warm: 3 shards read, 0 files refused"]
    for name, each in zip(names or map(name_of, shards), shards, strict=True):
        packed = gzip.compress(each.encode(), mtime=0)
        pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
        lines += [
            f"hipbmm-shard {name} {number}/{len(pieces)} {base64.b64encode(piece).decode()}"
            for number, piece in enumerate(pieces, 1)
        ]
    return "\n".join([*lines, "hipbmm progress phase=Done tuned=3 problems=3 failed=0 elapsed_s=1 eta_s=0", ""])


def kept(body: Json, uid: str = "uid-m", changes: Json | None = None) -> Json:
    """A ConfigMap as the operator keeps it in memory after the API server has stored it."""
    metadata = {**body["metadata"], "uid": uid, "resourceVersion": "9", "ownerReferences": [{"uid": "uid-1"}]}
    return {"metadata": metadata, "content": summary(body) | (changes or {})}


def content(*shards: Shard) -> Content:
    return Content({each.name: each for each in shards})
