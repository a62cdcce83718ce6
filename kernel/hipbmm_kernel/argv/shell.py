"""A walk through a script with the variables that are known: which commands it comes to, and with which fields.

No command is run. An ordinary command is taken to succeed, since a script whose commands fail serves nothing; as a
condition its result is not known. Tests of known values are decided. Where a condition is not known, both ways are
walked, and what they set differently is one of two alternatives from then on.
"""

import fnmatch
import itertools
import operator
import re
from collections.abc import Mapping
from typing import NamedTuple

from hipbmm_kernel.argv import grammar, values, words
from hipbmm_kernel.argv.grammar import Block, Branches, Case, Function, Group, Loop, Node, Simple
from hipbmm_kernel.argv.values import UNKNOWN, Expander, Marks, Value, Variables
from hipbmm_kernel.argv.words import ShellError, Token

MAX_CALLS = 12
MAX_STEPS = 5000
MAX_WAYS = 64
SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "busybox"})
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=", re.DOTALL)
_DECLARATIONS = frozenset({"export", "declare", "local", "readonly", "typeset"})
_NUMERIC = {
    "-eq": operator.eq,
    "-ne": operator.ne,
    "-lt": operator.lt,
    "-le": operator.le,
    "-gt": operator.gt,
    "-ge": operator.ge,
}


class Command(NamedTuple):
    """A command that a script comes to. `certain` is false when that depends on what is not known.

    `env` are variables of the script that its process sees beside the container's own; `values.ANY` is one not known.
    """

    fields: tuple[str, ...]
    certain: bool
    env: tuple[tuple[str, str], ...] = ()


class Ended(Exception):  # noqa: N818 - not an error: the script has come to `exit` or `exec`
    """The script ends here."""


