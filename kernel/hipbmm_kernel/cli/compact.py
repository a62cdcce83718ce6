"""`compact`: few shards in place of many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel.cli import command_line
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.compaction import compact_key
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume, describe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

READ_SECONDS = 90.0
MAX_HOURS = 24 * 365


def compact_command(argv: Sequence[str], stdout: IO[str], stderr: IO[str]) -> int:
    """Compact every key of a store. 0 when all went well, 1 when a volume refused something, 2 for wrong usage."""
    parser = command_line.Parser("compact", "Replace the shards of a store by few that contain them.")
    parser.add_argument("directory", metavar="DIR", help="a writable store: it holds v1/<key>/shards")
    hours = command_line.whole(0, MAX_HOURS)
    parser.add_argument("--keep-hours", type=hours, default=24, help="remove contained shards older than this (24)")
    try:
        arguments = parser.read(argv)
    except command_line.HelpWanted as wanted:
        stdout.write(str(wanted))
        return command_line.FINE
    except command_line.UsageError as error:
        stderr.write(f"{error}\n")
        return command_line.USAGE
    volume = Volume()
    try:
        keys = sorted(name for name in volume.names(f"{arguments.directory}/v1") if shards.is_key(name))
    except OSError as error:
        stderr.write(f"compact: {describe(error)}\n")
        return command_line.FOUND
    grace = arguments.keep_hours * 3600.0
    done = {key: compact_key(volume, Clock(), arguments.directory, key, READ_SECONDS, grace) for key in keys}
    for key, one in done.items():
        for reason in one.errors:
            stderr.write(f"compact: {key}: {reason}\n")
    if arguments.output == "json":
        command_line.write_json(stdout, {key: one._asdict() for key, one in done.items()})
    else:
        for key, one in done.items():
            stdout.write(f"{key}: {one.before} shards, {len(one.published)} new, {one.removed} removed\n")
    return command_line.FOUND if any(one.errors for one in done.values()) else command_line.FINE
