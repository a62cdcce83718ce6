"""`merge`, `compact`, `export` and `import`: what people do with a store as a whole."""

import contextlib
import gc
import hashlib
import os
import stat
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from hipbmm_kernel.cli import command_line
from hipbmm_kernel.cli.command_line import Answer
from hipbmm_kernel.rows import aiter_csv
from hipbmm_kernel.rows.gemm import Row
from hipbmm_kernel.store import compactor
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store import table as tables
from hipbmm_kernel.store.archive import Moved
from hipbmm_kernel.store.reader import WHOLE, Reader, keys_of
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.shown import shown
from hipbmm_kernel.system.volume import Volume, closing, replace_file, sync_names

READ_SECONDS = 90.0
"""How long a shared volume's passing errors are waited out."""
MAX_HOURS = 24 * 365
_STORE = "a store: it holds v1/<key>/shards"


def merge_command(argv: Sequence[str], stdout: IO[str], stderr: IO[str]) -> int:
    """Write the merged table. 0 when it was written, 1 when the store cannot be merged, 2 for wrong usage."""
    parser = command_line.Parser("merge", "Merge the shards of a store into one CSV file of AITER.")
    parser.add_argument("directory", metavar="DIR", help=_STORE)
    parser.add_argument("--key", help="which key, when the store has more than one")
    parser.add_argument("--out", metavar="FILE", required=True)
    parser.add_argument(
        "--times", metavar="FILE", help="write M, N, K, kernel and both times of each row there, as CSV"
    )
    parser.add_argument("--token", default="", help="only shards that were published under this retune token")
    return command_line.run(
        parser,
        argv,
        stdout,
        stderr,
        _merge,
        lambda arguments, reason: {"key": arguments.key, "shards": 0, "rows": 0, "error": reason},
    )


def compact_command(argv: Sequence[str], stdout: IO[str], stderr: IO[str]) -> int:
    """Compact every key of a store. 0 when all went well, 1 when a volume refused something, 2 for wrong usage."""
    parser = command_line.Parser("compact", "Replace the shards of a store by few that contain them.")
    parser.add_argument("directory", metavar="DIR", help=f"writable; {_STORE}")
    hours = command_line.whole(0, MAX_HOURS)
    text = "remove shards that a compaction older than this contains (24)"
    parser.add_argument("--keep-hours", type=hours, default=24, help=text)
    text = "only keys with many shards, and only as many of them as a sidecar has memory for"
    parser.add_argument("--bounded", action="store_true", help=text)
    return command_line.run(parser, argv, stdout, stderr, _compact)


def export_command(argv: Sequence[str], stdout: IO[str], stderr: IO[str]) -> int:
    """Write a store to a tar file. 0 when it is whole, 1 when store or file refused, 2 for wrong usage."""
    parser = command_line.Parser("export", "Write a store, or one key of it, to a tar file.")
    parser.add_argument("directory", metavar="DIR", help=_STORE)
    parser.add_argument("file", metavar="FILE", help="the tar file to write; it is replaced when it is complete")
    parser.add_argument("--key", help="only this key")
    return command_line.run(parser, argv, stdout, stderr, _export, _not_moved)


def import_command(argv: Sequence[str], stdout: IO[str], stderr: IO[str]) -> int:
    """Put a tar file into a store. 0 when all of it is there, 1 when file or store refused, 2 for wrong usage."""
    parser = command_line.Parser("import", "Put everything of a tar file made by `export` into a store.")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("directory", metavar="DIR", help="a store, or an empty directory that becomes one")
    return command_line.run(parser, argv, stdout, stderr, _import, _not_moved)


def _merge(arguments: Namespace) -> Answer:
    if arguments.key is not None and not shards.is_key(arguments.key):
        raise ValueError(f"{shown(arguments.key)} is not a key: 16 lower-case hex digits")
    keys = _keys(arguments)
    if len(keys) != 1:
        raise ValueError(f"the store has {len(keys)} keys ({', '.join(keys[:20])}): choose one with --key")
    reader = Reader(Volume(), Clock(), keys[0], READ_SECONDS, WHOLE)
    collecting = gc.isenabled()
    gc.disable()  # a table is only built, never dropped: looking for cycles in it takes a fifth of the time
    try:
        table = tables.merge(reader.shards(arguments.directory), arguments.token, node="")
    finally:
        if collecting:
            gc.enable()
    reading = reader.reading
    if reading.errors:
        raise ValueError("; ".join(reading.errors))
    rows = table.winners()
    data = aiter_csv.format_rows(rows)
    _write(arguments.out, data)
    if arguments.times is not None:
        _write(arguments.times, _times(rows))
    document = {
        "key": keys[0],
        "shards": reading.shards,
        "rows": len(rows),
        "vetoes": len(table.vetoes),
        "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "refused": [refused._asdict() for refused in reading.refused],
        "refusedCount": reading.refused_count,
        "error": None,
    }
    return Answer(document, f"{len(rows)} rows of key {keys[0]} from {reading.shards} shards\n")


