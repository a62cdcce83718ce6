"""Commands that are the shell's own: their options, what they set, and whether they succeed."""

import itertools
import re
from collections.abc import Sequence

DECLARATIONS = frozenset({"export", "declare", "local", "readonly", "typeset"})
LOCAL = frozenset({"declare", "local", "typeset"})
OF_BASH = frozenset({"declare", "typeset"})
SUCCEEDING = frozenset({"cd", "echo", "mkdir", "printf", "sleep", "trap", "ulimit", "umask"})
"""Commands that succeed wherever the script goes on at all."""
LEAVING = ("break", "continue")
READING = frozenset({"read", "mapfile", "readarray", "getopts", "let"})
OF_THE_SHELL = frozenset(
    {
        *("_", "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "EUID", "FUNCNAME", "GROUPS", "HOSTNAME", "HOSTTYPE"),
        *("IFS", "LINENO", "MACHTYPE", "MAPFILE", "OLDPWD", "OPTARG", "OPTERR", "OPTIND", "OSTYPE", "PIPESTATUS"),
        *("PPID", "PS4", "PWD", "RANDOM", "REPLY", "SECONDS", "SHELL", "SHELLOPTS", "SHLVL", "SRANDOM", "TERM", "UID"),
    }
)
"""Variables that shells set by themselves, beside those of bash that begin with its name."""
_COMPUTED = re.compile(r"\b([A-Za-z_]\w*)(?:\s*(?:[-+*/%&|^]|<<|>>)?=(?!=)|\+\+|--)", re.ASCII)


def computed(text: str) -> list[str]:
    """The variables that an arithmetic text sets."""
    return _COMPUTED.findall(text)


def options_of_set(arguments: Sequence[str]) -> int:
    """How many words of `set` are options; `--` is none."""
    at = 0
    while at < len(arguments) and arguments[at][:1] in ("-", "+") and arguments[at] != "--":
        at += 2 if arguments[at][-1:] == "o" else 1
    return at


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
