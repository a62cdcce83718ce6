"""Shell text as tokens: words of pieces, and operators. POSIX quoting, with what bash adds to words.

A piece keeps whether it was quoted, since an unquoted expansion is split into fields. What only running it would show
(`$(...)`, backquotes, arithmetic, arrays) is a piece of kind UNKNOWN.
"""

import re
from typing import NamedTuple

from hipbmm_kernel.argv.work import DOCUMENT, ShellError, Work

TEXT, PARAMETER, UNKNOWN = "text", "parameter", "unknown"
MAX_TEXT = 128 << 10
_OPERATOR = re.compile(r"\n|;;|;|&&|\|\||\|&|\||&>>|&>|\d*(?:<<<|<<-|<<|<>|>>|>&|<&|>\||>|<)|&|\(|\)")
_BLANKS = re.compile(r"[ \t\r]+")
_COMMENT = re.compile(r"#[^\n]*")
_CONTINUATION = re.compile(r"\\\r?\n")
_PROCESS = re.compile(r"[<>](?=\()|(?=\(\()")
"""Before the bracket of `<(...)`, and of `((...))`."""
_PLAIN = re.compile(r"[^ \t\r\n;&|<>()'\"\\`$]+")
_SINGLE_QUOTED = re.compile(r"'([^']*)'")
_BACKQUOTED = re.compile(r"`[^`]*`")
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)
_DOUBLE_QUOTE = re.compile('"')
_EMPTY_QUOTES = re.compile(r'"()"')
_ESCAPED_IN_QUOTES = re.compile(r'\\(?:\n()|(["\\$`]))')
_PLAIN_IN_QUOTES = re.compile(r'[^"\\$`]+|\\')
_PLAIN_IN_DEFAULT = re.compile(r"[^'\"\\`$]+")
_ANSI_QUOTED = re.compile(r"'[^']*'")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
_NESTING = {
    "(": re.compile(r"""\\.|'[^']*'|"[^"\\]*(?:\\.[^"\\]*)*"|[()'"]""", re.DOTALL),
    "{": re.compile(r"""\\.|"[^"\\]*(?:\\.[^"\\]*)*"|[{}"]""", re.DOTALL),
}
"""What counts between a bracket and the one that closes it: brackets, and what may hide some; a quote alone is open."""
_CLOSING = {"(": ")", "{": "}"}
_COMPUTED = re.compile(r"\b([A-Za-z_]\w*)(?:\s*(?:[-+*/%&|^]|<<|>>)?=(?!=)|\+\+|--)", re.ASCII)
TRANSLATION = "$"
"""As a piece that is not known: before a quote bash takes it away, and others leave it."""
_OPEN = "a quote or a bracket is not closed"


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


def tokens(text: str, work: Work) -> list[Token]:
    """The tokens of shell text. ShellError when a quote or bracket is not closed."""
    if len(text) > MAX_TEXT:
        raise ShellError(f"more than {MAX_TEXT} characters")
    return _Lexer(text, work).run()


def computed(text: str) -> list[str]:
    """The variables that an arithmetic text sets."""
    return _COMPUTED.findall(text)


def pieces(text: str, work: Work, *, quoted: bool) -> tuple[Piece, ...]:
    """The pieces of the default in `${V:-default}`, which is one word with blanks in it."""
    lexer = _Lexer(text, work)
    lexer.default(quoted)
    return tuple(lexer.word)


