"""Terms of a small language: each is CEL text and the Python function of the same meaning. Pure.

Only what the table needs. Values are those of JSON; a function reads the names in its scope: `object`, `params`, the
table's variables and the variables of the loops around it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Scope = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Expr:
    """One term. `run` raises KeyError or IndexError where CEL would stop with an error."""

    cel: str
    run: Callable[[Scope], Any]


Predicate = Callable[[Expr], Expr]


def root(name: str) -> Expr:
    """`object` or `params`."""
    return Expr(name, lambda scope: scope[name])


def variable(name: str) -> Expr:
    """A variable of the table."""
    return Expr(f"variables.{name}", lambda scope: scope[name])


def constant(value: Any) -> Expr:  # noqa: ANN401  # any JSON
    """A JSON value."""
    return Expr(_literal(value), lambda _: value)


def _literal(value: Any) -> str:  # noqa: ANN401  # any JSON
    """CEL is typed: the values of an object differ in type, so each is made dynamic."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: dyn({_literal(each)})" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_literal(each) for each in value) + "]"
    return json.dumps(value)


def field(of: Expr, *path: str) -> Expr:
    """A field that is there."""

    def run(scope: Scope) -> Any:  # noqa: ANN401  # any JSON
        value = of.run(scope)
        for key in path:
            value = value[key]
        return value

    return Expr(".".join((of.cel, *path)), run)


def optional(of: Expr, *path: str, default: Any) -> Expr:  # noqa: ANN401  # any JSON
    """A field that may be absent anywhere on its path; a key that is no name is looked up as such."""
    steps = [f".?{key}" if key.isidentifier() else f"[?{json.dumps(key)}]" for key in path]

    def run(scope: Scope) -> Any:  # noqa: ANN401  # any JSON
        value = of.run(scope)
        for key in path:
            if key not in value:
                return default
            value = value[key]
        return value

    return Expr(f"{of.cel}{''.join(steps)}.orValue({_literal(default)})", run)


def has(of: Expr, key: str) -> Expr:
    """Whether a field is there."""
    return Expr(f"has({of.cel}.{key})", lambda scope: key in of.run(scope))


def contains(items: Expr, item: Expr) -> Expr:
    """Whether a list has an item, or an object a key."""
    return Expr(f"({item.cel} in {items.cel})", lambda scope: item.run(scope) in items.run(scope))


def at(items: Expr, key: Expr) -> Expr:
    """An item by its index, or a value by its key."""
    return Expr(f"{items.cel}[{key.cel}]", lambda scope: items.run(scope)[key.run(scope)])


def equal(one: Expr, other: Expr) -> Expr:
    """Equality."""
    return Expr(f"{one.cel} == {other.cel}", lambda scope: bool(one.run(scope) == other.run(scope)))


def starts(text: Expr, prefix: str) -> Expr:
    """Whether a text begins so."""
    return Expr(f"{text.cel}.startsWith({json.dumps(prefix)})", lambda scope: text.run(scope).startswith(prefix))


def both(*terms: Expr) -> Expr:
    """All of them."""
    return Expr("(" + " && ".join(term.cel for term in terms) + ")", lambda scope: all(t.run(scope) for t in terms))


def either(*terms: Expr) -> Expr:
    """Any of them."""
    return Expr("(" + " || ".join(term.cel for term in terms) + ")", lambda scope: any(t.run(scope) for t in terms))


def negate(term: Expr) -> Expr:
    """The contrary."""
    return Expr(f"!({term.cel})", lambda scope: not term.run(scope))


def choose(test: Expr, yes: Expr, no: Expr) -> Expr:
    """One of two values; the other is not looked at."""
    return Expr(
        f"({test.cel} ? {yes.cel} : {no.cel})", lambda scope: yes.run(scope) if test.run(scope) else no.run(scope)
    )


def size(items: Expr) -> Expr:
    """Number of items."""
    return Expr(f"{items.cel}.size()", lambda scope: len(items.run(scope)))


def utf8(text: Expr) -> Expr:
    """A text as the bytes that are stored."""
    return Expr(f"bytes({text.cel})", lambda scope: text.run(scope).encode())


def less(one: Expr, other: Expr) -> Expr:
    """Order of integers."""
    return Expr(f"{one.cel} < {other.cel}", lambda scope: bool(one.run(scope) < other.run(scope)))


def text(number: Expr) -> Expr:
    """A number as text."""
    return Expr(f"string({number.cel})", lambda scope: str(number.run(scope)))


