"""`check`: read one of AITER's CSV files strictly, and write what is left of it, normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel import aitercsv, commandline
from hipbmm_kernel.volume import Volume, describe, read_file, replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from hipbmm_kernel.aitercsv import Parsed


def check_command(argv: Sequence[str], stdout: IO[str], stderr: IO[str]) -> int:
    """Print what the file holds. 0 when every line of data is a row, 1 otherwise, 2 for wrong usage."""
    parser = commandline.Parser("check", "Read an online-tuning CSV of AITER as strictly as a server should have.")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--repair", metavar="OUT", help="write the accepted and foreign rows here, normalised")
    try:
        arguments = parser.read(argv)
    except commandline.HelpWanted as wanted:
        stdout.write(str(wanted))
        return commandline.FINE
    except commandline.UsageError as error:
        stderr.write(f"{error}\n")
        return commandline.USAGE
    parsed = _read(arguments.file)
    if arguments.output == "json":
        commandline.write_json(stdout, _document(parsed))
    else:
        stdout.write(_text(parsed))
    wrong = parsed.refused is not None or bool(parsed.rejected) or bool(parsed.conflicts)
    if arguments.repair is not None and parsed.refused is None:
        try:
            replace_file(Volume(), arguments.repair, aitercsv.repaired(parsed))
        except (OSError, ValueError) as error:
            reason = describe(error) if isinstance(error, OSError) else str(error)
            stderr.write(f"check: {arguments.repair} cannot be written: {reason}\n")
            return commandline.FOUND
    return commandline.FOUND if wrong else commandline.FINE


def _read(path: str) -> Parsed:
    try:
        data = read_file(Volume(), path, aitercsv.MAX_BYTES, follow=True)
    except OSError as error:
        return aitercsv.Parsed(refused=f"cannot be read: {describe(error)}")
    except ValueError as error:
        return aitercsv.Parsed(refused=f"cannot be read: {error}")
    return aitercsv.parse(data)


def _document(parsed: Parsed) -> dict[str, object]:
    return {
        "accepted": len(parsed.accepted),
        "foreign": len(parsed.foreign),
        "duplicates": parsed.duplicates,
        "conflicts": len(parsed.conflicts),
        "rejected": [finding._asdict() for finding in parsed.rejected],
        "refused": parsed.refused,
        "conflictLines": [finding._asdict() for finding in parsed.conflicts],
    }


def _text(parsed: Parsed) -> str:
    if parsed.refused is not None:
        return f"refused: {parsed.refused}\n"
    counts = (
        f"{len(parsed.accepted)} accepted, {len(parsed.foreign)} foreign, {parsed.duplicates} duplicates, "
        f"{len(parsed.conflicts)} conflicts, {len(parsed.rejected)} rejected"
    )
    lines = [counts]
    lines += [f"line {line}: rejected: {reason}" for line, reason in parsed.rejected]
    lines += [f"line {line}: conflict: {reason}" for line, reason in parsed.conflicts]
    return "\n".join(lines) + "\n"
