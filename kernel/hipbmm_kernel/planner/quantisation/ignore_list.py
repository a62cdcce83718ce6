"""Whether a checkpoint's list of module names means a module: equal names, or `re:` and a regular expression.

The rule is compressed-tensors' and Quark's in vLLM (`should_ignore_layer`): a fused module such as qkv_proj is meant
when all of its parts are, and vLLM refuses to load when only some are. Patterns come with the model, so those that
could backtrack for ever are refused.
"""

import re
from collections.abc import Iterable, Sequence

from hipbmm_kernel.planner.model_config import ConfigInvalid
from hipbmm_kernel.planner.vllm_version import ASKS_FUSED_NAMES, NEWEST, Version

MAX_PATTERN = 4096
MAX_REPEATS = 6
"""Unbounded repetitions in one pattern; real ones have up to four."""

REGEX = "re:"
_SIGNS = "*?["
_NESTED_REPEAT = re.compile(r"[*+}]\??\)[*+{]")


class NameList:
    """Names and patterns of one list of a checkpoint, ready to be asked many times."""

    __slots__ = ("_fused_first", "_globs", "_names", "_patterns")

    def __init__(self, field: str, entries: Iterable[str], version: Version = NEWEST, *, globs: bool = False) -> None:
        """`globs` says that an entry may be a shell pattern, as in the lists for online quantisation from 0.33 on."""
        texts = list(dict.fromkeys(entries))
        self._fused_first = version >= ASKS_FUSED_NAMES
        self._globs = [
            text for text in texts if globs and self._fused_first and is_glob(text) and not text.startswith(REGEX)
        ]
        self._names = frozenset(text for text in texts if not text.startswith(REGEX))
        self._patterns = [_compile(field, text[len(REGEX) :]) for text in texts if text.startswith(REGEX)]

    def __bool__(self) -> bool:
        return bool(self._names or self._patterns or self._globs)

    def fused(self, spellings: Sequence[str]) -> bool:
        """Whether the list means a fused module by its own name, which vLLM asks before the names of its parts.

        Until 0.32 such a name counts only when it is spelled out; later patterns are asked as well.
        """
        return self.names(spellings) if self._fused_first else any(spelling in self._names for spelling in spellings)

    def names(self, spellings: Sequence[str]) -> bool:
        """Whether a module with these spellings of its full name is in the list."""
        return any(
            spelling in self._names
            or any(pattern.match(spelling) for pattern in self._patterns)
            or any(glob(spelling, text) for text in self._globs)
            for spelling in spellings
        )


def is_glob(text: str) -> bool:
    """Whether a text is a shell pattern."""
    return any(sign in text for sign in _SIGNS)


def glob(name: str, pattern: str) -> bool:
    """Whether a shell pattern means the whole name: `*`, `?` and `[...]`, as Python's fnmatch has them."""
    import fnmatch  # noqa: PLC0415 - few checkpoints have such a pattern

    return fnmatch.fnmatchcase(name, pattern[:MAX_PATTERN])


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
