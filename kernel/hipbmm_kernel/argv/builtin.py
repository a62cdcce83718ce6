"""Commands that are the shell's own: their options, what they set, where `cd` leads, and whether they succeed."""

import itertools
import posixpath
from collections.abc import Sequence

from hipbmm_kernel.argv import values
from hipbmm_kernel.argv.values import UNKNOWN, Fields, Marks, Value, Variables
from hipbmm_kernel.argv.work import ShellError

DECLARATIONS = frozenset({"export", "declare", "local", "readonly", "typeset"})
LOCAL = frozenset({"declare", "local", "typeset"})
OF_BASH = frozenset({"declare", "typeset"})
LEAVING = ("break", "continue")
SUCCEEDING = frozenset({"cd", "echo", "mkdir", "printf", "sleep", "trap", "ulimit", "umask", *LEAVING})
"""Commands that succeed wherever the script goes on at all."""
ENTERING = ("cd", "pushd", "popd")
_OF_CD = ("-L", "-P", "-e", "--")
HERE = "PWD"
"""Shells keep their directory in a variable, and so does this."""
READING = frozenset({"read", "mapfile", "readarray", "getopts", "let"})


class Ended(Exception):  # noqa: N818 - not an error
    """The script, its function, its loop or this round of the loop ends here, by the command that is named."""


def ends(name: str, *, in_loop: bool, in_function: bool) -> bool:
    """Whether a command ends something; where a loop's or a function's stands outside of one, the script goes on."""
    return name == "exit" or (name in LEAVING and in_loop) or (name == "return" and in_function)


def ending(name: str, arguments: Sequence[str]) -> Exception:
    """What a command that ends something raises."""
    return ShellError(f"{name} of several loops") if arguments and name in LEAVING else Ended(name)


def options_of_set(arguments: Sequence[str]) -> int:
    """How many words of `set` are options; `--` is none."""
    at = 0
    while at < len(arguments) and arguments[at][:1] in ("-", "+") and arguments[at] != "--":
        at += 2 if arguments[at][-1:] == "o" else 1
    return at


def shifted(positional: Fields, count: str = "1", *_: str, is_bash: bool) -> tuple[Fields, bool | None]:
    """The parameters behind `shift`, and whether it succeeds: with too few of them none goes, or the script ends."""
    gone = positional[: int(count)] if count.isdecimal() else (values.ANY,)
    if not all(map(values.is_one, gone)):
        return (values.ANY,), None
    if len(gone) < int(count):
        return positional, False if is_bash else None
    return positional[len(gone) :], True


def behind_exec(arguments: Sequence[str]) -> list[str]:
    """The command behind the options of `exec`: `-a NAME`, `-l`, and `-c`, which is `env -i`."""
    at, clears = 0, False
    while at < len(arguments) and arguments[at][:1] == "-" and arguments[at] != "--":
        clears = clears or "c" in arguments[at]
        at += 2 if arguments[at][-1:] == "a" else 1
    at += arguments[at : at + 1] == ["--"]
    return [*(["env", "-i"] if clears else []), *arguments[at:]]


def exports_all(options: Sequence[str], *, before: bool) -> bool:
    """Whether what is set behind `set` with these options is exported: `-a`, `-o allexport`."""
    for text, name in itertools.zip_longest(options, options[1:], fillvalue=""):
        if text[:1] in ("-", "+") and ("a" in text or name == "allexport"):
            before = text[0] == "-"
    return before


def entered(variables: Variables, marks: Marks, command: str, arguments: Sequence[str]) -> Variables:
    """The variables behind one of `ENTERING`."""
    here = variables.get(HERE) or UNKNOWN
    targets = [text for text in arguments if text not in _OF_CD]
    path = targets[0] if targets else marks.of(variables.get("HOME") or UNKNOWN)
    known = command != "popd" and path[:1] not in ("-", "+")  # `cd -`, `pushd +1`
    there: Value = marks.value(posixpath.join(marks.of(here), path)) if known else UNKNOWN
    absolute = there if all(text.startswith("/") for text in there) else UNKNOWN
    return variables.changed("OLDPWD", here).changed(HERE, tuple(map(posixpath.normpath, absolute)))