def add(*terms: Expr) -> Expr:
    """Sum of numbers, texts or lists."""

    def run(scope: Scope) -> Any:  # noqa: ANN401  # any JSON
        total = terms[0].run(scope)
        for term in terms[1:]:
            total = total + term.run(scope)
        return total

    return Expr("(" + " + ".join(term.cel for term in terms) + ")", run)


def _item(name: str) -> Expr:
    return Expr(name, lambda scope: scope[name])


def select(items: Expr, name: str, test: Predicate) -> Expr:
    """The items for which `test` holds."""
    body = test(_item(name))
    return Expr(
        f"{items.cel}.filter({name}, {body.cel})",
        lambda scope: [each for each in items.run(scope) if body.run({**scope, name: each})],
    )


def some(items: Expr, name: str, test: Predicate) -> Expr:
    """Whether `test` holds for any item, or key of an object."""
    body = test(_item(name))
    return Expr(
        f"{items.cel}.exists({name}, {body.cel})",
        lambda scope: any(body.run({**scope, name: each}) for each in items.run(scope)),
    )


def every(items: Expr, name: str, test: Predicate) -> Expr:
    """Whether `test` holds for all items, or keys of an object."""
    body = test(_item(name))
    return Expr(
        f"{items.cel}.all({name}, {body.cel})",
        lambda scope: all(body.run({**scope, name: each}) for each in items.run(scope)),
    )


def each(items: Expr, name: str, make: Predicate) -> Expr:
    """A list made of each item."""
    body = make(_item(name))
    return Expr(
        f"{items.cel}.map({name}, {body.cel})",
        lambda scope: [body.run({**scope, name: item}) for item in items.run(scope)],
    )


def indices(items: Expr, name: str, test: Predicate) -> Expr:
    """Where the items are for which `test` holds."""
    body = test(at(items, _item(name)))
    return Expr(
        f"lists.range({items.cel}.size()).filter({name}, {body.cel})",
        lambda scope: [i for i in range(len(items.run(scope))) if body.run({**scope, name: i})],
    )


def last_first(items: Expr, name: str, test: Predicate) -> Expr:
    """As `indices`, from the end: the order in which items can be removed one by one."""
    found = indices(items, name, test)
    backwards = f"lists.range({items.cel}.size()).map({name}, {items.cel}.size() - 1 - {name})"
    body = test(at(items, _item(name)))
    return Expr(f"{backwards}.filter({name}, {body.cel})", lambda scope: found.run(scope)[::-1])


def part(items: Expr, start: Expr, end: Expr) -> Expr:
    """The items from the one index to before the other; both are within the list."""
    return Expr(
        f"{items.cel}.slice({start.cel}, {end.cel})", lambda scope: items.run(scope)[start.run(scope) : end.run(scope)]
    )


def last(items: Expr) -> Expr:
    """The last item of a list that has one."""
    return Expr(f"{items.cel}[{items.cel}.size() - 1]", lambda scope: items.run(scope)[-1])


def without(of: Expr, names: tuple[str, ...]) -> Expr:
    """An object without these keys."""
    return Expr(
        f"{of.cel}.transformMap(k, v, !(k in {_literal(names)}), v)",
        lambda scope: {key: value for key, value in of.run(scope).items() if key not in names},
    )


def comma_separated(items: Expr) -> Expr:
    """Texts as one."""
    return Expr(f'{items.cel}.join(",")', lambda scope: ",".join(items.run(scope)))


def made(**values: Expr) -> Expr:
    """An object of these values."""
    cel = "{" + ", ".join(f"{json.dumps(key)}: dyn({value.cel})" for key, value in values.items()) + "}"
    return Expr(cel, lambda scope: {key: value.run(scope) for key, value in values.items()})


def listed(*items: Expr) -> Expr:
    """A list of these values."""
    return Expr("[" + ", ".join(item.cel for item in items) + "]", lambda scope: [item.run(scope) for item in items])


def operation(op: str, path: Expr, **more: Expr) -> Expr:
    """One operation of JSON Patch: `value=` of an add, `source=` of a copy."""
    names = {"value": "value", "source": "from"}
    cel = [f'op: "{op}"', f"path: {path.cel}", *(f"{names[key]}: {term.cel}" for key, term in more.items())]

    def run(scope: Scope) -> dict[str, Any]:
        return {"op": op, "path": path.run(scope)} | {names[key]: term.run(scope) for key, term in more.items()}

    return Expr("JSONPatch{" + ", ".join(cel) + "}", run)
