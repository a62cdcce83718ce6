"""A tuner and a harvester, run as a process that kills itself at one write-type system call.

    python killing.py ROOT CALL before|half|after|lost

CALL 0 never comes: the process ends well and prints how many calls there were. Whatever a call is to a reader, "half"
is what a crash in the middle of a write leaves. "lost" is a crash of the node after the call: what was made in a
directory and not synced with it may be gone. Lines on stdout: `acked N`: the rows up to N are on the volume; `lost
PATH`.
"""

import os
import signal
import sys
from pathlib import Path

from tests.kernel.mi300x import STACK

from hipbmm_kernel.contract import settings
from hipbmm_kernel.harvest.harvester import Harvester
from hipbmm_kernel.pod import served_file
from hipbmm_kernel.rows import aiter_csv
from hipbmm_kernel.rows.gemm import FNUZ, Problem, Row, key_of
from hipbmm_kernel.store.publisher import Publisher
from hipbmm_kernel.store.shard_origin import WARM, head
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume

TUNED = tuple(Row(key_of(Problem(m, 256, 512), FNUZ), 4711 + m, f"Cijk_{m}_{'x' * 300}") for m in range(1, 33))
LEARNED = tuple(Row(key_of(Problem(m, 512, 256), FNUZ), 9000 + m, f"Cijk_{m}_{'y' * 300}") for m in range(1, 25))
BATCH = 8


class KillingVolume(Volume):
    """Counts write-type calls and ends this process at one of them."""

    def __init__(self, at: int, when: str) -> None:
        self._at = at
        self._when = when
        self.count = 0
        self._unsynced: set[Path] = set()

    def _due(self) -> bool:
        self.count += 1
        return self.count == self._at

    def _around(self, due: bool, when: str) -> None:
        lost = self._when == "lost"
        if not due or when != ("after" if lost else self._when):
            return
        for path in tuple(self._unsynced) if lost else ():
            tell(f"lost {path}")
        os.kill(os.getpid(), signal.SIGKILL)

    def _made(self, path: str, at: int | None) -> None:
        self._unsynced.add(Path(path) if at is None else _place(at) / path)

    def create(self, path: str, mode: int = 0o664, at: int | None = None) -> int:
        due = self._due()
        self._around(due, "before")
        fd = super().create(path, mode, at)
        self._made(path, at)
        self._around(due, "half")
        self._around(due, "after")
        return fd

    def write(self, fd: int, data: memoryview) -> int:
        due = self._due()
        self._around(due, "before")
        if due and self._when == "half":
            os.write(fd, data[: len(data) // 2])
        self._around(due, "half")
        count = super().write(fd, data)
        self._around(due, "after")
        return count

    def sync(self, fd: int) -> None:
        due = self._due()
        self._around(due, "before")
        super().sync(fd)
        self._unsynced -= {path for path in tuple(self._unsynced) if path.parent == _place(fd)}
        self._around(due, "after")

    def close(self, fd: int) -> None:
        due = self._due()
        self._around(due, "before")
        super().close(fd)
        self._around(due, "after")

    def make_directory(self, path: str, at: int | None = None) -> None:
        due = self._due()
        self._around(due, "before")
        super().make_directory(path, at)
        self._made(path, at)
        self._around(due, "after")

    def remove(self, path: str, at: int | None = None) -> None:
        due = self._due()
        self._around(due, "before")
        super().remove(path, at)
        self._around(due, "after")

    def rename(self, source: str, target: str) -> None:
        due = self._due()
        self._around(due, "before")
        super().rename(source, target)
        self._around(due, "after")


def _place(fd: int) -> Path:
    return Path(f"/proc/self/fd/{fd}").readlink()


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def pod_settings(root: Path) -> settings.Settings:
    return settings.parse_settings(
        {"HIPBMM_HOME": str(root / "home"), "HIPBMM_STORE": str(root / "store"), "HIPBMM_POD_UID": "pod-a"}
    )


def tune(volume: Volume, made: settings.Settings) -> None:
    """Publish in batches, then write the served file, then the report that the harvester needs."""
    publisher = Publisher(volume, Clock(), made.store, STACK)
    for first in range(0, len(TUNED), BATCH):
        shard = head(made, STACK, WARM)._replace(rows=TUNED[first : first + BATCH])
        publisher.publish(shard, 5.0)
        tell(f"acked {first + BATCH}")
    if not {row.key for row in TUNED} <= in_table(made):
        # Only once: what a server has learned since is in this file alone, and init containers do not run again.
        served_file.write(volume, made.served_file, [row._replace(kernel_name="-") for row in TUNED])
    document = '{"stackDocument": ' + STACK.canonical().decode() + "}"
    volumes.replace_file(volume, made.report_file, document.encode())


def serve_and_harvest(volume: Volume, made: settings.Settings) -> None:
    """A server that repairs its table, learns rows line by line, and a sidecar beside it."""
    served_file.repair(volume, made.served_file)
    known = in_table(made)
    harvester = Harvester(made, volume, Clock(), lambda _text: None)
    for row in LEARNED:
        if row.key not in known:
            append(volume, made.served_file, f"{row.key},{row.algo_index},{row.kernel_name}\n")
        harvester.turn()
    harvester.finish(60.0)
    tell("harvested")


def in_table(made: settings.Settings) -> set[str]:
    """Keys of the served file."""
    path = Path(made.served_file)
    return {row.key for row in aiter_csv.parse(path.read_bytes()).accepted} if path.exists() else set()


def append(volume: Volume, path: str, line: str) -> None:
    """AITER's append: one write, unchecked."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        volume.write(fd, memoryview(line.encode()))
    finally:
        os.close(fd)


def main(root: Path, at: int, when: str) -> None:
    volume = KillingVolume(at, when)
    made = pod_settings(root)
    (root / "store").mkdir(parents=True, exist_ok=True)
    (root / "home").mkdir(exist_ok=True)
    tune(volume, made)
    serve_and_harvest(volume, made)
    tell(f"calls {volume.count}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
