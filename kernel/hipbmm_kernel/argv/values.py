"""What a shell variable may hold, and what a word of pieces becomes with it.

A value that only running the script would show is UNKNOWN. One that depends on a condition which cannot be decided is
one of few alternatives. Both travel through fields as marks, so that a word may carry them until somebody needs it.
"""

import glob
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from hipbmm_kernel.argv import words
from hipbmm_kernel.argv.words import Piece, Token
from hipbmm_kernel.argv.work import COMPARED, COPIED, PATTERN, Work

Value = tuple[str, ...]
"""The alternatives; one for a known value, none for an unknown one."""
Fields = tuple[str, ...]
UNKNOWN: Value = ()
EMPTY: Value = ("",)
ANY = "\0\0"
"""An unknown value in a field."""
MAX_ALTERNATIVES = 8
_OF_THE_SHELL = frozenset(
    {
        *("_", "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "EUID", "FUNCNAME", "GROUPS", "HOSTNAME", "HOSTTYPE"),
        *("IFS", "LINENO", "MACHTYPE", "MAPFILE", "OLDPWD", "OPTARG", "OPTERR", "OPTIND", "OSTYPE", "PIPESTATUS"),
        *("PPID", "PS4", "PWD", "RANDOM", "REPLY", "SECONDS", "SHELL", "SHELLOPTS", "SHLVL", "SRANDOM", "TERM", "UID"),
    }
)
"""Variables that shells set by themselves, beside those of bash that begin with its name."""
_MARK = re.compile("\0(\\d*)w?\0")
_MARK_OF_WORDS = re.compile("\0\\d+w\0")
_ONE_WORD = re.compile(r"[^\s*?\[\0]+")
_WORD = re.compile(r"\w+")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=", re.DOTALL)
_ARRAY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\[([@*]|[0-9]{1,4})\]")
_INDEXED = re.compile(r"\[.*\]=", re.DOTALL)
_PATTERN = re.compile(r"^~\w|[*?]|\[[^/\[]*/|/[^/\[]*\[")
_OPERAND = re.compile(r"([-+*/]?)\s*(\w+)\s*", re.ASCII)
_NUMBER = re.compile(r"\s*-?(?:[1-9][0-9]{0,8}|0)\s*", re.ASCII)
_MAX_COMPUTED = 2**31
_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])(?:(:?[-+=?])(.*))?", re.DOTALL)


class Variables(NamedTuple):
    """Variables and positional parameters. `complete` is false after a script may have set others (`source`).

    `name` is `$0`. An array is in `named` with its first field, as `$A` means that, and whole in `arrays`.
    """

    named: Mapping[str, Value]
    positional: tuple[str, ...] = ()
    complete: bool = True
    name: str = ""
    arrays: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    def get(self, name: str) -> Value | None:
        """The value of a variable, None when it is not set."""
        if name == "*" and "IFS" in self.named:
            return UNKNOWN
        if name in ("@", "*"):
            return (" ".join(self.positional),) if self.positional else None
        if name == "#":
            return (str(len(self.positional)),) if all(map(is_one, self.positional)) else UNKNOWN
        if name.isdigit():
            parameters = (self.name, *self.positional)
            known = all(map(is_one, self.positional[: int(name)]))
            return parameters[int(name) :][:1] or None if known else UNKNOWN
        if not name[0].isalpha() and name[0] != "_":
            return UNKNOWN
        is_known = self.complete and name not in _OF_THE_SHELL and not name.startswith("BASH")
        return self.named.get(name, None if is_known else UNKNOWN)

    def changed(self, name: str, value: Value, fields: tuple[str, ...] | None = None) -> "Variables":
        """With another value, or with an array of these fields."""
        arrays = {key: value for key, value in self.arrays.items() if key != name}
        if fields is not None:
            arrays[name] = fields
        return self._replace(named={**self.named, name: value}, arrays=arrays)

    def restored(self, name: str, before: "Variables") -> "Variables":
        """With a variable as it was before."""
        value = before.named.get(name)
        return self.without(name) if value is None else self.changed(name, value, before.arrays.get(name))

    def without(self, name: str) -> "Variables":
        """Without a variable."""
        named = {key: value for key, value in self.named.items() if key != name}
        return self._replace(named=named, arrays={key: each for key, each in self.arrays.items() if key != name})


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
        return f"\0{len(self._values) - 1}{'w' * all(map(_ONE_WORD.fullmatch, value))}\0"

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
        return (self.alternatives(field) or UNKNOWN) if len(field) <= words.MAX_TEXT else UNKNOWN


