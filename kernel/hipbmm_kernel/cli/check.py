"""`check`: read one of AITER's CSV files strictly, and write what is left of it, normalised."""

from argparse import Namespace
from collections.abc import Sequence
from typing import IO

from hipbmm_kernel.cli import command_line
from hipbmm_kernel.cli.command_line import Answer
from hipbmm_kernel.rows import aiter_csv
from hipbmm_kernel.rows.aiter_csv import Parsed
from hipbmm_kernel.system.shown import one_line
from hipbmm_kernel.system.volume import Volume, describe, read_file, replace_file


def check_command(argv: Sequence[str], stdout: IO[str], stderr: IO[str]) -> int:
    """Print what the file holds. 0 when every line of data is a row, 1 otherwise, 2 for wrong usage."""
    parser = command_line.Parser("check", "Read an online-tuning CSV of AITER as strictly as a server should have.")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--repair", metavar="OUT", help="write the accepted and foreign rows here, normalised")
    return command_line.run(parser, argv, stdout, stderr, _check)


def _check(arguments: Namespace) -> Answer:
    parsed = _read(arguments.file)
    wrong = parsed.refused is not None or bool(parsed.rejected) or bool(parsed.conflicts)
    reason = _repair(arguments.repair, parsed) if arguments.repair is not None and parsed.refused is None else ""
    complaints = [f"{arguments.repair} cannot be written: {reason}"] if reason else []
    return Answer(_document(parsed), _text(parsed), complaints, wrong or bool(complaints))


def _repair(path: str, parsed: Parsed) -> str:
    """Write what is left of a file; why it was not written, "" when it was."""
    if parsed.rejected and not (parsed.accepted or parsed.foreign):
        return "no row is left"
    try:
        replace_file(Volume(), command_line.target(path), aiter_csv.repaired(parsed))
    except (OSError, ValueError) as error:
        return describe(error)
    return ""


def _read(path: str) -> Parsed:
    try:
        data = read_file(Volume(), path, aiter_csv.MAX_BYTES, follow=True)
    except (OSError, ValueError) as error:
        return aiter_csv.Parsed(refused=f"cannot be read: {describe(error)}")
    return aiter_csv.parse(data)


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
        return f"refused: {one_line(parsed.refused)}\n"
    counts = (
        f"{len(parsed.accepted)} accepted, {len(parsed.foreign)} foreign, {parsed.duplicates} duplicates, "
        f"{len(parsed.conflicts)} conflicts, {len(parsed.rejected)} rejected"
    )
    lines = [counts]
    lines += [f"line {line}: rejected: {reason}" for line, reason in parsed.rejected]
    lines += [f"line {line}: conflict: {reason}" for line, reason in parsed.conflicts]
    return "\n".join(lines) + "\n"
