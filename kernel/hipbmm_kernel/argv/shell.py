"""A walk through a script with the variables that are known: which commands it comes to, and with which fields.

No command is run. An ordinary command is taken to succeed, since a script whose commands fail serves nothing: what
follows its `&&` runs, but what that sets may be otherwise for all that comes after. As a condition, and before `||`,
its result is not known. Tests of known values are decided. Where a condition is not known, both ways are walked, and
what they set differently is one of two alternatives from then on. Parentheses, parts of a pipe and what runs beside the
script change nothing in it.
"""

import contextlib
from collections.abc import Mapping

from hipbmm_kernel.argv import builtin, conditions, grammar, process, values, words
from hipbmm_kernel.argv.builtin import Ended
from hipbmm_kernel.argv.conditions import Chain
from hipbmm_kernel.argv.grammar import Block, Branches, Function, Group, Loop, Node, Simple
from hipbmm_kernel.argv.process import Command
from hipbmm_kernel.argv.values import UNKNOWN, Expander, Marks, Value, Variables
from hipbmm_kernel.argv.words import Token
from hipbmm_kernel.argv.work import COMMAND, COMPARED, COPIED, VARIABLE, ShellError, Work

MAX_CALLS = 12
MAX_ROUNDS = 64


class Walk:
    """One walk."""

    def __init__(self, env: Mapping[str, str], work: Work, *, is_bash: bool) -> None:
        self._commands: list[Command] = []
        self._marks = Marks()
        work.take(len(env) // COMPARED)
        self._env = {name: (value,) for name, value in env.items()}
        self._is_bash = is_bash
        self._variables = Variables(self._env)
        self._work = work
        self._expander = Expander(self._marks, work, is_bash=is_bash)
        self._functions: dict[str, Block] = {}
        self._locals: list[dict[str, Variables]] = []
        self._assumed = False
        self._left: tuple[list[Variables], ...] = ()
        self._returned: list[list[Variables]] = []
        self._exported: dict[str, bool | None] = {}
        self._exports_all = False
        self._uncertain = 0
        self._calls = 0

    def run(self, text: str, parameters: tuple[str, ...]) -> list[Command]:
        """The commands of a script; `parameters` begin with `$0`. ShellError when it cannot be read."""
        self._variables = self._variables._replace(name=parameters[0], positional=parameters[1:])
        with contextlib.suppress(Ended):
            self._block(grammar.parse(words.tokens(text, self._work)))
        return self._commands

    def _block(self, block: Block, *, condition: bool = False) -> bool | None:
        """The result of the last command: None when it is not known."""
        result: bool | None = True
        chain = Chain()
        for step in block:
            self._work.take(COMMAND)
            if step.after == "":
                self._variables = values.merged([chain.before or self._variables, self._variables], self._work)
                chain, self._assumed = Chain(), False
            elif step.after != "|":
                chain = chain.behind(step.after, result, self._variables if self._assumed else None)
            if chain.skipped:
                continue
            found = self._step(step, condition, chain)
            unsure = chain.doubtful or found is None or (step.negated and self._assumed)
            result = None if unsure else found != step.negated
        self._variables = values.merged([chain.before or self._variables, self._variables], self._work)
        return result

    def _step(self, step: grammar.Step, condition: bool, chain: Chain) -> bool | None:
        if step.apart:
            return self._apart(step.node, condition, doubtful=chain.doubtful)
        if chain.doubtful:
            return self._fork(step.node, condition)
        try:
            return self._node(step.node, condition)
        except Ended as ended:
            if chain.before is None:
                raise
            self._perhaps(ended)
            return None

    def _perhaps(self, ended: Ended) -> None:
        """Go on behind a command that may end what it stands in."""
        if ended.args[0] in builtin.LEAVING:
            self._left[-1].append(self._variables)
        elif ended.args[0] == "return" and self._returned:
            self._returned[-1].append(self._variables)

    def _apart(self, node: Node, condition: bool, *, doubtful: bool = False) -> bool | None:
        """Walk through what runs in a process of its own, which changes nothing here."""
        before = self._variables, dict(self._exported), self._exports_all, dict(self._functions)
        try:
            return self._fork(node, condition) if doubtful else self._node(node, condition)
        except Ended:
            return None
        finally:
            self._variables, self._exported, self._exports_all, self._functions = before

    def _fork(self, node: Node, condition: bool) -> bool | None:
        """Walk through what may happen or not."""
        before = self._variables
        self._uncertain += 1
        try:
            return self._node(node, condition)
        except Ended as ended:
            self._perhaps(ended)
            return None
        finally:
            self._uncertain -= 1
            self._variables = values.merged([before, self._variables], self._work)

    def _node(self, node: Node, condition: bool) -> bool | None:
        if isinstance(node, Simple):
            return self._simple(node.words, condition)
        if isinstance(node, Branches):
            return self._branches(node)
        if isinstance(node, Loop):
            return self._loop(node)
        if isinstance(node, Function):
            self._functions[node.name] = node.body
            return True
        return self._apart(Group(node.body), condition) if node.apart else self._block(node.body, condition=condition)

    def _branches(self, node: Branches) -> bool | None:
        ways: list[Variables] = []
        results: set[bool | None] = set()
        assumed, uncertain = False, self._uncertain
        try:
            for condition, body in (*node.cases, ((), node.otherwise)):
                result = self._block(condition, condition=True)
                if result is False:
                    continue
                self._uncertain += result is None
                before = self._variables
                try:
                    results.add(self._block(body))
                    ways.append(self._variables)
                    assumed |= self._assumed
                except Ended as ended:
                    if result and not ways:
                        raise
                    self._perhaps(ended)
                if result:
                    break
                self._variables = before
        finally:
            self._uncertain = uncertain
        self._variables, self._assumed = values.merged(ways, self._work), assumed
        return results.pop() if len(results) == 1 else None

    def _loop(self, node: Loop) -> bool | None:
        """Walk through a loop; how often its body runs, or how far, is not known where something is in `_left`."""
        before, outer, self._left = self._variables, self._left, (*self._left, [])
        try:
            result = self._for(node) if node.variable else self._while(node)
        except Ended as ended:
            if ended.args != ("break",):
                raise
            result = True
        finally:
            left, self._left = self._left[-1], outer
        if left:
            after = values.merged([self._variables, *left], self._work)
            self._variables, result = values.blurred(before, after, self._work), result or None
        return result

    def _unless(self, ending: str, block: Block, result: bool | None) -> bool | None:
        """The result of a block, or `result` where this command ends it."""
        try:
            return self._block(block)
        except Ended as ended:
            if ended.args != (ending,):
                raise
            return result

    def _for(self, node: Loop) -> bool | None:
        over = node.over if node.has_words else (words.ALL_PARAMETERS,)
        self._defaults(over)
        fields = [field for token in over for field in self._expander.fields(token, self._variables)]
        if len(fields) > MAX_ROUNDS or any(map(values.is_marked, fields)):
            self._set(node.variable, UNKNOWN)
            return self._maybe(node)
        result: bool | None = True
        for field in fields:
            self._set(node.variable, (field,))
            result = self._unless("continue", node.body, result=True)
        return result

    def _while(self, node: Loop) -> bool | None:
        """Round by round, while the condition is known; a round that changes nothing is like all that follow."""
        result: bool | None = True
        assumed = False
        for _ in range(MAX_ROUNDS):
            goes_on = self._block(node.condition, condition=True)
            if goes_on is None:
                break
            before = self._variables
            if goes_on is not node.until:
                result, assumed = self._unless("continue", node.body, result=True), self._assumed
            if self._variables == before:
                self._assumed = assumed
                return result
        return self._maybe(node)

    def _maybe(self, node: Loop) -> bool | None:
        """Walk through what happens any number of times, until a round meets what the one before it has left."""
        calls, count = self._calls, len(self._commands)
        while True:
            before, self._calls = self._variables, calls
            del self._commands[count:]
            self._left[-1].append(before)
            self._fork(Group(node.condition), condition=True)
            result = self._fork(Group(node.body), condition=False)
            self._variables = values.blurred(before, self._variables, self._work)
            if self._variables == before:
                return result

    def _simple(self, tokens: tuple[Token, ...], condition: bool) -> bool | None:
        self._defaults(tokens)
        if tokens[0].plain in ("case", "[["):
            return self._case(*tokens[1:]) if tokens[0].plain == "case" else self._brackets(tokens[1:-1])
        if tokens[0].is_arithmetic:
            for name in words.computed(tokens[0].word[0].text):
                self._set(name, UNKNOWN)
            return None
        own: dict[str, Value] = {}
        before = self._variables
        while tokens and self._expander.assigned(tokens[0], self._variables):
            own |= {name: self._variables.named[name] for name in self._declared(tokens[0])}
            tokens = tokens[1:]
        if not tokens:
            return True
        self._variables = before  # they are the command's own
        fields = [field for token in tokens for field in self._expander.fields(token, self._variables)]
        while fields[:1] in (["command"], ["builtin"]) or (fields[:1] == ["-p"] and len(fields) > 1):
            del fields[0]
        if not fields:
            self._variables = self._variables._replace(named={**self._variables.named, **own})
            return True
        if fields[0] in builtin.DECLARATIONS:
            for variable in own:  # `V=1 export V`, after which some shells keep V
                self._set(variable, UNKNOWN)
            self._declare(fields, tokens[1:])
            return True
        return self._command(fields, own, condition)

    def _defaults(self, tokens: tuple[Token, ...]) -> None:
        for name, value in self._expander.defaults(tokens, self._variables):
            self._set(name, value)

    def _case(self, word: Token, *patterns: Token) -> bool | None:
        texts = [self._expander.pattern(pattern, self._variables) for pattern in patterns]
        return conditions.fits(self._expander.text(word, self._variables), texts, self._marks)

    def _brackets(self, tokens: tuple[Token, ...]) -> bool | None:
        """`[[ ... ]]`."""
        found: list[str] = []
        for token in tokens:
            text = self._expander.pattern if found[-1:] in conditions.COMPARING else self._expander.text
            found.append(token.operator or text(token, self._variables))
        return conditions.result(found, self._marks, patterns=True, is_bash=self._is_bash)

    def _command(self, fields: list[str], own: Mapping[str, Value], condition: bool) -> bool | None:
        name, arguments = fields[0], fields[1:]
        if name in ("true", ":", "false"):
            return name != "false"
        if name in ("[", "test"):
            tested = fields[1 : -1 if fields[-1] == "]" else None]
            return conditions.result(tested, self._marks, patterns=False, is_bash=self._is_bash)
        if builtin.ends(name, in_loop=self._left != (), in_function=self._locals != [] or not self._is_bash):
            raise builtin.ending(name, arguments)
        if name in builtin.ENTERING:
            self._variables = builtin.entered(self._variables, self._marks, name, arguments)
            self._export(builtin.HERE, yes=True)
        if name in self._functions or name == "eval":
            result = self._called(name, arguments)
            return None if condition and self._assumed else result
        if name == "shift":
            rest, result = builtin.shifted(self._variables.positional, *arguments, is_bash=self._is_bash)
            self._variables = self._variables._replace(positional=rest)
            return result
        if name in ("set", "unset", "source", ".", *builtin.READING) or fields[:2] == ["printf", "-v"]:
            self._change(name, arguments)
            return None if name in builtin.READING else True
        if name == "exec" and (inner := builtin.behind_exec(arguments)):
            self._come_to(inner, own)
            raise Ended(name)
        if name != "exec":
            self._come_to(fields, own)
        self._assumed = self._assumed or name not in builtin.SUCCEEDING
        return None if condition else True

    def _come_to(self, fields: list[str], own: Mapping[str, Value]) -> None:
        named, exported = {**self._variables.named, **own}, {**self._exported, **dict.fromkeys(own, True)}
        changed = process.seen(named, exported, self._env, self._work)
        self._commands.append(Command(tuple(fields), not self._uncertain, changed, self._marks))

    def _called(self, name: str, arguments: list[str]) -> bool | None:
        """A function of the script, or `eval`."""
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise ShellError("too many calls")
        if name == "eval":
            found = self._block(grammar.parse(words.tokens(" ".join(arguments), self._work)))
            if any(map(values.is_marked, arguments)):
                self._doubt()
            return found
        outer, loops, self._left = self._variables.positional, self._left, ()
        self._variables = self._variables._replace(positional=tuple(arguments))
        self._locals.append({})
        self._returned.append([])
        result: bool | None = None
        try:
            result = self._unless("return", self._functions[name], result=None)
        finally:
            ways = [self._variables, *self._returned.pop()]
            self._variables, self._left = values.merged(ways, self._work)._replace(positional=outer), loops
            for variable, before in self._locals.pop().items():
                self._variables = self._variables.restored(variable, before)
        self._assumed = self._assumed or len(ways) > 1
        return result if len(ways) == 1 else True

    def _change(self, name: str, arguments: list[str]) -> None:
        """Built-in commands that change variables."""
        if name == "set":
            at = builtin.options_of_set(arguments)
            self._exports_all = builtin.exports_all(arguments[:at], before=self._exports_all)
            if at < len(arguments):
                rest = tuple(arguments[at + (arguments[at] == "--") :])
                self._variables = self._variables._replace(positional=rest)
        elif name == "unset":
            for variable in arguments:
                self._variables = self._variables.without(variable)
                self._export(variable, yes=False)
        elif name in ("source", ".") and arguments[:1] and arguments[0].endswith("/activate"):
            self._variables = self._variables._replace(complete=False)
        elif name in ("source", "."):
            self._doubt()
        else:
            if any(map(values.is_marked, arguments)):
                self._doubt()
            for variable in (each for text in arguments for each in (text, *words.computed(text))):
                self._set(variable, UNKNOWN)

    def _declare(self, fields: list[str], tokens: tuple[Token, ...]) -> None:
        letters = "".join(text[1:] for text in fields[1:] if text[:1] == "-")
        unsure = "i" in letters or (fields[0] in builtin.OF_BASH and not self._is_bash)
        unsure = unsure or (fields[0] == "local" and not self._locals)  # an error, which sets nothing
        named = [(self._declared(token, local=fields[0] in builtin.LOCAL), token) for token in tokens]
        for name, token in [(name, token) for names, token in named for name in names]:
            if unsure or values.has_braces(token.word):
                self._set(name, UNKNOWN)
            if "n" in letters and fields[0] != "export":
                raise ShellError("a variable that stands for another one")
            if fields[0] == "export" or "x" in letters:
                self._export(name, yes="n" not in letters)

    def _declared(self, token: Token, *, local: bool = False) -> list[str]:
        """Set what a word of a declaration sets; the names in it."""
        before = self._variables
        names: list[str] = []
        if assigned := self._expander.assigned(token, before):
            self._set(*assigned)
            names.append(assigned[0])
        else:
            for text in self._expander.fields(token, before):
                name, equals, value = text.partition("=")
                if values.is_marked(name):
                    self._doubt()
                elif name[:1] not in ("-", "+"):
                    names.append(name)
                    if equals or (local and self._locals):
                        self._set(name, self._marks.value(value))
        if local and self._locals:
            self._locals[-1] = {**dict.fromkeys(names, before), **self._locals[-1]}
        return names

    def _doubt(self) -> None:
        """What is not read may set any variable: others than the container has, and anew what the script has set."""
        named = self._variables.named
        kept = {name: value if value == self._env.get(name) else UNKNOWN for name, value in named.items()}
        self._variables = self._variables._replace(named=kept, complete=False, arrays={})

    def _set(self, name: str, value: Value, fields: values.Fields | None = None) -> None:
        self._work.take(VARIABLE + len(self._variables.named) // COPIED)
        self._variables = self._variables.changed(name, value, fields)
        if self._exports_all and fields is None:
            self._export(name, yes=True)

    def _export(self, name: str, *, yes: bool) -> None:
        """Processes see a variable from here on, or do not; what they see is not known where that is in doubt."""
        certain = not self._uncertain or self._exported.get(name, name in self._env) is yes
        self._exported[name] = yes if certain else None
