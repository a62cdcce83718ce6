"""The frame of the commands for people: arguments, one answer as text or as JSON, and the exit status.

A command is a parser and a function from its arguments to an Answer. Everything else is the same for all of them:
wrong usage ends with 2, what was found wrong with 1, and `-o json` prints one JSON value in every case but usage.
"""

import argparse
import errno
import json
import os
from collections.abc import Callable, Sequence
from typing import IO, NamedTuple, NoReturn

from hipbmm_kernel.system.shown import one_line
from hipbmm_kernel.system.volume import describe

FINE = 0
FOUND = 1
"""Something is wrong with what was looked at."""

USAGE = 2


class UsageError(Exception):
    """Wrong usage; the message says what."""


class Answer(NamedTuple):
    """What a command prints: `document` with `-o json`, else `text`; `complaints` are lines for standard error."""

    document: object
    text: str = ""
    complaints: Sequence[str] = ()
    wrong: bool = False


class Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of exiting. `-o json` is common to all commands."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(prog=f"hipbmm_kernel {command}", description=description, allow_abbrev=False, add_help=False)
        self.command = command
        self.add_argument("-h", "--help", action="store_true", help="show this and stop")
        self.add_argument("-o", "--output", choices=("text", "json"), default="text", help="form of the answer")

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{self.format_usage()}{self.prog}: {message}")


def run(
    parser: Parser,
    argv: Sequence[str],
    stdout: IO[str],
    stderr: IO[str],
    work: Callable[[argparse.Namespace], Answer],
    refusal: Callable[[argparse.Namespace, str], object] = lambda _arguments, reason: {"error": reason},
) -> int:
    """Run one command; its exit status.

    `work` may raise UsageError, and OSError or ValueError for what cannot be used; `refusal` makes the JSON value of
    the latter from the arguments and the reason.
    """
    if any(argument in ("-h", "--help") for argument in argv):
        stdout.write(parser.format_help())
        return FINE
    try:
        arguments = parser.parse_args(argv)
        try:
            answer = work(arguments)
        except (OSError, ValueError) as error:
            answer = Answer(refusal(arguments, describe(error)), "", (describe(error),), wrong=True)
    except UsageError as error:
        stderr.write(f"{error}\n")
        return USAGE
    for complaint in answer.complaints:
        stderr.write(f"{parser.command}: {one_line(complaint)}\n")
    stdout.write(json.dumps(answer.document) + "\n" if arguments.output == "json" else answer.text)
    return FOUND if answer.wrong else FINE


def target(path: str) -> str:
    """Where the file that is to be written at `path` is, behind links.

    OSError where anything but a regular file has that name: /dev/stdout would become a file.
    """
    real = os.path.realpath(path)
    if os.path.lexists(real) and not os.path.isfile(real):
        raise OSError(errno.EINVAL, "not a regular file, so it is not replaced", path)
    return real


def whole(least: int, most: int) -> Callable[[str], int]:
    """An argument type: a whole number in plain digits between two bounds."""

    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or len(text) > len(str(most)) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number between {least} and {most}")
        return int(text)

    return number
