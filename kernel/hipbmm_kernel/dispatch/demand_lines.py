"""Calls of problems that the table in memory has no entry for, as values and as lines of a file."""

import itertools
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

MAX_DEMAND = 4096
DEMAND_HEADER = "m,n,k,bias,calls\n"

Problem = tuple[int, int, int, bool]


class Demand(NamedTuple):
    """A problem that the table has no entry for, and how many calls asked for it."""

    m: int
    n: int
    k: int
    bias: bool
    calls: int


def read_demand(text: str) -> list[Demand]:
    """The problems in a demand file. Lines that are none are left out: the file may be of another version."""
    found = []
    for line in text.splitlines()[1 : MAX_DEMAND + 1]:
        with suppress(ValueError):
            m, n, k, bias, calls = (int(value) for value in line.split(","))
            if min(m, n, k, calls) > 0 and bias in {0, 1}:
                found.append(Demand(m, n, k, bool(bias), calls))
    return found


def merged(demands: Iterable[Iterable[Demand]]) -> list[Demand]:
    """The demand of several processes, most called first. Ranks repeat each other: the greatest count stays."""
    most: dict[Problem, int] = {}
    for item in itertools.chain.from_iterable(demands):
        most[item[:4]] = max(item.calls, most.get(item[:4], 0))
    return ranked(most)


def ranked(calls: Mapping[Problem, int]) -> list[Demand]:
    """Problems by their calls, most called first."""
    return sorted((Demand(*problem, count) for problem, count in calls.items()), key=lambda item: (-item.calls, item))


def line(item: Demand) -> str:
    """A problem as a line of a demand file."""
    return f"{item.m},{item.n},{item.k},{int(item.bias)},{item.calls}\n"
