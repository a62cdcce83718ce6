"""`payload DIR`: leave the program in DIR/kernel, complete or not at all, for the serving image's Python to run.

The copy is what the OpenTelemetry operator calls injection: an init container of the small operator image puts pure
Python into a volume that the big serving image shares. Compiled files are left out, they belong to another Python.
"""

# ruff: noqa: PTH100, PTH103, PTH104, PTH118, PTH120, PTH123
# Paths are text here: pathlib would cost `warm` 5 ms at every start, and system calls take text.

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

PACKAGE = "hipbmm_kernel"
MAIN = f'''"""Runs the program from a directory or zip: python3 DIR COMMAND."""

import sys

from {PACKAGE}.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
'''
USAGE = "usage: hipbmm_kernel payload DIR\n"


def payload_command(argv: list[str], stderr: TextIO) -> int:
    """`payload DIR`: 0 when DIR/kernel holds the program, 1 when it could not be written, 2 on wrong usage."""
    if len(argv) != 1 or argv[0].startswith("-"):
        stderr.write(USAGE)
        return 2
    try:
        files = copy_program(argv[0])
    except OSError as error:
        stderr.write(f"hipbmm payload: {error}\n")
        return 1
    stderr.write(f"hipbmm payload: {files} files in {argv[0]}/kernel\n")
    return 0


def copy_program(home: str) -> int:
    """Put the program into `home`/kernel; how many files. OSError when it fails.

    Nothing else is made here: this container's user is not the serving image's, and root without capabilities (the
    usual user of a serving image) cannot write into another user's directory.
    """
    target = f"{home}/kernel"
    fresh = f"{home}/kernel.{os.getpid()}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    os.makedirs(fresh)
    files = _copy_package(f"{fresh}/{PACKAGE}")
    with open(f"{fresh}/__main__.py", "w", encoding="ascii") as main:
        main.write(MAIN)
    shutil.rmtree(target, ignore_errors=True)
    os.rename(fresh, target)
    return files + 1


def _copy_package(target: str) -> int:
    """Copy the package's sources as a reader of any user, from wherever it was imported; how many files."""
    source = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    files = 0
    for directory, names, found in os.walk(source):
        names[:] = [name for name in names if name != "__pycache__"]
        place = os.path.normpath(os.path.join(target, os.path.relpath(directory, source)))
        os.makedirs(place, exist_ok=True)
        for name in found:
            if not name.endswith((".pyc", ".pyo")):
                shutil.copyfile(f"{directory}/{name}", f"{place}/{name}")
                files += 1
    return files
