"""Tokens as a tree of commands: what runs one after another, what only on a condition, what in a loop."""

from typing import NamedTuple

from hipbmm_kernel.argv.words import Token
from hipbmm_kernel.argv.work import ShellError

MAX_DEPTH = 40
_REDIRECTIONS = frozenset({"<", ">", ">>", "<<", "<<-", "<<<", "<>", ">&", "<&", ">|", "&>", "&>>"})
_CONNECTORS = frozenset({"&&", "||"})
_SEPARATORS = frozenset({"\n", ";", "&", "|", "|&"})
_BLOCKS = frozenset({"if", "for", "select", "while", "until", "case", "{", "function"})


class Simple(NamedTuple):
    """A command of words; `[[ ... ]]` is one, with its operators as words.

    `case WORD PATTERN ...` is true where the word is like one of the patterns.
    """

    words: tuple[Token, ...]


class Branches(NamedTuple):
    """`if` and `case`: conditions with their bodies in order, and the body for none of them."""

    cases: tuple[tuple["Block", "Block"], ...]
    otherwise: "Block"


class Loop(NamedTuple):
    """`while` and `until` with their condition, or `for` with the words that its variable goes through.

    `for V; do` has no words: it goes through the positional parameters. The header of `for ((...))` is a condition.
    """

    condition: "Block"
    body: "Block"
    until: bool = False
    variable: str = ""
    over: tuple[Token, ...] = ()
    has_words: bool = True


class Function(NamedTuple):
    """The definition of a function."""

    name: str
    body: "Block"


class Group(NamedTuple):
    """Commands in braces, or in parentheses: then they run `apart`, in a process of their own."""

    body: "Block"
    apart: bool = False


Node = Simple | Branches | Loop | Function | Group


class Step(NamedTuple):
    """A command, the operator before it (`&&`, `||`, `|` or ""), and whether `!` turns its result round.

    `apart`: in a process of its own, since it is part of a pipe or runs beside the script (`&`).
    """

    node: Node
    after: str = ""
    negated: bool = False
    apart: bool = False


Block = tuple[Step, ...]


def parse(tokens: list[Token]) -> Block:
    """The tree of a whole text. ShellError when a construct is not closed."""
    parser = _Parser(tokens)
    found = parser.block(frozenset())
    if parser.token() is not None:
        raise ShellError("a closing word without its beginning")
    return found


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def token(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def block(self, ends: frozenset[str]) -> Block:
        """Commands up to one of the words or operators in `ends`, which is not taken."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ShellError("nested too deeply")
        steps: list[Step] = []
        after = ""
        while (token := self.token()) is not None and not self._ends(token, ends):
            if token.operator in _CONNECTORS or token.operator in _SEPARATORS:
                after = _after(token.operator, after)
                _set_apart(steps, token.operator)
                self._at += 1
                continue
            negated = token.plain == "!"
            self._at += negated
            steps.append(Step(self._node(), after, negated, after == "|"))
            after = ""
        self._depth -= 1
        return tuple(steps)

    def _ends(self, token: Token, ends: frozenset[str]) -> bool:
        return (token.operator or token.plain) in ends or token.operator in (")", ";;")

    def _node(self) -> Node:
        token = self.token()
        if token is None:
            raise ShellError("a command is missing")
        if token.operator == "(":
            self._at += 1
            body = self.block(frozenset({")"}))
            self._expect(")")
            return self._redirected(Group(body, apart=True))
        if token.plain in _BLOCKS:
            self._at += 1
            return self._redirected(self._construct(token.plain))
        return self._simple()

    def _construct(self, word: str) -> Node:
        if word == "if":
            return self._if()
        if word in ("while", "until"):
            condition = self.block(frozenset({"do"}))
            return Loop(condition, self._body(), until=word == "until")
        if word in ("for", "select"):
            return self._for()
        if word == "case":
            return self._case()
        if word == "function":
            name = self._word().plain
            self._skip("(", ")", "\n")
            return Function(name, (Step(self._node()),))
        body = self.block(frozenset({"}"}))
        self._expect("}")
        return Group(body)

    def _if(self) -> Branches:
        cases: list[tuple[Block, Block]] = []
        otherwise: Block = ()
        while True:
            condition = self.block(frozenset({"then"}))
            self._expect("then")
            cases.append((condition, self.block(frozenset({"elif", "else", "fi"}))))
            end = self._word().plain
            if end == "else":
                otherwise = self.block(frozenset({"fi"}))
                self._expect("fi")
            if end != "elif":
                return Branches(tuple(cases), otherwise)

    def _for(self) -> Loop:
        header: list[Token] = []
        while (token := self.token()) is not None and token.plain != "do":
            header += [] if token.operator else [token]
            self._at += 1
        if header and header[0].is_arithmetic:
            return Loop((Step(Simple((header[0],))),), self._body())
        name = header[0].plain if header else ""
        return Loop((), self._body(), variable=name, over=tuple(header[2:]), has_words=len(header) > 1)

    def _body(self) -> Block:
        self._expect("do")
        body = self.block(frozenset({"done"}))
        self._expect("done")
        return body

    def _case(self) -> Branches:
        case, word = self._tokens[self._at - 1], self._word()
        self._skip("\n")
        self._expect("in")
        cases: list[tuple[Block, Block]] = []
        while True:
            self._skip("\n", ";;", ";")
            if (token := self.token()) is not None and token.plain == "esac":
                self._at += 1
                return Branches(tuple(cases), ())
            self._skip("(")
            patterns = [self._word()]
            while (token := self.token()) is not None and token.operator == "|":
                self._at += 1
                patterns.append(self._word())
            self._expect(")")
            fits = Step(Simple((case, word, *patterns)))
            cases.append(((fits,), self.block(frozenset({";;", "esac"}))))

    def _simple(self) -> Node:
        words: list[Token] = []
        while (token := self.token()) is not None:
            if words and words[0].plain == "[[" and words[-1].plain != "]]":
                words.append(token)
                self._at += 1
            elif token.operator in _REDIRECTIONS:
                self._at += 2
            elif token.operator == "(" and len(words) == 1:
                self._at += 1
                self._expect(")")
                self._skip("\n")
                return Function(words[0].plain, (Step(self._node()),))
            elif token.operator:
                break
            else:
                words.append(token)
                self._at += 1
        if not words:
            raise ShellError(f"a command is missing before {token.operator if token else 'the end'!r}")
        return Simple(tuple(words))

    def _redirected(self, node: Node) -> Node:
        while (token := self.token()) is not None and token.operator in _REDIRECTIONS:
            self._at += 2
        return node

    def _word(self) -> Token:
        token = self.token()
        if token is None or token.operator:
            raise ShellError("a word is missing")
        self._at += 1
        return token

    def _expect(self, text: str) -> None:
        token = self.token()
        if token is None or (token.operator or token.plain) != text:
            raise ShellError(f"{text!r} is missing")
        self._at += 1

    def _skip(self, *operators: str) -> None:
        while (token := self.token()) is not None and token.operator in operators:
            self._at += 1


def _after(operator: str, before: str) -> str:
    """The operator before the next command, after one more operator."""
    if operator == "\n":
        return before
    return "|" if operator == "|&" else operator if operator in ("&&", "||", "|") else ""


def _set_apart(steps: list[Step], operator: str) -> None:
    """A pipe sets its left side apart, `&` the whole chain before it."""
    if not steps or operator not in ("|", "|&", "&"):
        return
    at = len(steps) - 1
    steps[at] = steps[at]._replace(apart=True)
    while operator == "&" and steps[at].after and at:
        at -= 1
        steps[at] = steps[at]._replace(apart=True)
