"""The form of vLLM's command lines (utils/argparse_utils.py), and a parser with all flags of `vllm serve` 0.33.

The flags are a table that `make goldens` takes from vLLM's own parser, options.json: with all of them abbreviations are
unambiguous, and unknown flags refused, where they are in vLLM.
"""

import argparse
import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

_OPTIONS = Path(__file__).with_name("options.json")
_SUFFIXES = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_LEVELS = {"0", "1", "2", "3"}


def human_readable_int(text: str) -> int:
    """`1k` is 1000 and `1K` 1024; decimals with a decimal suffix only. ValueError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgGtT])", text.strip())
    if found is None:
        return int(text)
    number, suffix = found.groups()
    return int(float(number) * _SUFFIXES[suffix]) if suffix.islower() else int(number) * _SUFFIXES[suffix]


_TYPES: dict[str, Callable[[str], Any]] = {
    "": str,
    "int": int,
    "float": float,
    "human_readable_int": human_readable_int,
    "loads": json.loads,
    "<lambda>": lambda text: text.lower().replace("-", "_"),
}


@lru_cache(maxsize=1)
def parser() -> argparse.ArgumentParser:
    """A parser of `vllm serve`. Each flag's value is under its first spelling; what was not given is not there."""
    made = argparse.ArgumentParser(prog="vllm serve", argument_default=argparse.SUPPRESS)
    made.add_argument("model_tag", nargs="?")
    for on, off, count, kind, choices in json.loads(_OPTIONS.read_text(encoding="ascii")):
        name = (on or off)[0].lstrip("-").replace("-", "_")
        if count == 0:
            for spellings, value in ((on, True), (off, False)):
                if spellings:
                    made.add_argument(*spellings, dest=name, action="store_const", const=value)
        else:
            made.add_argument(*on, dest=name, nargs=count, type=_TYPES[kind], choices=choices or None)
    return made


def plain(arguments: Sequence[str]) -> list[str]:
    """Arguments as argparse takes them: dashes in names, levels spelt out, dotted keys as one JSON argument at the end.

    Each spelling of a flag has a JSON argument of its own.
    """
    waiting = list(_spelt(arguments))
    kept: list[str] = []
    dotted: dict[str, dict[str, Any]] = {}
    while waiting:
        argument = waiting.pop(0)
        name, equals, value = argument.partition("=")
        if not (name.startswith("-") and "." in name):
            kept.append(argument)
            continue
        text = value if equals else waiting.pop(0)
        flag, *keys = name.removesuffix("+").split(".")
        found: Any = text.split(",") if name.endswith("+") else _value(text)
        for key in reversed(keys):
            found = {key: found}
        _merge(dotted.setdefault(flag, {}), found)
    return kept + [part for flag, values in dotted.items() for part in (flag, json.dumps(values))]


def _spelt(arguments: Sequence[str]) -> list[str]:
    made: list[str] = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument.startswith("--"):
            name, dot, path = argument.partition("=")[0].partition(".")
            made.append(name.replace("_", "-") + dot + path + argument[len(name + dot + path) :])
        elif argument.startswith("-O") and argument != "-O":
            made += ["--optimization-level", argument[3:] if argument[2] == "=" else argument[2:]]
        else:
            made.append("--optimization-level" if argument == "-O" and following in _LEVELS else argument)
    return made


def _value(text: str) -> object:
    for read in (json.loads, human_readable_int):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        before = into.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            _merge(before, value)
        else:
            into[key] = before + value if isinstance(value, list) and isinstance(before, list) else value
