"""Commands of the program: `python -m hipbmm_kernel COMMAND`, or `python3 DIR-OR-ZIP COMMAND`.

Each command is imported when it is asked for: `warm` on a complete store must not pay for anything it does not use.
"""

import gc
import importlib
import os
import sys

USAGE = """usage: hipbmm_kernel COMMAND ...

in a pod (settings by HIPBMM_* variables, see docs/pod-contract.md):
  payload DIR           leave the program in DIR/kernel
  payload --zip FILE    the program as one file, for pods that are not ours
  warm                  plan, load, tune, verify, publish, and write the served file
  exec -- COMMAND ...   last checks, then become the server
  warm -- ARGV          the same beside a server that is not ours; status 0 always
  exec --foreign -- COMMAND ...
                        become a server that is not ours, with the table where `warm` has proven it
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
SHARING = frozenset({"warm", "harvest", "import", "compact"})
"""Commands that make directories in a store. Pods of other users write into them, too, if their group may."""
VERSION_FLAGS = ("-V", "--version")
HELP_FLAGS = ("-h", "--help", "help")

IN_A_POD = {
    "warm": ("pod.warm", "warm_command"),
    "exec": ("pod.exec", "exec_command"),
    "harvest": ("harvest.sidecar", "harvest_command"),
}
"""Commands of (arguments, environment, standard error)."""

FOREIGN = {
    ("warm", "--"): ("foreign.warm", "warm_command"),
    ("exec", "--foreign"): ("foreign.exec", "exec_command"),
}
"""The same in a pod that is not ours: by the name of a command and its first argument."""

ANYWHERE = {
    "payload": ("pod.payload", "payload_command"),
    "plan": ("cli.plan", "plan_command"),
    "check": ("cli.check", "check_command"),
    "merge": ("cli.stores", "merge_command"),
    "export": ("cli.stores", "export_command"),
    "import": ("cli.stores", "import_command"),
    "compact": ("cli.stores", "compact_command"),
    "acceptance": ("cli.acceptance", "acceptance_command"),
}
"""Commands of (arguments, standard output, standard error)."""

PRINTING_NO_HELP = {*IN_A_POD, "payload"}
"""Commands without a parser of arguments: --help behind them is that of the program."""


def main(argv: list[str]) -> int:
    """Run one command: 0 fine, 1 found something wrong, 2 wrong usage."""
    gc.set_threshold(YOUNG_CONTAINERS, *gc.get_threshold()[1:])
    name = argv[0] if argv else ""
    foreign = FOREIGN.get((name, argv[1])) if argv[1:] else None
    module, function = foreign or IN_A_POD.get(name) or ANYWHERE.get(name) or ("", "")
    asks_for_help = name in PRINTING_NO_HELP and argv[1:2] in (["-h"], ["--help"])
    if module and not asks_for_help:
        if name in SHARING:
            os.umask(0o002)
        command = getattr(importlib.import_module(f"hipbmm_kernel.{module}"), function)
        status = int(command(argv[1:], os.environ if name in IN_A_POD else sys.stdout, sys.stderr))
        gc.freeze()  # else the interpreter looks for cycles among all that is left as it ends: a twentieth of `warm`
        return status
    if module or name in HELP_FLAGS:
        sys.stdout.write(USAGE)
        return 0
    if name in VERSION_FLAGS:
        from hipbmm_kernel import __version__  # noqa: PLC0415 - see the module's docstring

        sys.stdout.write(f"hipbmm_kernel {__version__}\n")
        return 0
    sys.stderr.write(USAGE)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
