"""Commands of the program: `python -m hipbmm_kernel COMMAND`, or `python3 DIR-OR-ZIP COMMAND`.

Each command is imported when it is asked for: `warm` on a complete store must not pay for anything it does not use.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[[list[str]], int]

USAGE = """usage: hipbmm_kernel COMMAND ...

in a pod (settings by HIPBMM_* variables, see docs/pod-contract.md):
  payload DIR           leave the program in DIR/kernel
  warm                  plan, load, tune, verify, publish, and write the served file
  exec -- COMMAND ...   last checks, then become the server
  harvest               publish rows that the server learns, serve metrics

anywhere:
  plan --config FILE ...          which problems a model has
  check FILE [--repair OUT]       read one of AITER's CSV files strictly
  merge DIR --out FILE            the table of a store as AITER's CSV
  export DIR FILE, import FILE DIR
                                  a store as one file, and back
  compact DIR                     replace many shards by one
  acceptance                      check every claim on a real MI3xx GPU
"""
YOUNG_CONTAINERS = 50_000
"""New containers before the garbage collector looks for cycles. The program makes many small tuples and hardly a cycle:
with the default a merge of 200,000 rows spends a quarter of its time in the collector."""
VERSION_FLAGS = ("-V", "--version")
HELP_FLAGS = ("-h", "--help", "help")


def main(argv: list[str]) -> int:
    """Run one command: 0 fine, 1 found something wrong, 2 wrong usage."""
    gc.set_threshold(YOUNG_CONTAINERS, *gc.get_threshold()[1:])
    command = COMMANDS.get(argv[0]) if argv else None
    if command is not None:
        return command(argv[1:])
    if argv and argv[0] in HELP_FLAGS:
        sys.stdout.write(USAGE)
        return 0
    if argv and argv[0] in VERSION_FLAGS:
        from hipbmm_kernel import __version__  # noqa: PLC0415 - see the module's docstring

        sys.stdout.write(f"hipbmm_kernel {__version__}\n")
        return 0
    sys.stderr.write(USAGE)
    return 2


def _payload(argv: list[str]) -> int:
    from hipbmm_kernel.pod.payload import payload_command  # noqa: PLC0415 - see the module's docstring

    return payload_command(argv, sys.stderr)


def _warm(argv: list[str]) -> int:
    from hipbmm_kernel.pod.warm import warm_command  # noqa: PLC0415 - see the module's docstring

    return warm_command(argv, os.environ, sys.stderr)


def _exec(argv: list[str]) -> int:
    from hipbmm_kernel.pod.exec import exec_command  # noqa: PLC0415 - see the module's docstring

    return exec_command(argv, os.environ, sys.stderr)


def _harvest(argv: list[str]) -> int:
    from hipbmm_kernel.harvest.sidecar import harvest_command  # noqa: PLC0415 - see the module's docstring

    return harvest_command(argv, os.environ, sys.stderr)


def _for_people(module: str, function: str) -> Command:
    """A command that answers on standard output, imported when it runs."""

    def run(argv: list[str]) -> int:
        command = getattr(importlib.import_module(f"hipbmm_kernel.{module}"), function)
        return int(command(argv, sys.stdout, sys.stderr))

    return run


COMMANDS: dict[str, Command] = {
    "payload": _payload,
    "warm": _warm,
    "exec": _exec,
    "harvest": _harvest,
    "plan": _for_people("cli.plan", "plan_command"),
    "check": _for_people("cli.check", "check_command"),
    "merge": _for_people("cli.merge", "merge_command"),
    "export": _for_people("cli.archive", "export_command"),
    "import": _for_people("cli.archive", "import_command"),
    "compact": _for_people("cli.compact", "compact_command"),
    "acceptance": _for_people("cli.acceptance", "acceptance_command"),
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
