"""A model's config.json, read as what it is: text from somebody else.

The bytes are bounded in size and depth before they are parsed, and every field is checked where it is used, so that a
hostile or broken file ends in `ConfigInvalid` with the name of the field instead of a crash, a hang or a wrong plan.
"""

import json
from typing import NoReturn, TypeVar

from hipbmm_kernel.system import json_text

T = TypeVar("T")

MAX_BYTES = 4 * 2**20
"""Largest config.json that is read; the largest published ones (long ignore lists) have about 300 kB."""

MAX_SIZE = 2**20
"""Largest size of a layer; the widest published models have below 2^18."""

MAX_LAYERS = 1024
MAX_ITEMS = 100_000
MAX_DIGITS = 18
"""Longer integers are not converted: the conversion of a hostile one takes quadratic time."""

_SHOWN = 80
_TEXT_CONFIGS = ("text_config", "llm_config", "language_config", "thinker_config")


class ConfigInvalid(ValueError):  # noqa: N818 - the report's reason has this very name
    """A config.json (or a flag together with it) that no plan can be made of.

    `field` is the dotted name of the field (or `config.json`), `value` what it holds, shortened, `remedy` what would
    be right.
    """

    def __init__(self, field: str, value: object, remedy: str) -> None:
        text = value if isinstance(value, str) else repr(value)
        self.field = field
        self.value = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
        self.remedy = remedy
        super().__init__(f"{field}: {self.value!a}: {remedy}")


def parse(data: bytes) -> "Fields":
    """The fields of a config.json. ConfigInvalid when it is too large, too deep, not JSON or not an object."""
    if len(data) > MAX_BYTES:
        raise ConfigInvalid("config.json", f"{len(data)} bytes", f"a config.json has at most {MAX_BYTES} bytes")
    if json_text.is_deep(data):
        raise ConfigInvalid("config.json", f"more than {json_text.MAX_DEPTH} levels", "must nest less deeply")
    try:
        document = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_object, parse_int=_integer)
    except ConfigInvalid:
        raise
    except (ValueError, RecursionError) as error:
        raise ConfigInvalid("config.json", str(error), "must be one JSON object in UTF-8") from error
    if not isinstance(document, dict):
        raise ConfigInvalid("config.json", type(document).__name__, "must be a JSON object")
    return Fields(document)


class Fields:
    """An object of a config.json whose fields are checked when they are read. `name` is its own dotted name."""

    __slots__ = ("_values", "name")

    def __init__(self, values: dict[str, object], name: str = "") -> None:
        self._values = values
        self.name = name

    def __contains__(self, field: str) -> bool:
        """Whether the field is there and not null."""
        return self.raw(field) is not None

    def names(self) -> list[str]:
        """The fields that are there."""
        return list(self._values)

    def raw(self, field: str) -> object:
        """The field's value as parsed, or None."""
        return self._values.get(field)

    def with_defaults(self, **defaults: object) -> "Fields":
        """The same fields where those of `defaults` stand for missing or null ones."""
        there = {name: value for name, value in self._values.items() if value is not None}
        return Fields({**self._values, **defaults, **there}, self.name)

    def size(self, field: str, default: int | None = None, most: int = MAX_SIZE) -> int:
        """A positive integer, or `default` when it is missing or null; without one it must be there."""
        value = self.raw(field)
        if value is None and default is None:
            self.refuse(field, "missing" if field not in self._values else None, "a positive integer is needed")
        return default if value is None and default is not None else self._whole(field, value, 1, most)

    def count(self, field: str, default: int = 0) -> int:
        """A natural number, or `default` when it is missing or null."""
        return self._whole(field, self.raw(field), 0) if field in self else default

    def flag(self, field: str, default: bool) -> bool:
        """A boolean, or `default` when it is missing or null."""
        return self._of(bool, field, self.raw(field), "must be true or false") if field in self else default

    def text(self, field: str) -> str:
        """A string, "" when it is missing or null."""
        return self._of(str, field, self.raw(field), "must be a string") if field in self else ""

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of strings; empty when it is missing or null."""
        return tuple(self._of(str, field, value, "must hold strings only") for value in self._items(field))

    def counts(self, field: str) -> tuple[int, ...]:
        """A list of natural numbers; empty when it is missing or null."""
        return tuple(self._whole(field, value, 0) for value in self._items(field))

    def nested(self, field: str) -> "Fields | None":
        """The object in a field, or None when it is missing or null."""
        value = self.raw(field)
        return None if value is None else Fields(self._of(dict, field, value, "must be an object"), self._dotted(field))

    def only(self, field: str, unwraps: bool) -> "Fields | None":
        """The object in a field, or with `unwraps` in a list of one in it; None for anything else."""
        value = self.raw(field)
        if unwraps and isinstance(value, list) and len(value) == 1:
            value = value[0]
        return Fields(value, self._dotted(field)) if isinstance(value, dict) else None

    def objects(self, field: str) -> "dict[str, Fields]":
        """The objects in an object by name; null ones are left out."""
        holder = self.nested(field)
        found = {str(name): holder.nested(name) for name in holder.names()} if holder else {}
        return {name: fields for name, fields in found.items() if fields is not None}

    def language(self) -> "Fields":
        """The text model's own object in a multimodal config, else these fields."""
        for field in _TEXT_CONFIGS:
            nested = self.nested(field)
            if nested is not None:
                return nested.language() if field == "thinker_config" else nested
        return self

    def refuse(self, field: str, value: object, remedy: str) -> NoReturn:
        """Raise ConfigInvalid for a field."""
        raise ConfigInvalid(self._dotted(field), "null" if value is None else value, remedy)

    def _items(self, field: str) -> list[object]:
        value = self.raw(field)
        value = [] if value is None else self._of(list, field, value, "must be a list")
        if len(value) > MAX_ITEMS:
            self.refuse(field, f"{len(value)} items", f"at most {MAX_ITEMS} items are read")
        return value

    def _whole(self, field: str, value: object, least: int, most: int = MAX_SIZE) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.refuse(field, value, f"must be an integer between {least} and {most}")
        return value

    def _of(self, kind: type[T], field: str, value: object, remedy: str) -> T:
        if not isinstance(value, kind):
            self.refuse(field, value, remedy)
        return value

    def _dotted(self, field: str) -> str:
        return f"{self.name}.{field}" if self.name else field


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ConfigInvalid(name, value, "must not be there twice")
        found[name] = value
    return found


def _integer(text: str) -> object:
    """An int, or the text itself when it is too long for one: the field that uses it then refuses it by name."""
    return int(text) if len(text) <= MAX_DIGITS else text
