"""Small files beside the table, in which the processes of a server report whether they serve from memory.

`asked`: this start is to serve from memory; in it, how many processes at least. `memory-<pid>`: this process does; the
file is empty, for a full disk still takes a name. `file-<pid>`: it does not, and why. `exec` removes what an earlier
start has left. The sidecar reads them; a missing report counts only where `asked` could be written.
"""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from hipbmm_kernel.contract.settings import FILE, MEMORY
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.shown import one_line
from hipbmm_kernel.system.volume import Volume

ASKED = "asked"
UNKNOWN = "Unknown"
MAX_REASON = 200
MAX_PROCESSES = 1024
_NAME = re.compile(r"(memory|file)-[0-9]{1,10}")
_CREATE = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class ProcessReports(NamedTuple):
    """The reports of this start: how many processes serve from memory, and the reasons of those that do not."""

    asked: int
    memory: int
    reasons: tuple[str, ...]

    def summary(self) -> tuple[str, str]:
        """Memory, File or Unknown, and why it is not Memory."""
        count = self.memory + len(self.reasons)
        if self.reasons:
            often = max(sorted(set(self.reasons)), key=self.reasons.count)
            return FILE, f"{often} ({len(self.reasons)} of {count} processes)" if count > 1 else often
        if self.memory >= self.asked:
            return MEMORY, ""
        return UNKNOWN, f"{self.memory} of {self.asked} processes say that they serve from memory"


def begin(directory: str, processes: int) -> None:
    """A start of the server begins, which is to serve from memory in so many processes. OSError as of the disk."""
    os.makedirs(directory, exist_ok=True)
    clear(directory)
    _write(f"{directory}/{ASKED}", str(processes))


def clear(directory: str) -> None:
    """Remove the reports of an earlier start. OSError when they stay."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        if name == ASKED or _NAME.fullmatch(name):
            os.unlink(f"{directory}/{name}")


def write(directory: str, reason: str = "") -> None:
    """This process serves from memory, or from the file for `reason`. OSError when that cannot be written."""
    _write(f"{directory}/{'file' if reason else 'memory'}-{os.getpid()}", one_line(reason)[:MAX_REASON])


def read(volume: Volume, directory: str) -> ProcessReports | None:
    """The reports of this start; None where it was not asked to serve from memory, or could not write that down."""
    try:
        asked = volumes.read_file(volume, f"{directory}/{ASKED}", MAX_REASON)
        names = sorted(filter(_NAME.fullmatch, os.listdir(directory)))[:MAX_PROCESSES]
    except OSError:
        return None
    reasons = tuple(_reasons(volume, directory, names))
    return ProcessReports(max(1, int(asked)) if asked.isdigit() else 1, len(names) - len(reasons), reasons)


def _reasons(volume: Volume, directory: str, names: list[str]) -> Iterator[str]:
    for name in names:
        if name.startswith("file-"):
            try:
                text = volumes.read_file(volume, f"{directory}/{name}", 4 * MAX_REASON).decode("utf-8", "replace")
            except OSError:
                text = ""
            yield one_line(text)[:MAX_REASON] or "the reason could not be written"


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, _CREATE, 0o644)
    try:
        os.write(descriptor, text.encode("utf-8", "replace"))
    finally:
        os.close(descriptor)
