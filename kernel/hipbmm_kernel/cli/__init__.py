"""The commands for people. `command_line` is their frame, every other file has a parser and a function to an answer.

In: arguments. Out: one JSON value or a text on standard output, lines for people on standard error, and 0 (fine), 1
(something is wrong with what was looked at) or 2 (wrong usage): scripts depend on them (docs/pod-contract.md).

`plan` and `acceptance` are about a model and a machine, `check` about a CSV, `stores` about a store.
Never: an exit from inside, a traceback for what a file holds, a second value on standard output. The commands that run
in a pod are not here: they must not pay for argparse. Imported by `__main__` only.
"""