class _Lexer:
    def __init__(self, text: str, work: Work) -> None:
        self._work = work
        self._text = text
        self._at = 0
        self.word: list[Piece] = []
        self._begun = False
        self._found: list[Token] = []
        self._documents: list[tuple[str, str]] = []

    def run(self) -> list[Token]:
        while self._at < len(self._text):
            self._step()
        self._end_word()
        return self._found

    def default(self, quoted: bool) -> None:
        while self._at < len(self._text):
            if quoted and self._text[self._at] != '"':
                self._in_double_quotes()
            elif not (self._special() or self._take(_PLAIN_IN_DEFAULT, quoted=quoted)):
                raise ShellError(_OPEN)

    def _step(self) -> None:
        self._work.take(1)
        if self._skip(_CONTINUATION) or (not self._begun and self._skip(_COMMENT)):
            return
        if self._skip(_BLANKS):
            self._end_word()
        elif self._is_array() or (not self._begun and self._skip(_PROCESS)):
            self._add(UNKNOWN, self._balanced(), quoted=False)
        elif not (self._operator() or self._special() or self._take(_PLAIN)):
            raise ShellError(_OPEN)

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return found is not None

    def _take(self, pattern: re.Pattern[str], kind: str = TEXT, *, quoted: bool = False) -> bool:
        """Take what is here as a piece, if it is the pattern: its group, or all of it where it has none."""
        found = pattern.match(self._text, self._at)
        if found:
            self._at = found.end()
            self._add(kind, found[found.lastindex or 0], quoted=quoted)
        return found is not None

    def _operator(self) -> bool:
        found = _OPERATOR.match(self._text, self._at)
        if found is None or (found[0][0].isdigit() and self._begun):
            return False
        self._end_word()
        self._at = found.end()
        self._found.append(Token(found[0].lstrip("0123456789")))
        if found[0] == "\n":
            self._skip_documents()
        return True

    def _special(self) -> bool:
        """Take a quote, an escape or an expansion; False for any other character."""
        return (
            self._take(_SINGLE_QUOTED, quoted=True)
            or self._double_quotes()
            or self._take(_ESCAPED, quoted=True)
            or self._take(_BACKQUOTED, UNKNOWN)
            or self._dollar(quoted=False)
        )

    def _double_quotes(self) -> bool:
        if self._take(_EMPTY_QUOTES, quoted=True):
            return True
        if not self._skip(_DOUBLE_QUOTE):
            return False
        while not self._skip(_DOUBLE_QUOTE):
            self._in_double_quotes()
        return True

    def _in_double_quotes(self) -> None:
        if not (
            self._take(_ESCAPED_IN_QUOTES, quoted=True)
            or self._take(_BACKQUOTED, UNKNOWN, quoted=True)
            or self._dollar(quoted=True)
            or self._take(_PLAIN_IN_QUOTES, quoted=True)
        ):
            raise ShellError(_OPEN)

    def _dollar(self, *, quoted: bool) -> bool:
        if not self._text.startswith("$", self._at):
            return False
        self._at += 1
        following = self._text[self._at : self._at + 1]
        if following == "(":
            self._add(UNKNOWN, f"${self._balanced()}", quoted=quoted)
        elif following == "{":
            self._add(PARAMETER, self._balanced()[1:-1], quoted=quoted)
        elif not quoted and following == "'":
            return self._take(_ANSI_QUOTED, UNKNOWN, quoted=True)
        elif not self._take(_NAME, PARAMETER, quoted=quoted):
            self._add(UNKNOWN if following == '"' and not quoted else TEXT, TRANSLATION, quoted=quoted)
        return True

    def _balanced(self) -> str:
        """From a bracket to the one that closes it, over quotes."""
        start, opening = self._at, self._text[self._at]
        depth = 0
        for found in _NESTING[opening].finditer(self._text, start):
            self._work.take(1)
            depth += (found[0] == opening) - (found[0] == _CLOSING[opening])
            if found[0] in ("'", '"'):
                break
            if depth == 0:
                self._at = found.end()
                return self._text[start : self._at]
        raise ShellError(_OPEN)

    def _skip_documents(self) -> None:
        """Leave out the here-documents that begin on the line that has ended."""
        for mark, tabs in self._documents:
            self._work.take(DOCUMENT)
            end = re.compile(rf"^{tabs}{re.escape(mark)}\r*(?:\n|\Z)", re.MULTILINE).search(self._text, self._at)
            self._at = end.end() if end else len(self._text)
        self._documents.clear()

    def _end_word(self) -> None:
        if not self._begun:
            return
        word = tuple(self.word)
        if self._found and self._found[-1].operator in ("<<", "<<-"):
            mark = "".join(piece.text for piece in word)
            self._documents.append((mark, r"\t*" if self._found[-1].operator == "<<-" else ""))
        self._found.append(Token("", word))
        self.word, self._begun = [], False

    def _add(self, kind: str, text: str, *, quoted: bool) -> None:
        self._begun = True
        self._work.take(1)
        last = self.word[-1] if self.word else None
        if last is not None and kind == TEXT and last[::2] == (TEXT, quoted):
            self.word[-1] = Piece(TEXT, last.text + text, quoted)
        else:
            self.word.append(Piece(kind, text, quoted))

    def _is_array(self) -> bool:
        """Whether the bracket of `V=(...)` is here."""
        last = self.word[-1] if self.word else None
        return self._text[self._at] == "(" and last is not None and last.kind == TEXT and last.text.endswith("=")
