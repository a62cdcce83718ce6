"""The order in which the files of a store are read: publishers take turns by bytes, the oldest file of a turn first.

Whoever reads only as much as it can afford reads something of every publisher this way. A writer of thousands of files,
or of huge ones, delays its own shards and not those of the others; one of thousands of publishers, only what comes
after its own.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hipbmm_kernel.store.shard_origin import COMPACT

OPENING_BYTES = 2048
"""What opening a file costs, in bytes."""
TURN_BYTES = 16 << 10
"""Of one publisher in one turn."""


class File(NamedTuple):
    """A listed file; `publisher` is the pod of its name, and a compaction says so in its name.

    `changed` is its ctime: the only one of its times that its writer cannot choose.
    """

    name: str
    size: int
    publisher: str
    compaction: bool
    changed: float


def file(name: str, size: int, changed: float) -> File:
    """The file with the name of a shard, `<pod uid>.<rank>.<seq>.<sha12>.csv`."""
    return File(name, size, name.partition(".")[0], is_compaction(name), changed)


def is_compaction(name: str) -> bool:
    """Whether a shard says by its name that it contains others."""
    return f".{COMPACT}." in name


def first(names: Sequence[str], most: int) -> list[str]:
    """At most `most` of the names, of each publisher as many as of the others while it has that many."""
    if len(names) <= most:
        return list(names)
    counts: dict[str, int] = {}
    numbers = []
    for name in names:
        publisher = name.partition(".")[0]
        counts[publisher] = number = counts.get(publisher, 0) + 1
        numbers.append(number)
    publishers = Counter(numbers)  # how many have so many files; not sorted by name, which takes seconds for a million
    turn, left = 1, most
    while publishers[turn] <= left:
        left -= publishers[turn]
        turn += 1
    last = [name for name, number in zip(names, numbers, strict=True) if number == turn]
    return [name for name, number in zip(names, numbers, strict=True) if number < turn] + last[:left]


def in_turns(files: Iterable[File]) -> list[File]:
    """The files by what their publisher has cost up to and including each, in turns; of a turn the oldest first."""
    spent: dict[str, int] = {}
    order = []
    for each in sorted(files, key=lambda each: (each.size, each.name)):
        cost = spent[each.publisher] = spent.get(each.publisher, 0) + each.size + OPENING_BYTES
        order.append((cost // TURN_BYTES, each.changed, each))
    order.sort()
    return [each for *_, each in order]