def _write(path: str, data: bytes) -> None:
    target = command_line.target(path)
    replace_file(Volume(), target, data)
    _sync(os.path.dirname(target))


def _sync(directory: str) -> None:
    """Make the names in a directory durable; of one that may not be read they cannot be."""
    volume = Volume()
    with contextlib.suppress(PermissionError), closing(volume, volume.open_directory(directory, follow=True)) as opened:
        sync_names(volume, opened)


def _times(rows: Sequence[Row]) -> bytes:
    """What tuning has gained for each matrix shape, for people and spreadsheets; what was not measured is empty."""
    lines = ["M,N,K,index,kernel,tuned_us,default_us,speedup"]
    for row in sorted(rows, key=lambda row: row.problem):
        gain = f"{row.default_us / row.tuned_us:.3f}" if row.default_us and row.tuned_us else ""
        times = ("" if us is None else f"{us:.3f}" for us in (row.tuned_us, row.default_us))
        lines.append(",".join([*map(str, row.problem), str(row.algo_index), row.kernel_name, *times, gain]))
    return ("\n".join(lines) + "\n").encode()


def _compact(arguments: Namespace) -> Answer:
    store, grace = arguments.directory, arguments.keep_hours * 3600.0
    done = {
        key: compactor.compact_key(Volume(), Clock(), store, key, READ_SECONDS, grace, bounded=arguments.bounded)
        for key in keys_of(Volume(), store)
    }
    lines = [
        f"{key}: {one.before} shards, {len(one.published)} new, {one.removed} removed\n" for key, one in done.items()
    ]
    errors = [f"{key}: {reason}" for key, one in done.items() for reason in one.errors]
    return Answer({key: one._asdict() for key, one in done.items()}, "".join(lines), errors, bool(errors))


def _export(arguments: Namespace) -> Answer:
    from hipbmm_kernel.store.archive import export_store  # noqa: PLC0415 - tarfile is for these two commands alone

    keys = _keys(arguments)
    final = Path(command_line.target(arguments.file))
    temporary = final.with_name(f"{final.name}.{os.getpid()}.new")
    try:
        with temporary.open("xb") as target:
            moved = export_store(Volume(), Clock(), arguments.directory, keys, target, READ_SECONDS)
            target.flush()
            os.fsync(target.fileno())
        temporary.replace(final)
        _sync(str(final.parent))
    finally:
        temporary.unlink(missing_ok=True)
    return _moved(moved)


def _import(arguments: Namespace) -> Answer:
    from hipbmm_kernel.store.archive import import_store  # noqa: PLC0415 - tarfile is for these two commands alone

    directory = Path(arguments.directory)
    if not directory.is_dir():
        # Never made here: where a volume should be mounted and is not, rows would go to a disk that nobody keeps.
        raise ValueError(f"{directory} is no directory: make it, or mount the store there")
    descriptor = Volume().open(arguments.file, follow=True)  # which a FIFO does not block
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{arguments.file} is not a regular file")
    with os.fdopen(descriptor, "rb") as source:
        return _moved(import_store(Volume(), Clock(), source, arguments.directory))


def _keys(arguments: Namespace) -> list[str]:
    """The wanted key, or all that there are."""
    keys = keys_of(Volume(), arguments.directory)
    if arguments.key is None:
        return keys
    if arguments.key not in keys:
        raise ValueError(f"the store has no key {shown(arguments.key)}; it has {', '.join(keys) or 'none'}")
    return [arguments.key]


def _moved(moved: Moved) -> Answer:
    document = {"files": moved.files, "bytes": moved.bytes, "keys": list(moved.keys), "error": None}
    return Answer(document, f"{moved.files} files, {moved.bytes} bytes, keys {', '.join(moved.keys) or 'none'}\n")


def _not_moved(_arguments: Namespace, reason: str) -> object:
    return {"files": 0, "bytes": 0, "keys": [], "error": reason}
