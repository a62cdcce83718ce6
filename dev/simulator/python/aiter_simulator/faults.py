"""Failures to order: ``HIPBMM_SIM_FAULTS`` is a ``;``-list of rules ``kind[:condition[,condition...]]``.

A condition is ``M=64``, ``N=5120``, ``K=1024`` (a value or a range ``1-512``), ``index=4711``,
``on=tune|lookup|heuristic|...`` (which step), ``table=with|without`` (whether the working directory has rows),
``bias=with|without``, ``gpu=1`` (the value of HIP_VISIBLE_DEVICES), ``after=20`` and ``times=2`` (how many occasions
pass before it, and how often it happens then, counted over all processes that share ``HIPBMM_SIM_STATE``), or an
argument of the kind (``ms=``, ``how=``). README.md lists the kinds.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from aiter_simulator import process, settings

KINDS = frozenset(
    {
        "exit",
        "hip-exit",
        "no-index-0",
        "hang",
        "segv",
        "oom",
        "wrong",
        "no-solution",
        "lost-append",
        "partial-line",
        "slow-file",
        "crash",
        "never-ready",
        "throttle",
    }
)
_NUMBERS = frozenset({"M", "N", "K", "index"})
_TEXTS = frozenset({"on", "table", "gpu", "bias"})
_ARGUMENTS = frozenset({"times", "ms", "how", "factor", "bytes", "after", "again"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: ``ranges`` are inclusive, ``texts`` must be equal, ``arguments`` belong to the kind."""

    kind: str
    number: int
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)

    def argument(self, name: str, default: float) -> float:
        """A numeric argument of the kind."""
        return float(self.arguments.get(name, default))

    def holds(self, facts: Mapping[str, str | int]) -> bool:
        """Whether all conditions hold; a condition on a fact that this place does not know does not."""
        for name, (low, high) in self.ranges.items():
            value = facts.get(name)
            if not isinstance(value, int) or not low <= value <= high:
                return False
        return all(facts.get(name) in value.split("|") for name, value in self.texts.items())


def parse(text: str) -> tuple[Rule, ...]:
    """Parse a list of rules; SettingError names the part that is wrong."""
    parts = (part.strip() for part in text.split(";"))
    return tuple(_rule(part, number) for number, part in enumerate(filter(None, parts)))


def _rule(part: str, number: int) -> Rule:
    kind, _, rest = part.partition(":")
    if kind.strip() not in KINDS:
        raise settings.SettingError(f"unknown fault {kind!r}; known are {', '.join(sorted(KINDS))}")
    ranges: dict[str, tuple[int, int]] = {}
    texts: dict[str, str] = {}
    arguments: dict[str, str] = {}
    for condition in filter(None, (item.strip() for item in rest.split(","))):
        name, separator, value = condition.partition("=")
        if name in _NUMBERS and separator:
            low, _, high = value.partition("-")
            ranges[name] = (int(low), int(high or low))
        elif name in _TEXTS and separator:
            texts[name] = value
        elif name in _ARGUMENTS and separator:
            arguments[name] = value
        else:
            raise settings.SettingError(f"fault {part!r}: {condition!r} is not a condition")
    return Rule(kind.strip(), number, ranges, texts, arguments)


@lru_cache(maxsize=1)
def _rules() -> tuple[Rule, ...]:
    return parse(settings.text("FAULTS"))


def find(kind: str, **facts: str | int) -> Rule | None:
    """The first rule of this kind that applies here and now; asking counts as one of its ``times``."""
    here: dict[str, str | int] = {**facts, "gpu": os.environ.get("HIP_VISIBLE_DEVICES", "")}
    for rule in _rules():
        if rule.kind == kind and rule.holds(here) and _take(rule):
            return rule
    return None


def strike(**facts: str | int) -> None:
    """Let the fatal kinds happen whose conditions hold: most do not return."""
    if not _rules():
        return
    rule = find("exit", **facts)
    if rule is not None:
        # CHECK_HIPBLAS_ERROR evaluates its argument, the launch, again for its message: that run may go well.
        well = rule.argument("again", 1) == 0
        status = ("HIPBLAS_STATUS_SUCCESS", 0) if well else ("HIPBLAS_STATUS_INVALID_VALUE", 3)
        process.exit_hipblas(*status, 1069)
    if find("hip-exit", **facts):
        process.exit_hip("an illegal memory access was encountered", 700, 647)
    if find("segv", **facts):
        process.segmentation_fault()
    if find("oom", **facts):
        process.killed_for_memory()
    if find("hang", **facts):
        while True:  # a GPU that never answers; only a signal ends it
            time.sleep(3600)


def _take(rule: Rule) -> bool:
    first, limit = int(rule.argument("after", 0)), rule.arguments.get("times")
    if not first and limit is None:
        return True
    return first <= _count(rule) < (first + int(limit) if limit is not None else float("inf"))


def _count(rule: Rule) -> int:
    """How often the rule was taken before; O_APPEND makes the count right for several processes."""
    # Scratch of a test image, without secrets.
    state = Path(settings.text("STATE", f"/tmp/hipbmm-simulator-{os.getuid()}"))  # noqa: S108
    state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state / f"fault-{rule.number}-{rule.kind}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, b".")
        return os.lseek(descriptor, 0, os.SEEK_CUR) - 1
    finally:
        os.close(descriptor)
