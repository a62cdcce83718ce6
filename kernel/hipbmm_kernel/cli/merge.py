"""`merge`: the table of a store as AITER's CSV."""

from __future__ import annotations

import gc
import hashlib
from typing import TYPE_CHECKING

from hipbmm_kernel.cli import command_line
from hipbmm_kernel.rows import aiter_csv
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store import table as tables
from hipbmm_kernel.store.reader import Reader
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume, describe, replace_file

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from typing import IO

READ_SECONDS = 90.0
"""How long a shared volume's passing errors are waited out."""


def merge_command(argv: Sequence[str], stdout: IO[str], stderr: IO[str]) -> int:
    """Write the merged table. 0 when it was written, 1 when the store cannot be merged, 2 for wrong usage."""
    parser = command_line.Parser("merge", "Merge the shards of a store into one CSV file of AITER.")
    parser.add_argument("directory", metavar="DIR", help="a store: it holds v1/<key>/shards")
    parser.add_argument("--key", help="which key, when the store has more than one")
    parser.add_argument("--out", metavar="FILE", required=True)
    parser.add_argument("--token", default="", help="only shards that were published under this retune token")
    try:
        arguments = parser.read(argv)
    except command_line.HelpWanted as wanted:
        stdout.write(str(wanted))
        return command_line.FINE
    except command_line.UsageError as error:
        stderr.write(f"{error}\n")
        return command_line.USAGE
    collecting = gc.isenabled()
    gc.disable()  # a table is only built, never dropped: looking for cycles in it takes a fifth of the time
    try:
        answer = _merge(arguments)
    except OSError as error:
        return _failed(arguments, stdout, stderr, describe(error))
    except ValueError as error:
        return _failed(arguments, stdout, stderr, str(error))
    finally:
        if collecting:
            gc.enable()
    if arguments.output == "json":
        command_line.write_json(stdout, answer)
    else:
        stdout.write(f"{answer['rows']} rows of key {answer['key']} from {answer['shards']} shards\n")
    return command_line.FINE


def _merge(arguments: Namespace) -> dict[str, object]:
    """Read, merge, write; what was done. OSError or ValueError when it could not be."""
    volume = Volume()
    key = _key(volume, arguments.directory, arguments.key)
    reader = Reader(volume, Clock(), key, READ_SECONDS)
    table = tables.merge(reader.shards(arguments.directory), arguments.token)
    reading = reader.reading
    if reading.errors:
        raise ValueError("; ".join(reading.errors))
    rows = table.winners()
    data = aiter_csv.format_rows(rows)
    replace_file(volume, arguments.out, data)
    return {
        "key": key,
        "shards": reading.shards,
        "rows": len(rows),
        "vetoes": len(table.vetoes),
        "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "refused": [refused._asdict() for refused in reading.refused],
        "refusedCount": reading.refused_count,
        "error": None,
    }


def _key(volume: Volume, directory: str, wanted: str | None) -> str:
    """The key to merge: the wanted one, or the only one there is."""
    if wanted is not None and not shards.is_key(wanted):
        raise ValueError(f"{wanted[:40]!r} is not a key: 16 lower-case hex digits")
    keys = sorted(name for name in volume.names(f"{directory}/v1") if shards.is_key(name))
    if wanted is not None:
        if wanted not in keys:
            raise ValueError(f"the store has no key {wanted}; it has {', '.join(keys) or 'none'}")
        return wanted
    if len(keys) != 1:
        raise ValueError(f"the store has {len(keys)} keys ({', '.join(keys[:20])}): choose one with --key")
    return keys[0]


def _failed(arguments: Namespace, stdout: IO[str], stderr: IO[str], reason: str) -> int:
    stderr.write(f"merge: {reason}\n")
    if arguments.output == "json":
        command_line.write_json(stdout, {"key": arguments.key, "shards": 0, "rows": 0, "error": reason})
    return command_line.FOUND
