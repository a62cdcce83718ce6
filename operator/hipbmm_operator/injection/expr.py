"""Terms of a small language: each is CEL text and the Python function of the same meaning. Pure.

Only what the table needs. Values are those of JSON; a function reads the names in its scope: `object`, `params`, the
table's variables and the variables of the loops around it. Where a term is wanted, a JSON value does as well, and any
part of that may be a term.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add as plus
from typing import Any, NoReturn

Scope = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Expr:
    """One term. `run` raises KeyError or IndexError where CEL would stop with an error.

    Operators and methods make terms. A method has the name of what it is in CEL, where that has one.
    """

    cel: str
    run: Callable[[Scope], Any]

    def __bool__(self) -> NoReturn:
        raise TypeError(f"a term is neither true nor false before it is run: {self.cel}")

    def __eq__(self, other: object) -> "Expr":  # type: ignore[override]  # a term, as of any operator
        one, two = self, term(other)
        return Expr(f"{one.cel} == {two.cel}", lambda scope: bool(one.run(scope) == two.run(scope)))

    __hash__ = None  # type: ignore[assignment]  # as without equality

    def __ne__(self, other: object) -> "Expr":  # type: ignore[override]  # a term, as of any operator
        return ~(self == other)

    def __lt__(self, other: object) -> "Expr":
        one, two = self, term(other)
        return Expr(f"{one.cel} < {two.cel}", lambda scope: bool(one.run(scope) < two.run(scope)))

    def __gt__(self, other: object) -> "Expr":
        return term(other) < self

    def __invert__(self) -> "Expr":
        return Expr(f"!({self.cel})", lambda scope: not self.run(scope))

    def __getitem__(self, key: "str | int | Expr") -> "Expr":
        """A field that is there by its name, an item by its index, the value of a key that is a term."""
        found = term(key)
        cel = f"{self.cel}.{key}" if isinstance(key, str) else f"{self.cel}[{found.cel}]"
        return Expr(cel, lambda scope: self.run(scope)[found.run(scope)])

    def get(self, *path: str, default: object) -> "Expr":
        """A field that may be absent anywhere on its path; a key that is no name is looked up as such."""
        steps = "".join(f".?{key}" if key.isidentifier() else f"[?{json.dumps(key)}]" for key in path)

        def run(scope: Scope) -> Any:  # noqa: ANN401  # any JSON
            value = self.run(scope)
            for key in path:
                if key not in value:
                    return default
                value = value[key]
            return value

        return Expr(f"{self.cel}{steps}.orValue({term(default).cel})", run)

    def has(self, key: str) -> "Expr":
        """Whether a field is there."""
        return Expr(f"has({self.cel}.{key})", lambda scope: key in self.run(scope))

    def contains(self, item: object) -> "Expr":
        """Whether a list has an item, or an object a key."""
        found = term(item)
        return Expr(f"({found.cel} in {self.cel})", lambda scope: found.run(scope) in self.run(scope))

    def startswith(self, prefix: str) -> "Expr":
        """Whether a text begins so."""
        return Expr(f"{self.cel}.startsWith({json.dumps(prefix)})", lambda scope: self.run(scope).startswith(prefix))

    def size(self) -> "Expr":
        """Number of items."""
        return Expr(f"{self.cel}.size()", lambda scope: len(self.run(scope)))

    def bytes(self) -> "Expr":
        """A text as the bytes that are stored."""
        return Expr(f"bytes({self.cel})", lambda scope: self.run(scope).encode())

    def string(self) -> "Expr":
        """A number as text."""
        return Expr(f"string({self.cel})", lambda scope: str(self.run(scope)))

    def join(self) -> "Expr":
        """Texts as one, with commas."""
        return Expr(f'{self.cel}.join(",")', lambda scope: ",".join(self.run(scope)))

    def slice(self, start: object, end: "Expr | None" = None) -> "Expr":
        """The items from the one index to before the other, or to the end; both are within the list."""
        first, stop = term(start), self.size() if end is None else end
        cel = f"{self.cel}.slice({first.cel}, {stop.cel})"
        return Expr(cel, lambda scope: self.run(scope)[first.run(scope) : stop.run(scope)])

    def last(self) -> "Expr":
        """The last item of a list that has one."""
        return Expr(f"{self.cel}[{self.cel}.size() - 1]", lambda scope: self.run(scope)[-1])

    def without(self, names: tuple[str, ...]) -> "Expr":
        """An object without these keys."""
        return Expr(
            f"{self.cel}.transformMap(k, v, !(k in {term(names).cel}), v)",
            lambda scope: {key: value for key, value in self.run(scope).items() if key not in names},
        )

    def filter(self, name: str, test: "Predicate") -> "Expr":
        """The items for which `test` holds."""
        return self._loop("filter", name, test, lambda found: [item for item, holds in found if holds])

    def exists(self, name: str, test: "Predicate") -> "Expr":
        """Whether `test` holds for any item, or key of an object."""
        return self._loop("exists", name, test, lambda found: any(holds for _, holds in found))

    def all(self, name: str, test: "Predicate") -> "Expr":
        """Whether `test` holds for all items, or keys of an object."""
        return self._loop("all", name, test, lambda found: all(holds for _, holds in found))

    def map(self, name: str, make: Callable[["Expr"], object]) -> "Expr":
        """A list made of each item."""
        return self._loop("map", name, make, lambda found: [made for _, made in found])

    def _loop(
        self, macro: str, name: str, of: Callable[["Expr"], object], end: Callable[[Iterator[tuple[Any, Any]]], Any]
    ) -> "Expr":
        """`end` makes the answer of the items, each with what `of` is for it."""
        body = term(of(root(name)))
        cel = f"{self.cel}.{macro}({name}, {body.cel})"
        return Expr(cel, lambda scope: end((each, body.run({**scope, name: each})) for each in self.run(scope)))

    def indices(self, name: str, test: "Predicate") -> "Expr":
        """Where the items are for which `test` holds."""
        body = test(self[root(name)])
        return Expr(
            f"lists.range({self.cel}.size()).filter({name}, {body.cel})",
            lambda scope: [i for i in range(len(self.run(scope))) if body.run({**scope, name: i})],
        )

    def last_first(self, name: str, test: "Predicate") -> "Expr":
        """As `indices`, from the end: the order in which items can be removed one by one."""
        found, body = self.indices(name, test), test(self[root(name)])
        backwards = f"lists.range({self.cel}.size()).map({name}, {self.cel}.size() - 1 - {name})"
        return Expr(f"{backwards}.filter({name}, {body.cel})", lambda scope: found.run(scope)[::-1])


Predicate = Callable[[Expr], Expr]


def term(value: object) -> Expr:
    """A JSON value, any part of which may be a term already.

    CEL is typed: the values of an object differ in type, so each is made dynamic.
    """
    if isinstance(value, Expr):
        return value
    if isinstance(value, dict):
        fields = {key: term(each) for key, each in value.items()}
        cel = "{" + ", ".join(f"{json.dumps(key)}: dyn({each.cel})" for key, each in fields.items()) + "}"
        return Expr(cel, lambda scope: {key: each.run(scope) for key, each in fields.items()})
    if isinstance(value, list | tuple):
        items = [term(each) for each in value]
        return Expr(f"[{', '.join(each.cel for each in items)}]", lambda scope: [each.run(scope) for each in items])
    return Expr(json.dumps(value), lambda _: value)


def root(name: str) -> Expr:
    """`object` or `params`, or the variable of a loop."""
    return Expr(name, lambda scope: scope[name])


def variable(name: str) -> Expr:
    """A variable of the table."""
    return Expr(f"variables.{name}", lambda scope: scope[name])


def both(*tests: Expr) -> Expr:
    """All of them."""
    return Expr(f"({' && '.join(each.cel for each in tests)})", lambda scope: all(each.run(scope) for each in tests))


def either(*tests: Expr) -> Expr:
    """Any of them."""
    return Expr(f"({' || '.join(each.cel for each in tests)})", lambda scope: any(each.run(scope) for each in tests))


def choose(test: Expr, yes: object, no: object) -> Expr:
    """One of two values; the other is not looked at."""
    one, two = term(yes), term(no)
    cel = f"({test.cel} ? {one.cel} : {two.cel})"
    return Expr(cel, lambda scope: one.run(scope) if test.run(scope) else two.run(scope))


def add(*values: object) -> Expr:
    """Sum of numbers, texts or lists."""
    terms = [term(each) for each in values]
    cel = f"({' + '.join(each.cel for each in terms)})"
    return Expr(cel, lambda scope: reduce(plus, (each.run(scope) for each in terms)))


def operation(op: str, path: object, **more: object) -> Expr:
    """One operation of JSON Patch: `value=` of an add, `source=` of a copy."""
    parts = {"path": term(path)} | {"from" if key == "source" else key: term(each) for key, each in more.items()}
    cel = ", ".join([f'op: "{op}"', *(f"{key}: {each.cel}" for key, each in parts.items())])
    return Expr(
        f"JSONPatch{{{cel}}}", lambda scope: {"op": op, **{key: each.run(scope) for key, each in parts.items()}}
    )
