"""What a serving process did with its calls: two files in the pod's emptyDir, written by a thread beside the calls.

`calls-<rank>-<pid>.bin`: three little-endian 64-bit counters (verified, padded, heuristic) in a mapped file, so that a
killed process leaves its last numbers. `demand-<rank>-<pid>.csv`: m,n,k,bias,calls of problems without an entry, most
called first. The sidecar reads both.
"""

import atexit
import itertools
import mmap
import os
import struct
import threading
import time
from array import array
from contextlib import suppress

from hipbmm_kernel.dispatch.demand_lines import DEMAND_HEADER, MAX_DEMAND, Demand, Problem, line, ranked, read_demand
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.volume import Volume

RESULTS = ("verified", "padded", "heuristic")
COUNTERS = struct.Struct("<3Q")
CALLS_SECONDS = 5.0
DEMAND_EVERY = 12
"""The demand is written once a minute: every twelfth time that the counters are."""
MAX_BYTES = 1 << 20
"""Of a demand file."""
MAX_CALLS = 1 << 63
"""Of a problem before a restart: a damaged number must leave room to count on, for `missed` runs in a server's call."""


class Recorder:
    """Counters of one process. Counting is exact from any number of threads, without a lock."""

    def __init__(self, directory: str, rank: int) -> None:
        self._directory = directory
        self._rank = rank
        # `next` of a count is one step of the interpreter, so no call is lost between threads. Reading moves it, too.
        self.ticks = tuple(itertools.count() for _ in RESULTS)
        self._reads = 0
        self._before: tuple[int, ...] = (0,) * len(RESULTS)
        self._reading = threading.Lock()
        self._slots: dict[Problem, int] = {}
        self._free = itertools.count()  # a slot is given once: two threads that miss two problems share none
        self._calls = array("Q", bytes(8 * MAX_DEMAND))
        self._file: mmap.mmap | None = None

    def start(self) -> None:
        """Write from now on, until the process ends. OSError when the directory cannot be written."""
        name = f"{self._directory}/calls-{self._rank}-{os.getpid()}.bin"
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # A container that starts again gives the same process ids: what was counted before stays counted.
            before = os.read(descriptor, COUNTERS.size + 1)
            if len(before) == COUNTERS.size:
                self._before = COUNTERS.unpack(before)
            else:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, bytes(COUNTERS.size), 0)
            self._file = mmap.mmap(descriptor, COUNTERS.size)
        finally:
            os.close(descriptor)
        with suppress(OSError):
            before_demand = volumes.read_file(Volume(), self._demand_path(), MAX_BYTES)
            for item in read_demand(before_demand.decode("ascii", "replace")):
                self._calls[self._slots.setdefault(item[:4], len(self._slots))] = min(item.calls, MAX_CALLS)
        self._free = itertools.count(len(self._slots))
        threading.Thread(target=self._write_often, name="hipbmm-dispatch", daemon=True).start()
        atexit.register(self.write)

    def missed(self, problem: Problem) -> None:
        """One more call of a problem without an entry. After MAX_DEMAND problems only known ones are counted.

        Two threads that miss the same problem at one moment may count one call: demand is a ranking, not an account.
        """
        slot = self._slots.get(problem)
        if slot is None:
            slot = next(self._free)
            if slot >= MAX_DEMAND:
                return
            slot = self._slots.setdefault(problem, slot)
        self._calls[slot] += 1

    def totals(self) -> tuple[int, ...]:
        """Calls by result, in the order of RESULTS."""
        with self._reading:
            self._reads += 1
            return tuple(next(tick) - self._reads + 1 for tick in self.ticks)

    def demand(self) -> list[Demand]:
        """The problems without an entry, most called first."""
        return ranked({problem: self._calls[slot] for problem, slot in list(self._slots.items())})

    def write(self) -> None:
        """Write both files now. A volume that is full costs the numbers, never the server."""
        self._write_calls()
        with suppress(OSError):
            path = self._demand_path()
            with open(f"{path}.new", "w", encoding="ascii") as file:
                file.write(DEMAND_HEADER)
                file.writelines(line(item) for item in self.demand())
            os.replace(f"{path}.new", path)

    def _demand_path(self) -> str:
        return f"{self._directory}/demand-{self._rank}-{os.getpid()}.csv"

    def _write_calls(self) -> None:
        if self._file is not None:
            # In one copy: pack_into() clears the bytes first, and a scrape that saw that would count all calls again.
            self._file[:] = COUNTERS.pack(*map(sum, zip(self._before, self.totals(), strict=True)))

    def _write_often(self) -> None:
        for turn in itertools.count(1):
            time.sleep(CALLS_SECONDS)
            self._write_calls()
            if turn % DEMAND_EVERY == 0:
                self.write()


def read_calls(data: bytes) -> dict[str, int] | None:
    """The counters in a file's bytes by result; None for another file."""
    return dict(zip(RESULTS, COUNTERS.unpack(data), strict=True)) if len(data) == COUNTERS.size else None