class Walk:
    """One walk; `commands` are what it came to."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.commands: list[Command] = []
        self.marks = Marks()
        self._env = env
        self._variables = Variables({name: (value,) for name, value in env.items()})
        self._expander = Expander(self.marks)
        self._functions: dict[str, Block] = {}
        self._exported: set[str] = set(env)
        self._uncertain = 0
        self._calls = 0
        self._steps = 0

    def run(self, text: str, parameters: tuple[str, ...]) -> None:
        """Walk through a script; `parameters` begin with `$0`. ShellError when it cannot be read."""
        named = {**self._variables.named, "0": parameters[:1]}
        self._variables = self._variables._replace(named=named, positional=parameters[1:])
        try:
            self._block(grammar.parse(words.tokens(text)))
        except Ended:
            return

    def _block(self, block: Block, *, condition: bool = False) -> bool | None:
        """The result of the last command: None when it is not known."""
        result: bool | None = True
        for step in block:
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise ShellError("too many commands")
            skipped = {"&&": result is False, "||": result is True}.get(step.after, False)
            if skipped:
                continue
            doubtful = bool(step.after) and result is None
            found = self._fork(step.node, condition) if doubtful else self._node(step.node, condition)
            result = None if doubtful or found is None else found != step.negated
        return result

    def _fork(self, node: Node, condition: bool) -> bool | None:
        """Walk through what may happen or not."""
        before = self._variables
        self._uncertain += 1
        try:
            return self._node(node, condition)
        except Ended:
            return None
        finally:
            self._uncertain -= 1
            self._variables = _merged([before, self._variables])

    def _node(self, node: Node, condition: bool) -> bool | None:
        if isinstance(node, Simple):
            return self._simple(node.words, condition)
        if isinstance(node, Branches):
            return self._branches(node)
        if isinstance(node, Loop):
            return self._loop(node)
        if isinstance(node, Case):
            return self._case(node)
        if isinstance(node, Function):
            self._functions[node.name] = node.body
            return True
        return self._block(node.body, condition=condition)

    def _branches(self, node: Branches) -> bool | None:
        ways: list[Variables] = []
        doubt = 0
        try:
            for condition, body in (*node.cases, ((), node.otherwise)):
                result = self._block(condition, condition=True)
                if result is False:
                    continue
                doubt += result is None
                self._uncertain += result is None
                before = self._variables
                try:
                    self._block(body)
                    ways.append(self._variables)
                except Ended:
                    if result and not ways:
                        raise
                if result:
                    break
                self._variables = before
        finally:
            self._uncertain -= doubt
        self._variables = _merged(ways)
        return True

    def _loop(self, node: Loop) -> bool | None:
        if node.variable:
            fields = [field for token in node.over for field in self._expander.fields(token, self._variables)]
            value = values.union([self.marks.value(field) for field in fields])
            self._set(node.variable, value)
            certain = len(fields) == 1
        else:
            result = self._block(node.condition, condition=True)
            certain = result is (not node.until)
        if certain:
            return self._block(node.body)
        self._fork(Group(node.body), condition=False)
        return True

    def _case(self, node: Case) -> bool | None:
        known = self.marks.alternatives(self._expander.text(node.word, self._variables))
        before, ways = self._variables, [self._variables]
        for patterns, body in node.cases:
            texts = [self._expander.text(pattern, self._variables) for pattern in patterns]
            fits = {any(fnmatch.fnmatchcase(text, pattern) for pattern in texts) for text in known or ()}
            if fits == {True} and len(ways) == 1:
                return self._block(body)
            if fits != {False}:
                self._variables = before
                self._fork(Group(body), condition=False)
                ways.append(self._variables)
            if fits == {True}:
                break
        self._variables = _merged(ways)
        return True

    def _simple(self, tokens: tuple[Token, ...], condition: bool) -> bool | None:
        if tokens[0].plain == "[[":
            return self._test([self._expander.text(t, self._variables) or t.operator for t in tokens[1:-1]])
        own: dict[str, Value] = {}
        while tokens and (assigned := self._assignment(tokens[0])):
            own[assigned[0]] = assigned[1]
            tokens = tokens[1:]
        fields = [field for token in tokens for field in self._expander.fields(token, self._variables)]
        while fields[:1] in (["command"], ["builtin"]):
            del fields[0]
        if not fields:
            for name, value in own.items():
                self._set(name, value)
            return True
        if fields[0] in _DECLARATIONS:
            self._declare(tokens[1:], exported=fields[0] == "export" or "-x" in fields)
            return True
        if fields[0] in ("[", "test"):
            return self._test(fields[1 : -1 if fields[-1] == "]" else None])
        return self._command(fields, own, condition)

    def _command(self, fields: list[str], own: Mapping[str, Value], condition: bool) -> bool | None:
        name, arguments = fields[0], fields[1:]
        if name in ("true", ":", "false"):
            return name != "false"
        if name in ("exit", "return"):
            raise Ended(name)
        if name in self._functions or name == "eval":
            return self._called(name, arguments)
        if name in ("set", "shift", "unset", "read", "source", "."):
            self._change(name, arguments)
            return True
        if name != "exec" or arguments:
            self._come_to(arguments if name == "exec" else fields, own)
        if name == "exec" and arguments:
            raise Ended(name)
        return None if condition else True

    def _come_to(self, fields: list[str], own: Mapping[str, Value]) -> None:
        env = {name: self._variables.named.get(name, UNKNOWN) for name in self._exported} | dict(own)
        seen = {name: value[0] if len(value) == 1 else values.ANY for name, value in env.items()}
        changed = tuple((name, text) for name, text in sorted(seen.items()) if self._env.get(name) != text)
        self.commands.append(Command(tuple(fields), not self._uncertain, changed))

    def _called(self, name: str, arguments: list[str]) -> bool | None:
        """A function of the script, or `eval`."""
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise ShellError("too many calls")
        if name == "eval":
            return self._block(grammar.parse(words.tokens(" ".join(arguments))))
        outer = self._variables.positional
        self._variables = self._variables._replace(positional=tuple(arguments))
        try:
            return self._block(self._functions[name])
        except Ended as ended:
            if ended.args != ("return",):
                raise
            return None
        finally:
            self._variables = self._variables._replace(positional=outer)

    def _change(self, name: str, arguments: list[str]) -> None:
        """Built-in commands that change variables."""
        if name == "set" and "--" in arguments:
            positional = tuple(arguments[arguments.index("--") + 1 :])
            self._variables = self._variables._replace(positional=positional)
        elif name == "shift":
            count = int(arguments[0]) if arguments and arguments[0].isdecimal() else 1
            self._variables = self._variables._replace(positional=self._variables.positional[count:])
        elif name == "unset":
            named = {key: value for key, value in self._variables.named.items() if key not in arguments}
            self._variables = self._variables._replace(named=named)
        elif name == "read":
            for variable in arguments:
                self._set(variable, UNKNOWN)
        elif name in ("source", "."):
            self._variables = self._variables._replace(complete=False)

    def _declare(self, tokens: tuple[Token, ...], *, exported: bool) -> None:
        for token in tokens:
            assigned = self._assignment(token)
            if assigned:
                self._set(*assigned)
            if exported:
                self._exported.add(assigned[0] if assigned else self._expander.text(token, self._variables))

    def _assignment(self, token: Token) -> tuple[str, Value] | None:
        """The variable and value of `V=text`; None for any other word."""
        first = token.word[0] if token.word else None
        found = _ASSIGNMENT.match(first.text) if first and first[::2] == (words.TEXT, False) else None
        if first is None or found is None:
            return None
        rest = Token("", (first._replace(text=first.text[found.end() :]), *token.word[1:]))
        text = self._expander.text(rest, self._variables)
        if found[2]:
            text = self.marks.of(self._variables.get(found[1]) or ("",)) + text
        return found[1], self.marks.value(text)

    def _set(self, name: str, value: Value) -> None:
        self._variables = self._variables._replace(named={**self._variables.named, name: value})

    def _test(self, fields: list[str]) -> bool | None:
        """The result of `[ ... ]`; None when something in it is not known, or a file is asked for."""
        for connector, decides in (("||", True), ("&&", False)):
            if connector in fields:
                at = fields.index(connector)
                results = (self._test(fields[:at]), self._test(fields[at + 1 :]))
                return decides if decides in results else None if None in results else not decides
        if fields[:1] == ["!"]:
            result = self._test(fields[1:])
            return None if result is None else not result
        alternatives = [self.marks.alternatives(field) for field in fields]
        if any(found is None for found in alternatives):
            return None
        ways = list(itertools.islice(itertools.product(*(found or () for found in alternatives)), MAX_WAYS + 1))
        results_of = {_decided(way) for way in ways}
        return results_of.pop() if len(results_of) == 1 and len(ways) <= MAX_WAYS else None


def _decided(fields: tuple[str, ...]) -> bool | None:
    match fields:
        case (text,):
            return text not in ("", "-n")
        case ("-z" | "-n" as name, text):
            return (text == "") == (name == "-z")
        case (left, "=" | "==" | "!=" as name, right):
            return fnmatch.fnmatchcase(left, right) == (name != "!=")
        case (left, name, right) if name in _NUMERIC and _is_number(left) and _is_number(right):
            return bool(_NUMERIC[name](int(left), int(right)))
    return None


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _merged(ways: list[Variables]) -> Variables:
    """What is known after one of several ways was gone."""
    if len(ways) == 1 or all(way is ways[0] for way in ways):
        return ways[0]
    names = dict.fromkeys(name for way in ways for name in way.named)
    named = {name: values.union([way.named.get(name, values.EMPTY) for way in ways]) for name in names}
    return ways[0]._replace(named=named, complete=all(way.complete for way in ways))
