"""The table for the mirror: what of it no mirror holds yet, as shards, and shards as lines of a log.

A pod has no access to the API, and without a shared volume its log is all that the operator can read. So the program
writes what it found as shards into its log, and the operator keeps them in a ConfigMap that every later pod mounts.
The same table gives the same bytes in every pod: its origin is `mirror.table`, not the pod. A summary names all that
the mirror held for its key as inputs, so that it takes their place.
"""

import base64
import gzip
from collections.abc import Iterable, Sequence

from hipbmm_kernel.rows.gemm import NO_NAME, Row, file_order
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store import table as tables
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.store.table import Table

ORIGIN = "mirror.table"
MAX_LINES = 8192
"""Rows, or vetoes, of one summary: 0.6 MB when compressed, of the 1 MiB that a ConfigMap may hold."""
MAX_NAME = 700
"""Characters of a kernel's name: the operator takes no shard with a line of more than 1024 characters."""
MARK = "hipbmm-shard"
PIECE_BYTES = 3072
"""Bytes of compressed shard in one line of a log, which becomes 4 KiB: container runtimes split lines of 16 KiB."""


def unmirrored(
    final: Table, held: Sequence[tuple[str, Shard]], first: Iterable[str], key: str, retune_token: str = ""
) -> list[bytes]:
    """Encoded shards that make a mirror that holds `held` (names and shards of `key`) hold `final`; none to two.

    Rows of `first`, the keys of the plan, are kept when the table has more than MAX_LINES. Shards of another token and
    the many shards of former pods are replaced, too.
    """
    head = Shard(key, ORIGIN, 0, token=shards.token_digest(retune_token))
    known = tables.merge((each for _, each in held), retune_token)
    rows = _rows(final, first)
    vetoes = [veto for at in sorted(final.claims) for veto in final.claims[at]][:MAX_LINES]
    return [
        *_summary(
            head._replace(kind=shards.ROWS, rows=tuple(rows)),
            held,
            new=any(known.best(row.key) != row for row in rows),
        ),
        *_summary(
            head._replace(kind=shards.VETOES, vetoes=tuple(vetoes)),
            held,
            new=any(veto not in known.claims.get((veto.key, veto.algo_index), ()) for veto in vetoes),
        ),
    ]


def log_lines(data: bytes) -> list[str]:
    """An encoded shard, or a frame, as lines: `hipbmm-shard <name> <i>/<n> <base64 of a piece of gzip>`."""
    packed = gzip.compress(data, mtime=0)
    pieces = [packed[at : at + PIECE_BYTES] for at in range(0, len(packed), PIECE_BYTES)]
    name = shards.name_of(data)
    return [
        f"{MARK} {name} {number}/{len(pieces)} {base64.b64encode(piece).decode('ascii')}"
        for number, piece in enumerate(pieces, 1)
    ]


def shortened(row: Row) -> Row:
    """The row as the mirror may have it: without a kernel name that is too long there, which no server needs."""
    return row if len(row.kernel_name) <= MAX_NAME else row._replace(kernel_name=NO_NAME)


def _rows(final: Table, first: Iterable[str]) -> list[Row]:
    """The served rows of the table in its order; when there are too many, those of `first` and as many others."""
    winners = [shortened(row) for row in final.winners()]
    if len(winners) <= MAX_LINES:
        return winners
    wanted = frozenset(first)
    ranked = sorted(winners, key=lambda row: row.key not in wanted)[:MAX_LINES]
    return sorted(ranked, key=lambda row: file_order(row.key))


def _summary(full: Shard, held: Sequence[tuple[str, Shard]], *, new: bool) -> list[bytes]:
    """`full` as a shard that replaces those of its kind, unless one shard alone holds all of it already."""
    same_kind = [name for name, each in held if each.kind == full.kind]
    if not new and len(same_kind) <= 1:
        return []
    return [shards.encode(full._replace(inputs=tuple(sorted(same_kind))))]
