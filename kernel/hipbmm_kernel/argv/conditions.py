"""What tests of known fields result in, `[ ... ]`, `[[ ... ]]` and `case`, and what is known behind `&&` and `||`."""

import fnmatch
import itertools
import operator
from collections.abc import Sequence
from typing import NamedTuple

from hipbmm_kernel.argv.values import Marks, Variables, is_marked

MAX_WAYS = 64
COMPARING = (["="], ["=="], ["!="])
"""The words of `[[` that a pattern follows."""
_NUMERIC = {
    "-eq": operator.eq,
    "-ne": operator.ne,
    "-lt": operator.lt,
    "-le": operator.le,
    "-gt": operator.gt,
    "-ge": operator.ge,
}


class Chain(NamedTuple):
    """Behind a command of `a && b || c` the next one is `skipped`, or it is `doubtful` whether it runs.

    `before` are the variables behind the first command that was taken to succeed, None where none was: what is set
    after it holds in the chain only.
    """

    skipped: bool = False
    doubtful: bool = False
    before: Variables | None = None

    def behind(self, operator: str, result: bool | None, assumed: Variables | None) -> "Chain":
        """The chain behind `&&` or `||`; `result` is of the command before, None when it is not known.

        `assumed` are the variables now, where a command was taken to succeed; else None.
        """
        known = None if operator == "||" and assumed is not None else result
        return Chain(known is (operator == "||"), known is None, self.before or assumed)


def result(fields: Sequence[str], marks: Marks, *, patterns: bool, is_bash: bool) -> bool | None:
    """None when something is not known, or a file is asked for. With `patterns` as in `[[`: what `=` compares to.

    To a plain `sh` all `[[` and each `==` may be errors, which are false: there they are never known to be true.
    """
    found = _result(fields, marks, patterns=patterns)
    return None if found and not is_bash and (patterns or "==" in fields) else found


def fits(word: str, patterns: Sequence[str], marks: Marks) -> bool | None:
    """Whether a word is like one of the patterns, as `case` asks; None when that is not known."""
    known = () if any(map(is_marked, patterns)) else marks.alternatives(word) or ()
    results = {any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns) for text in known}
    return True if "*" in patterns else results.pop() if len(results) == 1 else None


def _result(fields: Sequence[str], marks: Marks, *, patterns: bool) -> bool | None:
    for connector, decides in (("||", True), ("&&", False)):
        if connector in fields and "(" not in fields:
            at = fields.index(connector)
            sides = (fields[:at], fields[at + 1 :])
            results = tuple(_result(side, marks, patterns=patterns) for side in sides)
            return decides if decides in results else None if None in results else not decides
    if fields[:1] == ["!"]:
        inverse = _result(fields[1:], marks, patterns=patterns)
        return None if inverse is None else not inverse
    alternatives = [marks.alternatives(field) for field in fields]
    if any(found is None for found in alternatives):
        return None
    ways = list(itertools.islice(itertools.product(*(found or () for found in alternatives)), MAX_WAYS + 1))
    results_of = {_decided(way, patterns) for way in ways}
    return results_of.pop() if len(results_of) == 1 and len(ways) <= MAX_WAYS else None


def _decided(fields: tuple[str, ...], patterns: bool) -> bool | None:
    match fields:
        case ():
            return False
        case (text,):
            return text != ""
        case ("-z" | "-n" as name, text):
            return (text == "") == (name == "-z")
        case (left, "=" | "==" | "!=" as name, right):
            same = fnmatch.fnmatchcase(left, right) if patterns else left == right
            return same == (name != "!=")
        case (left, name, right) if name in _NUMERIC and _is_number(left) and _is_number(right):
            return bool(_NUMERIC[name](int(left), int(right)))
    return None


def _is_number(text: str) -> bool:
    """Whether all shells read the same number: a leading 0 is octal to some."""
    digits = text.removeprefix("-")
    return digits.isdecimal() and (digits[0] != "0" or digits == "0")
