"""What a shell variable may hold, and what a word of pieces becomes with it.

A value that only running the script would show is UNKNOWN. One that depends on a condition which cannot be decided is
one of few alternatives. Both travel through fields as marks, so that a word may carry them until somebody needs it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hipbmm_kernel.argv import words
from hipbmm_kernel.argv.words import Piece, Token

Value = tuple[str, ...]
"""The alternatives; one for a known value, none for an unknown one."""
UNKNOWN: Value = ()
EMPTY: Value = ("",)
ANY = "\0\0"
"""An unknown value in a field."""
MAX_ALTERNATIVES = 8
_MARK = re.compile("\0(\\d*)\0")
_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])(?:(:?[-+=?])(.*))?", re.DOTALL)


class Variables(NamedTuple):
    """Variables and positional parameters. `complete` is false after a script may have set others (`source`)."""

    named: Mapping[str, Value]
    positional: tuple[str, ...] = ()
    complete: bool = True

    def get(self, name: str) -> Value | None:
        """The value of a variable, None when it is not set."""
        if name in ("@", "*"):
            return (" ".join(self.positional),) if self.positional else None
        if name == "#":
            return (str(len(self.positional)),)
        if name == "0":
            return self.named.get(name, UNKNOWN)
        if name.isdigit():
            number = int(name)
            return (self.positional[number - 1],) if 0 < number <= len(self.positional) else None
        if not name[0].isalpha() and name[0] != "_":
            return UNKNOWN
        return self.named.get(name, None if self.complete else UNKNOWN)


class Marks:
    """The alternatives that marks in fields stand for."""

    def __init__(self) -> None:
        self._values: list[Value] = []

    def of(self, value: Value) -> str:
        """The text of a known value, a mark for any other."""
        if len(value) == 1:
            return value[0]
        if not value:
            return ANY
        self._values.append(value)
        return f"\0{len(self._values) - 1}\0"

    def alternatives(self, field: str) -> Value | None:
        """All that a field may be; None when it holds something unknown."""
        found = [""]
        at = 0
        for mark in _MARK.finditer(field):
            if not mark[1] or len(found) * len(self._values[int(mark[1])]) > MAX_ALTERNATIVES:
                return None
            found = [
                f"{text}{field[at : mark.start()]}{value}" for text in found for value in self._values[int(mark[1])]
            ]
            at = mark.end()
        return tuple(dict.fromkeys(f"{text}{field[at:]}" for text in found))

    def value(self, field: str) -> Value:
        """The same as a variable's value."""
        return self.alternatives(field) or UNKNOWN


def is_marked(field: str) -> bool:
    """Whether a field holds something that is not known for certain."""
    return "\0" in field


def forgotten(field: str) -> str:
    """A field for another walk, which does not know the alternatives of this one."""
    return _MARK.sub(ANY, field)


def without_marks(field: str) -> str:
    """A field for people to read."""
    return _MARK.sub("?", field)


def union(values: Sequence[Value]) -> Value:
    """What a variable may be after one of several branches ran."""
    if any(not value for value in values):
        return UNKNOWN
    found = tuple(dict.fromkeys(text for value in values for text in value))
    return found if len(found) <= MAX_ALTERNATIVES else UNKNOWN


class Expander:
    """Words into fields, as a shell does it: unquoted expansions are split at blanks."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks

    def fields(self, token: Token, variables: Variables) -> list[str]:
        """The fields of a word."""
        if token.operator:
            return [token.operator]
        return self._fields(token.word, variables)

    def text(self, token: Token, variables: Variables) -> str:
        """A word as one field, as in an assignment."""
        return " ".join(self._fields(tuple(p._replace(quoted=True) for p in token.word), variables))

    def _fields(self, word: tuple[Piece, ...], variables: Variables) -> list[str]:
        found: list[str] = []
        begun = False
        for piece in word:
            parts = self._parts(piece, variables)
            if not parts:
                continue
            if begun and parts[0] is not None:
                found[-1] += parts[0]
            found += [part for part in (parts[1:] if begun else parts) if part is not None]
            begun = parts[-1] is not None
        return found

    def _parts(self, piece: Piece, variables: Variables) -> list[str | None]:
        """Texts to be joined to their neighbours; None where a blank separates."""
        if piece.kind == words.TEXT:
            return [piece.text]
        if piece.kind == words.UNKNOWN:
            return [ANY]
        if piece.quoted and piece.text == "@":
            return list(variables.positional) if variables.positional else []
        text = self._parameter(piece, variables)
        if piece.quoted:
            return [text]
        split: list[str | None] = list(text.split())
        before: list[str | None] = [None] if text[:1].isspace() else []
        after: list[str | None] = [None] if split and text[-1:].isspace() else []
        return [*before, *split, *after]

    def _parameter(self, piece: Piece, variables: Variables) -> str:
        reference = _REFERENCE.fullmatch(piece.text)
        if reference is None:
            return ANY
        name, operator, default = reference[1], reference[2] or "", reference[3] or ""
        value = variables.get(name)
        empty = value is None or (operator.startswith(":") and value == EMPTY)
        if operator.startswith(":") and value is not None and len(value) > 1 and "" in value:
            return ANY
        other = operator[-1:]
        if (other in ("-", "=") and empty) or (other == "+" and not empty and value != UNKNOWN):
            return " ".join(self._fields(words.pieces(default, quoted=True), variables))
        if other == "+" and empty:
            return ""
        return self._marks.of(UNKNOWN if other == "+" else EMPTY if value is None else value)
