"""Shell text as tokens: words of pieces, and operators. POSIX quoting, with what bash adds to words.

A piece keeps whether it was quoted, since an unquoted expansion is split into fields. What only running it would show
(`$(...)`, backquotes, arithmetic, arrays) is a piece of kind UNKNOWN.
"""

import re
from typing import NamedTuple

TEXT, PARAMETER, UNKNOWN = "text", "parameter", "unknown"
MAX_TEXT = 128 << 10
_BLANK = " \t\r"
_OPERATOR = re.compile(r"\n|;;|;|&&|\|\||\|&|\||&>>|&>|\d*(?:<<<|<<-|<<|<>|>>|>&|<&|>\||>|<)|&|\(|\)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
_CLOSING = {"(": ")", "{": "}"}


class ShellError(ValueError):
    """The text is not shell, or is more than is read here; the message says where."""


class Piece(NamedTuple):
    """A part of a word. The text of a PARAMETER is what the braces hold: `V`, `V:-default`, `@`."""

    kind: str
    text: str
    quoted: bool


class Token(NamedTuple):
    """An operator, or a word when `operator` is empty."""

    operator: str
    word: tuple[Piece, ...] = ()

    @property
    def plain(self) -> str:
        """The text of an unquoted word without expansions, as reserved words are; "" for any other token."""
        return self.word[0].text if len(self.word) == 1 and self.word[0][::2] == (TEXT, False) else ""

    @property
    def is_arithmetic(self) -> bool:
        """Whether this is `((...))`."""
        return len(self.word) == 1 and self.word[0].kind == UNKNOWN and self.word[0].text.startswith("((")

    @property
    def is_array(self) -> bool:
        """Whether this is `V=(...)` or `V+=(...)`."""
        kinds = tuple(piece.kind for piece in self.word)
        return kinds == (TEXT, UNKNOWN) and self.word[0].text[-1:] == "=" and self.word[1].text[:1] == "("


ALL_PARAMETERS = Token("", (Piece(PARAMETER, "@", quoted=True),))
"""`"$@"`."""


def tokens(text: str) -> list[Token]:
    """The tokens of shell text. ShellError when a quote or bracket is not closed."""
    if len(text) > MAX_TEXT:
        raise ShellError(f"more than {MAX_TEXT} characters")
    return _Lexer(text).run()


def pieces(text: str, *, quoted: bool) -> tuple[Piece, ...]:
    """The pieces of the default in `${V:-default}`, which is one word with blanks in it."""
    lexer = _Lexer(text)
    lexer.default(quoted)
    return tuple(lexer.word)


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.word: list[Piece] = []
        self._begun = False
        self._found: list[Token] = []
        self._documents: list[tuple[str, bool]] = []

    def run(self) -> list[Token]:
        while self._at < len(self._text):
            self._step()
        self._end_word()
        return self._found

    def default(self, quoted: bool) -> None:
        while self._at < len(self._text):
            if quoted and self._text[self._at] != '"':
                self._in_double_quotes()
            elif not self._special(self._text[self._at]):
                self._take(quoted=quoted)

    def _step(self) -> None:
        character = self._text[self._at]
        if self._text.startswith(("\\\n", "\\\r\n"), self._at):
            self._at = self._text.index("\n", self._at) + 1
        elif character in _BLANK:
            self._end_word()
            self._at += 1
        elif character == "#" and not self._begun:
            self._at = _or_end(self._text.find("\n", self._at), self._text)
        elif self._text.startswith("((", self._at) and not self._begun:
            self._add(UNKNOWN, self._balanced(), quoted=False)
        elif self._text.startswith(("<(", ">("), self._at) and not self._begun:
            self._at += 1
            self._add(UNKNOWN, self._balanced(), quoted=False)
        elif character == "(" and self._is_assignment():
            self._add(UNKNOWN, self._balanced(), quoted=False)
        elif not self._operator() and not self._special(character):
            self._take(quoted=False)

    def _operator(self) -> bool:
        found = _OPERATOR.match(self._text, self._at)
        if found is None or (found[0][0].isdigit() and self._begun):
            return False
        self._end_word()
        self._at = found.end()
        self._found.append(Token(found[0].lstrip("0123456789")))
        if found[0] == "\n" and self._documents:
            self._skip_documents()
        return True

    def _special(self, character: str) -> bool:
        """Take a quote, an escape or an expansion; False for any other character."""
        if character == "'":
            self._quoted_text(self._until("'", self._at + 1))
        elif character == '"':
            self._double_quotes()
        elif character == "\\":
            self._add(TEXT, self._text[self._at + 1 : self._at + 2], quoted=True)
            self._at += 2
        elif character == "`":
            self._unknown_until("`", quoted=False)
        elif character == "$":
            self._dollar(quoted=False)
        else:
            return False
        return True

    def _quoted_text(self, end: int) -> None:
        self._add(TEXT, self._text[self._at + 1 : end], quoted=True)
        self._at = end + 1

    def _double_quotes(self) -> None:
        self._at += 1
        self._add(TEXT, "", quoted=True)
        while self._peek() != '"':
            self._in_double_quotes()
        self._at += 1

    def _in_double_quotes(self) -> None:
        character = self._peek()
        if character == "\\" and self._text[self._at + 1 : self._at + 2] in ('"', "\\", "$", "`", "\n"):
            self._add(TEXT, self._text[self._at + 1].strip("\n"), quoted=True)
            self._at += 2
        elif character == "$":
            self._dollar(quoted=True)
        elif character == "`":
            self._unknown_until("`", quoted=True)
        else:
            self._take(quoted=True)

    def _dollar(self, quoted: bool) -> None:
        self._at += 1
        following = self._text[self._at : self._at + 1]
        name = _NAME.match(self._text, self._at)
        if following == "(":
            self._add(UNKNOWN, f"${self._balanced()}", quoted=quoted)
        elif following == "{":
            self._add(PARAMETER, self._balanced()[1:-1], quoted=quoted)
        elif following == "'" and not quoted:
            self._unknown_until("'", quoted=True)
        elif name:
            self._at = name.end()
            self._add(PARAMETER, name[0], quoted=quoted)
        elif following != '"' or quoted:
            self._add(TEXT, "$", quoted=quoted)

    def _balanced(self) -> str:
        """From a bracket to the one that closes it, over quotes."""
        start, opening = self._at, self._text[self._at]
        depth = 0
        while True:
            character = self._peek()
            if character == "\\":
                self._at += 1
            elif character == "'" and opening == "(":
                self._at = self._until("'", self._at + 1)
            elif character == '"':
                self._at = self._after_double_quotes()
            depth += (character == opening) - (character == _CLOSING[opening])
            self._at += 1
            if depth == 0:
                return self._text[start : self._at]

    def _after_double_quotes(self) -> int:
        """The position of the double quote that closes the one here."""
        at = self._at + 1
        while at < len(self._text) and self._text[at] != '"':
            at += 2 if self._text[at] == "\\" else 1
        if at >= len(self._text):
            raise ShellError("a double quote is not closed")
        return at

    def _skip_documents(self) -> None:
        """Leave out the here-documents that begin on the line that has ended."""
        for mark, indented in self._documents:
            while self._at < len(self._text):
                end = _or_end(self._text.find("\n", self._at), self._text)
                line = self._text[self._at : end].rstrip("\r")
                self._at = end + 1
                if (line.lstrip("\t") if indented else line) == mark:
                    break
        self._documents.clear()

    def _end_word(self) -> None:
        if not self._begun:
            return
        word = tuple(self.word)
        if self._found and self._found[-1].operator in ("<<", "<<-"):
            mark = "".join(piece.text for piece in word)
            self._documents.append((mark, self._found[-1].operator == "<<-"))
        self._found.append(Token("", word))
        self.word, self._begun = [], False

    def _add(self, kind: str, text: str, *, quoted: bool) -> None:
        self._begun = True
        last = self.word[-1] if self.word else None
        if last is not None and kind == TEXT and last[::2] == (TEXT, quoted):
            self.word[-1] = Piece(TEXT, last.text + text, quoted)
        else:
            self.word.append(Piece(kind, text, quoted))

    def _is_assignment(self) -> bool:
        return bool(self.word) and self.word[-1].kind == TEXT and self.word[-1].text.endswith("=")

    def _take(self, *, quoted: bool) -> None:
        """The character here means itself."""
        self._add(TEXT, self._text[self._at], quoted=quoted)
        self._at += 1

    def _unknown_until(self, mark: str, *, quoted: bool) -> None:
        end = self._until(mark, self._at + 1)
        self._add(UNKNOWN, self._text[self._at : end + 1], quoted=quoted)
        self._at = end + 1

    def _peek(self) -> str:
        if self._at >= len(self._text):
            raise ShellError("a quote or a bracket is not closed")
        return self._text[self._at]

    def _until(self, mark: str, start: int) -> int:
        end = self._text.find(mark, start)
        if end < 0:
            raise ShellError(f"{mark} is not closed")
        return end


def _or_end(at: int, text: str) -> int:
    return at if at >= 0 else len(text)
