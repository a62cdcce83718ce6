"""YAML as plain objects, scalars kept as the text they were written as.

``7551``, ``0123`` and ``1e5`` are label values of a manifest whose author forgot the quotes; YAML's own types would
make other values of them. Only plain ``true``, ``false`` and ``null`` are no text. Built from libyaml's events: its own
composer overflows the C stack on deep nesting. Tags mean nothing, so nothing in a file can run code.
"""

from collections.abc import Iterator
from itertools import takewhile
from typing import Any, Final

import yaml

MOST_LEVELS: Final = 100
# Aliases share what they name and cost nothing; merge keys copy, and copies of copies grow without end.
MOST_MERGED: Final = 100_000
_MERGE: Final = "<<"
_WORDS: Final = {"true": True, "false": False, "null": None, "Null": None, "NULL": None, "~": None, "": None}
_EVENTS: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class PlainYamlError(ValueError):
    """The text is no YAML, or more than is accepted; the message says where."""


def documents(written: str) -> Iterator[Any]:
    """The documents of a YAML text, one by one; PlainYamlError at the first that cannot be read."""
    try:
        yield from _Reader(written).documents()
    except yaml.YAMLError as error:
        raise PlainYamlError(" ".join(str(error).split())) from error


class _Reader:
    """Values from events: each method takes those of what it reads, to its end."""

    def __init__(self, written: str) -> None:
        self._events: Iterator[Any] = yaml.parse(written, Loader=_EVENTS)
        self._anchors: dict[str, Any] = {}
        self._merged = 0

    def documents(self) -> Iterator[Any]:
        """The root of each document."""
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors = {}
                root = self._value(next(self._events), 0)
                next(self._events)  # the end of the document, or an error
                yield root

    def _value(self, event: Any, level: int, *, key: bool = False) -> Any:  # noqa: ANN401  # events and values of any kind
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _error(f"alias *{event.anchor} names nothing that is complete", event)
            return self._anchors[event.anchor]
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            word = event.implicit[0] and event.value in _WORDS and not event.style and not key
            value = _WORDS[event.value] if word else event.value
        elif level >= MOST_LEVELS:
            raise _error(f"more than {MOST_LEVELS} levels", event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = [self._value(item, level + 1) for item in self._until(yaml.SequenceEndEvent)]
        else:
            value = self._mapping(event, level + 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _mapping(self, start: yaml.Event, level: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merges: list[Any] = []
        for event in self._until(yaml.MappingEndEvent):
            key = self._value(event, level, key=True)
            if not isinstance(key, str):
                raise _error("a key that is no text", event)
            value = self._value(next(self._events), level)
            if key == _MERGE:
                merges += value if isinstance(value, list) else [value]
            else:
                own[key] = value
        merged: dict[str, Any] = {}
        for other in reversed(merges):
            if not isinstance(other, dict):
                raise _error("a merge key wants a mapping", start)
            self._merged += len(other)
            if self._merged > MOST_MERGED:
                raise _error(f"merge keys copy more than {MOST_MERGED} values", start)
            merged.update(other)
        return {**merged, **own}

    def _until(self, end: type[yaml.Event]) -> Iterator[Any]:
        return takewhile(lambda event: not isinstance(event, end), self._events)


def _error(problem: str, event: yaml.Event) -> PlainYamlError:
    mark = event.start_mark
    return PlainYamlError(problem if mark is None else f"{problem}, line {mark.line + 1}")
