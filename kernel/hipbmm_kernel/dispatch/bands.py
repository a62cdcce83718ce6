"""Sizes between the planned ones: which run padded to the next planned size, and which by hipBLASLt's own choice. Pure.

A band is the sizes of one linear in (top / 2, top], top a power of two. `warm` times two of its sizes, the copy
included, so a plan of 204 problems needs about 80 measurements and covers all sizes up to its largest.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hipbmm_kernel.dispatch.table import Entry

TIE = 1.05
"""A padded call may take so much longer than the heuristic's and is still preferred: its index was found right, the
heuristic's never was. Medians of one launch scatter by 1 to 2 percent."""

Linear = tuple[int, int, bool]
"""N, K, and whether there is a bias."""


class Band(NamedTuple):
    """The unplanned sizes of a linear in (top / 2, top], and whether padding them pays."""

    n: int
    k: int
    bias: bool
    top: int
    pays: bool


class Answer(NamedTuple):
    """Whether the plugin works on an image and a stack, None when that could not be found out; `reason` says why not.

    `bands` says what is padded.
    """

    works: bool | None
    reason: str = ""
    bands: tuple[Band, ...] = ()


class Timed(NamedTuple):
    """What was measured of one size: microseconds padded, copy included, and by the heuristic."""

    m: int
    n: int
    k: int
    bias: bool
    padded_us: float
    default_us: float


def gaps(planned: Iterable[Entry]) -> Iterator[Entry]:
    """An entry for each size below the largest planned one of its linear that is not planned itself."""
    by_linear: dict[Linear, list[Entry]] = defaultdict(list)
    for entry in planned:
        if entry.padded_m == entry.m:
            by_linear[entry[1:4]].append(entry)
    for entries in by_linear.values():
        entries.sort()
        last = 0
        for entry in entries:
            for m in range(last + 1, entry.m):
                yield entry._replace(m=m)
            last = entry.m


def samples(planned: Iterable[Entry]) -> list[Entry]:
    """The gaps to measure: of each band the size that grows most when it is padded, and the middle one."""
    by_band: dict[tuple[Linear, int], list[Entry]] = defaultdict(list)
    for gap in gaps(planned):
        by_band[gap[1:4], top_of(gap.m)].append(gap)
    chosen: dict[Entry, None] = {}
    for band in by_band.values():
        chosen[max(band, key=lambda gap: gap.padded_m / gap.m)] = None
        chosen[band[len(band) // 2]] = None
    return list(chosen)


def choose(measured: Iterable[Timed]) -> tuple[Band, ...]:
    """The bands in which all that was measured says that padding pays, and those where it does not."""
    sums: dict[tuple[Linear, int], tuple[float, float]] = {}
    for timed in measured:
        at = (timed[1:4], top_of(timed.m))
        padded, default = sums.get(at, (0.0, 0.0))
        sums[at] = (padded + timed.padded_us, default + timed.default_us)
    return tuple(sorted(Band(*at[0], at[1], sums[at][0] <= TIE * sums[at][1]) for at in sums))


def with_padding(planned: Iterable[Entry], bands: Iterable[Band]) -> tuple[Entry, ...]:
    """The planned entries, and one for each gap in a band that pays."""
    exact = tuple(planned)
    pays = {band[:4] for band in bands if band.pays}
    return (*exact, *(gap for gap in gaps(exact) if (*gap[1:4], top_of(gap.m)) in pays))


def top_of(m: int) -> int:
    """The band of a size: the least power of two that is not below it."""
    return 1 << (m - 1).bit_length()
