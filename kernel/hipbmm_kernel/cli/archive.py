"""`export` and `import`: a store as one file, and back."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from hipbmm_kernel.cli import command_line
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.archive import ArchiveError, Moved, export_store, import_store
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume, describe

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence
    from typing import IO

READ_SECONDS = 90.0


def export_command(argv: Sequence[str], stdout: IO[str], stderr: IO[str]) -> int:
    """Write a store to a tar file. 0 when it is whole, 1 when store or file refused, 2 for wrong usage."""
    parser = command_line.Parser("export", "Write a store, or one key of it, to a tar file.")
    parser.add_argument("directory", metavar="DIR", help="a store: it holds v1/<key>/shards")
    parser.add_argument("file", metavar="FILE", help="the tar file to write; it is replaced when it is complete")
    parser.add_argument("--key", help="only this key")
    return _run("export", parser, argv, stdout, stderr, _export)


def import_command(argv: Sequence[str], stdout: IO[str], stderr: IO[str]) -> int:
    """Put a tar file into a store. 0 when all of it is there, 1 when file or store refused, 2 for wrong usage."""
    parser = command_line.Parser("import", "Put everything of a tar file made by `export` into a store.")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("directory", metavar="DIR", help="a store, or an empty directory that becomes one")
    return _run("import", parser, argv, stdout, stderr, _import)


def _run(
    name: str,
    parser: command_line.Parser,
    argv: Sequence[str],
    stdout: IO[str],
    stderr: IO[str],
    work: Callable[[Namespace], Moved],
) -> int:
    try:
        arguments = parser.read(argv)
    except command_line.HelpWanted as wanted:
        stdout.write(str(wanted))
        return command_line.FINE
    except command_line.UsageError as error:
        stderr.write(f"{error}\n")
        return command_line.USAGE
    try:
        moved = work(arguments)
    except OSError as error:
        return _failed(name, arguments, stdout, stderr, describe(error))
    except ArchiveError as error:
        return _failed(name, arguments, stdout, stderr, str(error))
    if arguments.output == "json":
        answer = {"files": moved.files, "bytes": moved.bytes, "keys": list(moved.keys), "error": None}
        command_line.write_json(stdout, answer)
    else:
        stdout.write(f"{moved.files} files, {moved.bytes} bytes, keys {', '.join(moved.keys) or 'none'}\n")
    return command_line.FINE


def _failed(name: str, arguments: Namespace, stdout: IO[str], stderr: IO[str], reason: str) -> int:
    stderr.write(f"{name}: {reason}\n")
    if arguments.output == "json":
        command_line.write_json(stdout, {"files": 0, "bytes": 0, "keys": [], "error": reason})
    return command_line.FOUND


def _export(arguments: Namespace) -> Moved:
    volume = Volume()
    keys = sorted(name for name in volume.names(f"{arguments.directory}/v1") if shards.is_key(name))
    if arguments.key is not None:
        if arguments.key not in keys:
            raise ArchiveError(f"the store has no key {arguments.key[:40]!r}; it has {', '.join(keys) or 'none'}")
        keys = [arguments.key]
    final = Path(arguments.file)
    temporary = final.with_name(f"{final.name}.{os.getpid()}.new")
    try:
        with temporary.open("xb") as target:
            moved = export_store(volume, Clock(), arguments.directory, keys, target, READ_SECONDS)
            target.flush()
            os.fsync(target.fileno())
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
    return moved


def _import(arguments: Namespace) -> Moved:
    directory = Path(arguments.directory)
    if not directory.is_dir():
        # Never made here: where a volume should be mounted and is not, rows would go to a disk that nobody keeps.
        raise ArchiveError(f"{directory} is no directory: make it, or mount the store there")
    descriptor = Volume().open(arguments.file, follow=True)  # which a FIFO does not block
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ArchiveError(f"{arguments.file} is not a regular file")
    with os.fdopen(descriptor, "rb") as source:
        return import_store(Volume(), Clock(), source, arguments.directory)
