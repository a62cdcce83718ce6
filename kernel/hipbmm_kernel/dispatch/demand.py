"""Demand in a store: which problems without a row production asked for, and how often, by pod.

`<store>/v1/<key>/demand/<pod uid>.<number>.<sha12>.csv`: a header, `demand_lines`, a line with the sha256 of
what is before it. Files are written once. A pod's counts only grow, so its files join by the greatest count, and the
counts of pods add up. A file says nothing about what is right: it only says what the next `warm` may look for.

Without a shared volume demand travels as plans do: in a shard's frame (`store/frames.py`) by log and ConfigMap, with
origin `demand.<pod uid>` and, for its number, the second when it was written.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress

from hipbmm_kernel.dispatch.demand_lines import DEMAND_HEADER, MAX_DEMAND, Demand, Problem, line, ranked, read_demand
from hipbmm_kernel.store import frames
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.digest import sha256
from hipbmm_kernel.system.volume import Volume

FOLDER = "demand"
MAX_FILES = 256
"""Of one key that are read."""
LINE_BYTES = 32
"""Of a usual line."""
MAX_BYTES = 2 * LINE_BYTES * MAX_DEMAND
MAX_LINES = 32 * MAX_DEMAND
"""Of all files together that are read, or as many bytes; what a store of one key may cost in memory and time."""
KEPT_SECONDS = 7 * 86400.0
"""After so long without a word a pod's demand is removed, by the clock of the volume."""
MIRROR_LINES = 256
"""Of one pod in a mirror: 3 kB when compressed. The operator refuses more, and keeps the newest of a few pods."""
MIRROR_CALLS = 32
"""What was called less often in each of the pods whose demand a mirror keeps does not reach what `warm` tunes for."""
GZIP = ".gz"
_NAME = r"([A-Za-z0-9][A-Za-z0-9._-]{0,99})\.([0-9]{1,18})\.([0-9a-f]{12})\.csv"


def encode(demands: Iterable[Demand]) -> bytes:
    """The bytes of a file, of the most wanted problems."""
    body = (DEMAND_HEADER + "".join(line(item) for item in list(demands)[:MAX_DEMAND])).encode()
    return body + f"#sha256={sha256(body)}\n".encode()


def whole(data: bytes) -> str:
    """The text of a file; "" when it is cut or changed."""
    body, mark, digest = data.rpartition(b"#sha256=")
    return body.decode("ascii", "replace") if mark and digest == f"{sha256(body)}\n".encode() else ""


def publish(volume: Volume, root: str, key: str, origin: str, demands: Iterable[Demand]) -> None:
    """Write a pod's counts, then remove its former files and those of pods long gone. OSError when it fails."""
    data = encode(demands)
    with volumes.closing(volume, volumes.open_below(volume, root, "v1", key, FOLDER, make=True)) as directory:
        own = [name for name in volume.names(directory) if (found := re.fullmatch(_NAME, name)) and found[1] == origin]
        number = max((int(name.split(".")[-3]) for name in own), default=0) + 1
        fresh = f"{origin}.{number}.{sha256(data)[:12]}.csv"
        volumes.write_new(volume, fresh, data, directory)
        if volumes.read_file(volume, fresh, MAX_BYTES, at=directory) == data:
            for name in {*own, *_stale(volume, directory, fresh)} - {fresh}:
                with suppress(OSError):  # another pod was faster, or may and this one may not
                    volume.remove(name, at=directory)


def framed(key: str, origin: str, seconds: int, demands: Iterable[Demand]) -> bytes:
    """The text of a pod's counts for a mirror, of what `for_mirror` takes; a later one replaces them."""
    header, *lines = (DEMAND_HEADER + "".join(map(line, demands))).splitlines()
    return frames.frame(key, f"{shards.DEMAND}.{origin}", seconds, shards.DEMAND, (header, *lines))


def for_mirror(demands: Iterable[Demand]) -> list[Demand]:
    """Of `demands`, most called first, what is worth its bytes in a mirror, which has little room."""
    return [item for item in demands if item.calls >= MIRROR_CALLS][:MIRROR_LINES]


def read(volume: Volume, roots: Iterable[str], key: str, problems: list[str]) -> list[Demand]:
    """The demand of all pods in all stores, most called first; why a store could not be read goes into `problems`."""
    by_origin: dict[str, dict[Problem, int]] = {}
    room = MAX_LINES
    for root in roots:
        for files in (_stored, _mirrored):
            try:
                for origin, text in files(volume, root, key):
                    if room <= 0:
                        break
                    counts, found = by_origin.setdefault(origin, {}), read_demand(text)[:room]
                    for item in found:
                        counts[item[:4]] = max(item.calls, counts.get(item[:4], 0))
                    room -= max(len(found), len(text) // LINE_BYTES) + 1
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                problems.append(f"demand of {root}: {volumes.describe(error)}")
    total = Counter[Problem]()
    for counts in by_origin.values():
        total.update(counts)
    return ranked(total)


def _stored(volume: Volume, root: str, key: str) -> Iterator[tuple[str, str]]:
    with volumes.closing(volume, volumes.open_below(volume, root, "v1", key, FOLDER)) as directory:
        for name in _in_turn(_times(volume, directory)):
            with suppress(OSError):  # removed meanwhile, or damaged: demand is a hint
                yield _origin(name), whole(volumes.read_file(volume, name, MAX_BYTES, at=directory))


def _mirrored(volume: Volume, root: str, key: str) -> Iterator[tuple[str, str]]:
    """The same of a flat mirror, as a ConfigMap is: its files are links, and their number is their time."""
    with volumes.closing(volume, volume.open_directory(root, follow=True)) as directory:
        names = (name.removesuffix(GZIP) for name in volume.names(directory) if name.endswith(GZIP))
        times = [
            (float(found[2]), name) for name in names if shards.is_demand(name) and (found := re.fullmatch(_NAME, name))
        ]
        for name in _in_turn(times):
            with suppress(OSError, shards.ShardError):
                packed = volumes.read_file(volume, f"{name}{GZIP}", MAX_BYTES, follow=True, at=directory)
                its_key, lines = frames.unframe(name, packed, MAX_BYTES)
                if its_key == key:
                    yield _origin(name).removeprefix(f"{shards.DEMAND}."), "\n".join(lines)


def _in_turn(times: Iterable[tuple[float, str]]) -> list[str]:
    """The newest file of each origin, then the second of each: a pod with many files hides no other."""
    turns: list[tuple[int, float, str]] = []
    seen: Counter[str] = Counter()
    for time, name in sorted(times, reverse=True):
        turns.append((seen[_origin(name)], -time, name))
        seen[_origin(name)] += 1
    return [name for _, _, name in sorted(turns)[:MAX_FILES]]


def _times(volume: Volume, directory: int) -> Iterator[tuple[float, str]]:
    for name in volume.names(directory):
        if re.fullmatch(_NAME, name):
            with suppress(OSError):
                yield volume.stat_name(name, directory).st_mtime, name


def _stale(volume: Volume, directory: int, fresh: str) -> list[str]:
    """Files that are much older than the fresh one, or younger than it and most others.

    A clock was ahead then, and no file outlives all others. Where most are younger, this pod's own clock is behind.
    """
    times = {name: time for time, name in _times(volume, directory)}
    if fresh not in times:
        return []
    oldest = times[fresh] - KEPT_SECONDS
    youngest = max(times[fresh], sorted(times.values())[len(times) // 2]) + KEPT_SECONDS
    return [name for name, time in times.items() if not oldest <= time <= youngest]


def _origin(name: str) -> str:
    return name.rsplit(".", 3)[0]
