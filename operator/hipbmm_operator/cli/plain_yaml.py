"""YAML as plain objects, scalars kept as the text they were written as.

``7551``, ``0123`` and ``1e5`` are label values of a manifest whose author forgot the quotes; YAML's own types would
make other values of them. Only plain ``true``, ``false`` and ``null`` are no text. Built from libyaml's events without
recursion: its own composer overflows the C stack on deep nesting. Tags mean nothing, so nothing in a file can run code.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class _Open:
    """A collection being read; ``key`` is the pending key of a mapping."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    key: str | None = None
    merges: list[Any] = field(default_factory=list)


def documents(written: str) -> Iterator[Any]:
    """The documents of a YAML text, one by one; PlainYamlError at the first that cannot be read."""
    builder = _Builder()
    try:
        for event in yaml.parse(written, Loader=_EVENTS):
            if isinstance(event, yaml.DocumentStartEvent):
                builder = _Builder(builder.merged)
            elif isinstance(event, yaml.DocumentEndEvent):
                yield builder.root
            else:
                builder.take(event)
    except yaml.YAMLError as error:
        raise PlainYamlError(" ".join(str(error).split())) from error


class _Builder:
    """One document from its events."""

    def __init__(self, merged: int = 0) -> None:
        self.root: Any = None
        self.merged = merged
        self._open: list[_Open] = []
        self._anchors: dict[str, Any] = {}

    def take(self, event: yaml.Event) -> None:
        """Take the next event of the document."""
        if isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0] and event.value in _WORDS and not event.style
            key_wanted = bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None
            self._put(_WORDS[event.value] if plain and not key_wanted else event.value, event.anchor, event)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _error(f"alias *{event.anchor} names nothing that is complete", event)
            self._put(self._anchors[event.anchor], None, event)
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(self._open) >= MOST_LEVELS:
                raise _error(f"more than {MOST_LEVELS} levels", event)
            self._open.append(_Open({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self._open.pop()
            if isinstance(done.value, dict) and done.merges:
                done.value = self._merge(done.value, done.merges, event)
            self._put(done.value, done.anchor, event)

    def _put(self, value: object, anchor: str | None, event: yaml.Event) -> None:
        if anchor is not None:
            self._anchors[anchor] = value
        if not self._open:
            self.root = value
            return
        top = self._open[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.key is None:
            if not isinstance(value, str):
                raise _error("a key that is no text", event)
            top.key = value
        else:
            if top.key == _MERGE:
                top.merges.extend(value if isinstance(value, list) else [value])
            else:
                top.value[top.key] = value
            top.key = None

    def _merge(self, own: dict[str, Any], merges: list[Any], event: yaml.Event) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for other in reversed(merges):
            if not isinstance(other, dict):
                raise _error("a merge key wants a mapping", event)
            self.merged += len(other)
            if self.merged > MOST_MERGED:
                raise _error(f"merge keys copy more than {MOST_MERGED} values", event)
            merged.update(other)
        return {**merged, **own}


def _error(problem: str, event: yaml.Event) -> PlainYamlError:
    mark = event.start_mark
    return PlainYamlError(problem if mark is None else f"{problem}, line {mark.line + 1}")
