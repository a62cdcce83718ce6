"""What the commands for people share: arguments that never exit by themselves, and one JSON value or text on stdout."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO

FINE = 0
FOUND = 1
"""Something is wrong with what was looked at."""

USAGE = 2


class UsageError(Exception):
    """Wrong usage; the message says what."""


class HelpWanted(Exception):  # noqa: N818 - it is no error
    """`-h` was given; the message is the help."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of exiting. `-o json` is common to all commands."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(prog=f"hipbmm_kernel {command}", description=description, allow_abbrev=False, add_help=False)
        self.add_argument("-h", "--help", action="store_true", help="show this and stop")
        self.add_argument("-o", "--output", choices=("text", "json"), default="text", help="form of the answer")

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{self.format_usage()}{self.prog}: {message}")

    def read(self, argv: Sequence[str]) -> argparse.Namespace:
        """The arguments. UsageError when they are wrong, HelpWanted when help is asked for."""
        if any(argument in ("-h", "--help") for argument in argv):
            raise HelpWanted(self.format_help())
        return self.parse_args(list(argv))


def whole(least: int, most: int) -> Callable[[str], int]:
    """An argument type: a whole number in plain digits between two bounds."""

    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or len(text) > len(str(most)) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number between {least} and {most}")
        return int(text)

    return number


def write_json(stdout: IO[str], value: object) -> None:
    """One JSON value and a line end."""
    stdout.write(json.dumps(value) + "\n")
