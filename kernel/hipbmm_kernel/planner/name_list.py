"""Whether a checkpoint's list of module names means a module: equal names, or `re:` and a regular expression.

The rule is compressed-tensors' and Quark's in vLLM (`should_ignore_layer`): a fused module such as qkv_proj is meant
when all of its parts are, and vLLM refuses to load when only some are. Patterns come with the model, so those that
could backtrack for ever are refused.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from hipbmm_kernel.planner.model_config import ConfigInvalid
from hipbmm_kernel.planner.shapes.module import TOWERS, Module
from hipbmm_kernel.planner.vllm_version import ASKS_FUSED_NAMES, NEWEST, Version

MAX_PATTERN = 4096
MAX_REPEATS = 6
"""Unbounded repetitions in one pattern; real ones have up to four."""

REGEX = "re:"
_SIGNS = "*?["
"""Of a shell pattern."""
_ROOT = "model."
"""Before the names of towers in some checkpoints, and in none of vLLM's."""
_NESTED_REPEAT = re.compile(r"[*+}]\??\)[*+{]")


class Spellings(NamedTuple):
    """How a full name may be spelled: as vLLM knows it or maps it, and `alone`, in a text model without the rest."""

    known: Sequence[str]
    alone: Sequence[str] = ()

    @property
    def every(self) -> list[str]:
        """All of them."""
        return [*self.known, *self.alone]


class Names(NamedTuple):
    """The spellings of a module's full name, and for each of its parts in the checkpoint those of the part's.

    `listed` is the names of the parts, for people.
    """

    module: Spellings
    parts: Sequence[Spellings]
    listed: str


def names_of(module: Module, prefixes: Sequence[str]) -> Names:
    """The names of a module whose full name is one of `prefixes` before its path."""
    paths = dict.fromkeys((module.stored or module.path, module.path))
    stems = [f"{prefix}{path[: path.rfind('.') + 1]}" for prefix in prefixes for path in paths]
    known = len(stems) - len(paths) or len(stems)

    def spelled(name: str) -> Spellings:
        every = [stem + name for stem in stems]
        return Spellings(every[:known], every[known:])

    last = module.path.rpartition(".")[2]
    return Names(spelled(last), [spelled(part) for part in module.parts], ", ".join(module.parts))


class NameList:
    """Names and patterns of one list of a checkpoint, ready to be asked many times."""

    __slots__ = ("_asks_fused", "_field", "_fused_first", "_names", "_patterns")

    def __init__(
        self, field: str, entries: Iterable[str], version: Version = NEWEST, *, globs: bool = False, quark: bool = False
    ) -> None:
        """`globs` says that an entry may be a shell pattern, as in the lists for online quantisation from 0.30 on.

        A list of `quark` is not asked about a fused name before.
        """
        texts = list(dict.fromkeys(entries))
        plain = [text for text in texts if not text.startswith(REGEX)]
        self._field = field
        self._fused_first = version >= ASKS_FUSED_NAMES
        self._asks_fused = self._fused_first or not quark
        towers = (text.removeprefix(_ROOT) for text in plain if text.removeprefix(_ROOT).startswith(TOWERS))
        self._names = frozenset([*plain, *towers])
        patterns = {text: _compile(field, text[len(REGEX) :]).match for text in texts if text.startswith(REGEX)}
        signed = [text for text in plain if globs and self._fused_first and any(sign in text for sign in _SIGNS)]
        self._patterns: dict[str, Callable[[str], object]] = {**patterns, **{text: glob(text) for text in signed}}

    def means(self, names: Names) -> bool | None:
        """Whether the list means a module; None when it means only some of its parts, which vLLM refuses to load.

        vLLM asks a fused module's own name first: until 0.29 it counts only when it is spelled out, later patterns are
        asked as well.
        """
        asked = self.has if self._fused_first else self._spelled_out
        if self._asks_fused and asked(names.module):
            return True
        answers = {self.has(spellings) for spellings in names.parts}
        return answers.pop() if len(answers) == 1 else None

    def has(self, spellings: Spellings) -> bool:
        """Whether one of these spellings of a full name is in the list.

        ConfigInvalid when a pattern means some of them only: vLLM maps names to its own, and leaves patterns alone.
        """
        if self._spelled_out(spellings):
            return True
        return any(is_each(spellings.every, matches, self._field, text) for text, matches in self._patterns.items())

    def _spelled_out(self, spellings: Spellings) -> bool:
        """Whether one of these spellings is an entry."""
        return is_one(spellings, self._names.__contains__, self._field)


def is_each(spellings: Sequence[str], matches: Callable[[str], object], field: str, pattern: str) -> bool:
    """Whether a pattern means all of these spellings of a name; ConfigInvalid when it means some of them only."""
    meant = {bool(matches(spelling)) for spelling in spellings}
    if len(meant) > 1:
        remedy = f"means {spellings[0]} by some of its spellings only: vLLM's own is not known here"
        raise ConfigInvalid(field, pattern, remedy)
    return meant.pop()


def is_one(spellings: Spellings, matches: Callable[[str], object], field: str) -> bool:
    """Whether one of these spellings is meant.

    ConfigInvalid when it is the name in a text model alone: some classes of vLLM map that to their own, others do not.
    """
    if any(map(matches, spellings.known)):
        return True
    for name in filter(matches, spellings.alone):
        remedy = "is a name of a text model alone: whether vLLM maps it to its own is not known here"
        raise ConfigInvalid(field, name, remedy)
    return False


def glob(pattern: str) -> Callable[[str], object]:
    """What a shell pattern means, of whole names: `*`, `?` and `[...]`, as Python's fnmatch has them."""
    return re.compile(fnmatch.translate(pattern[:MAX_PATTERN])).match


def _compile(field: str, text: str) -> re.Pattern[str]:
    """A pattern of a config. ConfigInvalid when it is none, too long, or could take for ever."""
    if len(text) > MAX_PATTERN:
        raise ConfigInvalid(field, text, f"a pattern has at most {MAX_PATTERN} characters")
    plain = text.replace("\\\\", "").replace("\\*", "").replace("\\+", "").replace("\\)", "")
    if _NESTED_REPEAT.search(plain) or plain.count("*") + plain.count("+") > MAX_REPEATS:
        raise ConfigInvalid(field, text, "a pattern whose repetitions are nested or many is not searched for")
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigInvalid(field, text, f"not a regular expression: {error}") from error