def is_marked(field: str) -> bool:
    """Whether a field holds something that is not known for certain."""
    return "\0" in field


def is_one(field: str) -> bool:
    """Whether a field is one word for certain; one that is not known and not in quotes may be several, or none."""
    return not is_marked(_MARK_OF_WORDS.sub("", field))


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


def changes(before: Mapping[str, Value], after: Mapping[str, Value]) -> set[str]:
    """The names whose values differ."""
    return {name for name, _ in before.items() ^ after.items()}


def merged(ways: list[Variables], work: Work) -> Variables:
    """What is known after one of several ways was gone."""
    if len(ways) == 1 or all(way is ways[0] for way in ways):
        return ways[0]
    work.take(sum(len(way.named) for way in ways) // COMPARED)
    first = ways[0].named
    differing = {name for way in ways for name in changes(first, way.named)}
    named = {name: union([way.named.get(name, EMPTY) for way in ways]) for name in differing}
    return _alike(ways, {**first, **named})


def blurred(before: Variables, after: Variables, work: Work) -> Variables:
    """What is known after something happened any number of times, of which `after` is the first."""
    work.take(len(after.named) // COMPARED)
    differing = changes(before.named, after.named)
    return _alike([before, after], {**before.named, **dict.fromkeys(differing, UNKNOWN)})


def _alike(ways: list[Variables], named: Mapping[str, Value]) -> Variables:
    """`named` with what is the same in all ways; arrays and parameters that are not are unknown."""
    first = ways[0]
    kept = {
        name: fields for name, fields in first.arrays.items() if all(way.arrays.get(name) == fields for way in ways)
    }
    lost = dict.fromkeys((name for way in ways for name in way.arrays if name not in kept), UNKNOWN)
    positional = first.positional if all(way.positional == first.positional for way in ways) else (ANY,)
    complete = all(way.complete for way in ways)
    return Variables({**named, **lost}, positional, complete, first.name, kept)


class Expander:
    """Words into fields, as a shell does it: unquoted expansions are split at blanks."""

    def __init__(self, marks: Marks, work: Work, *, is_bash: bool) -> None:
        self._marks = marks
        self._is_bash = is_bash
        self._work = work

    def fields(self, token: Token, variables: Variables) -> list[str]:
        """The fields of a word."""
        if token.operator:
            return [token.operator]
        return [ANY] if _is_pattern(token.word) else self._fields(token.word, variables)

    def text(self, token: Token, variables: Variables) -> str:
        """A word as one field, as in an assignment."""
        return " ".join(self._fields(token.word, variables, split=False))

    def pattern(self, token: Token, variables: Variables) -> str:
        """A word as the pattern of `case`, or of `==` in `[[`: what is quoted means itself."""
        literal = (
            glob.escape(text) if piece.quoted else text
            for piece in token.word
            for text in [self.text(Token("", (piece,)), variables)]
        )
        found = "".join(literal).replace("[^", "[!")
        self._work.take(PATTERN + len(found))
        return found

    def defaults(self, tokens: Iterable[Token], variables: Variables) -> Iterator[tuple[str, Value]]:
        """The variables that `${V:=default}` sets, and to what; one that a word before it needs is not known then.

        Nor is what `$((V = 1))` sets.
        """
        used: set[str] = set()
        parts = (words.tokens(each.word[1].text[1:-1], self._work) if each.is_array else [each] for each in tokens)
        for piece in (piece for part in parts for token in part for piece in token.word if piece.kind != words.TEXT):
            if piece.kind == words.UNKNOWN:
                yield from ((name, UNKNOWN) for name in words.computed(piece.text) if piece.text.startswith("$(("))
                continue
            found = _REFERENCE.fullmatch(piece.text)
            if found and found[2] in ("=", ":="):
                late = found[1] in used and variables.get(found[1]) in (None, EMPTY)
                other = piece._replace(text=f"{found[1]}{found[2][:-1]}-{found[3]}")
                value = UNKNOWN if late else self._marks.value(self.text(Token("", (other,)), variables))
                variables = variables.changed(found[1], value)
                yield found[1], value
            used.update(_WORD.findall(piece.text))

    def assigned(self, token: Token, variables: Variables) -> tuple[str, Value, Fields | None] | None:
        """The variable that `V=text` or `V=(...)` sets, its value, and its fields as an array; None for other words."""
        first = token.word[0] if token.word else None
        found = _ASSIGNMENT.match(first.text) if first and first[::2] == (words.TEXT, False) else None
        if first is None or found is None:
            return None
        name, extends = found[1], found[2] != ""
        if token.is_array:
            fields = self._elements(
                token.word[1].text[1:-1], variables, self._array(name, variables) if extends else ()
            )
            value = UNKNOWN if fields is None else self._marks.value(fields[0]) if fields else EMPTY
            return name, value, fields
        text = self.text(Token("", (first._replace(text=first.text[found.end() :]), *token.word[1:])), variables)
        if extends:
            before = variables.get(name)
            text = (self._marks.of(EMPTY if before is None else before) if self._is_bash else ANY) + text
        return name, self._marks.value(text), None

    def _elements(self, text: str, variables: Variables, before: Fields | None) -> Fields | None:
        """The fields of an array behind those that it had; None when they are not known."""
        inner = [each for each in words.tokens(text, self._work) if each.operator != "\n"]
        self._work.take(len(before or ()) // COPIED)
        fields = tuple(field for each in inner for field in self.fields(each, variables))
        odd = any(each.operator or _INDEXED.match(each.word[0].text) for each in inner)
        return None if before is None or odd else (*before, *fields)

    def _array(self, name: str, variables: Variables) -> Fields | None:
        """The fields of a variable as an array; None when they are not known."""
        fields, value = variables.arrays.get(name), variables.get(name)
        if fields is not None or value is None:
            return fields or ()
        return value if len(value) == 1 else None

    def _fields(self, word: tuple[Piece, ...], variables: Variables, *, split: bool = True) -> list[str]:
        found: list[str] = []
        begun = False
        for piece in _with_home(word):
            parts = self._parts(piece, variables, whole=piece.quoted or not split)
            if not parts:
                continue
            self._work.take(sum(1 + len(part or "") // COPIED for part in parts))
            if begun and parts[0] is not None:
                found[-1] += parts[0]
            found += [part for part in (parts[1:] if begun else parts) if part is not None]
            begun = parts[-1] is not None
        return found

    def _parts(self, piece: Piece, variables: Variables, *, whole: bool) -> Sequence[str | None]:
        """Texts to be joined to their neighbours; None where a blank separates. `whole`: no blank does."""
        self._work.take(1 + len(variables.positional) // COPIED)
        if piece.kind != words.PARAMETER:
            text = piece.text if piece.kind == words.TEXT else self._computed(piece.text, variables)
            return [text] if whole else _separated(text)
        array = _ARRAY.fullmatch(piece.text)
        fields = self._array(array[1], variables) if array else None
        if whole and (piece.text == "@" or (piece.text.startswith(("@-", "@:-")) and any(variables.positional))):
            return variables.positional
        if array and whole and array[2] == "@" and fields is not None:
            return fields
        found = self._element(array[2], fields, variables) if array else self._parameter(piece, variables)
        if not isinstance(found, str):
            fields = tuple(self._fields(found, variables, split=not whole))
            return [" ".join(fields)] if whole else fields
        if whole:
            return [found]
        parts = [ANY] if "IFS" in variables.named else _separated(found)
        return [ANY if part and set("*?") & set(part) else part for part in parts]

    def _computed(self, text: str, variables: Variables) -> str:
        """What `$((A * 2 + 1))` is, of known numbers and without brackets; a mark for anything else."""
        if not text.startswith("$(("):
            return "" if text == words.TRANSLATION and self._is_bash else ANY
        inner = self.text(Token("", words.pieces(text[3:-2], self._work, quoted=True)), variables).strip()
        self._work.take(len(inner))
        addends, at = [0], 0
        while at < len(inner):
            found = _OPERAND.match(inner, at)
            operand = _number(found[2], variables) if found else None
            if found is None or operand is None or (at == 0) != (found[1] == "") or abs(addends[-1]) > _MAX_COMPUTED:
                return ANY
            at = found.end()
            if found[1] == "*":
                addends[-1] *= operand
            elif found[1] == "/":
                if operand == 0:
                    return ANY
                addends[-1] = int(addends[-1] / operand)
            else:
                addends.append(-operand if found[1] == "-" else operand)
        return str(sum(addends))

    def _element(self, index: str, fields: tuple[str, ...] | None, variables: Variables) -> str:
        if (
            fields is None
            or (index == "*" and "IFS" in variables.named)
            or any(" " in field for field in fields if not index.isdigit())
            or (index.isdigit() and not all(map(is_one, fields[: int(index) + 1])))
        ):
            return ANY
        return " ".join(fields) if not index.isdigit() else fields[int(index)] if int(index) < len(fields) else ""

    def _parameter(self, piece: Piece, variables: Variables) -> str | tuple[Piece, ...]:
        """The value of a parameter, or the word that stands for it: the default of `${V:-default}`."""
        reference = _REFERENCE.fullmatch(piece.text)
        if reference is None:
            return ANY
        name, operator, default = reference[1], reference[2] or "", reference[3] or ""
        value = variables.get(name)
        empty = value is None or (operator.startswith(":") and value == EMPTY)
        unsure = operator.startswith(":") and value is not None and len(value) > 1 and "" in value
        unsure = unsure or (name == "#" and operator != "")  # `${#-}` is how long `$-` is
        # dash takes no parameters for some that are empty, which makes no difference to `${@+"$@"}`.
        is_odd = name in ("@", "*") and operator in ("-", "+") and default not in ("$@", '"$@"')
        if unsure or (is_odd and value is None and not self._is_bash):
            return ANY
        other = operator[-1:]
        if other == "=" and empty and default:
            return ANY  # what it sets in such a place is not followed
        if (other in ("-", "=") and empty) or (other == "+" and not empty and value != UNKNOWN):
            return words.pieces(default, self._work, quoted=piece.quoted)
        if other == "+" and empty:
            return ""
        return self._marks.of(UNKNOWN if other == "+" else EMPTY if value is None else value)


def _number(name: str, variables: Variables) -> int | None:
    """A number, or that of a variable, where it is certain; None for one that is octal or large."""
    value = (name,) if name.isdigit() else variables.get(name)
    return int(value[0]) if value and len(value) == 1 and _NUMBER.fullmatch(value[0]) else None


def _with_home(word: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """A word with `$HOME` for a `~` at its beginning."""
    first = word[0] if word else Piece(words.TEXT, "", quoted=True)
    if first[::2] != (words.TEXT, False) or first.text[:2] not in ("~", "~/") or (first.text == "~" and len(word) > 1):
        return word
    return (Piece(words.PARAMETER, "HOME", quoted=True), first._replace(text=first.text[1:]), *word[1:])


def _separated(text: str) -> list[str | None]:
    """The fields of a text, and None where a blank separates them from their neighbours."""
    fields = text.split()
    before: list[str | None] = [None] if text[:1].isspace() else []
    after: list[str | None] = [None] if fields and text[-1:].isspace() else []
    return [*before, *fields, *after]


def _is_pattern(word: tuple[Piece, ...]) -> bool:
    """Whether names of files may stand for a word, its braces for several words, or another user's home for `~NAME`."""
    return has_braces(word) or _PATTERN.search(_bare(word)) is not None


def has_braces(word: tuple[Piece, ...]) -> bool:
    """Whether a word may be several for its braces, `{1,2}`."""
    inner = (text.partition("{")[2] for text in _bare(word).split("}")[:-1])
    return any("," in text or ".." in text for text in inner)


def _bare(word: tuple[Piece, ...]) -> str:
    return "".join(piece.text if piece[::2] == (words.TEXT, False) else "_" for piece in word)
