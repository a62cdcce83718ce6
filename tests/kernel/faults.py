"""A volume whose calls fail on order, and a clock that nobody waits for."""

import errno
import os
from collections.abc import Callable

from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume

WRITING = ("create", "write", "sync", "close", "make_directory", "remove", "rename")
PUBLISHING = ("create", "write", "sync", "close", "make_directory", "open_directory", "open", "read", "stat")


class FakeClock(Clock):
    """Time passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class FaultyVolume(Volume):
    """Each call is counted by name; `fault(name, number, arguments)` may raise before the call is made.

    What happens to a call that fails is what a network volume does: a close that reports EIO has closed, a write that
    reports ENOSPC may have written a part.
    """

    def __init__(self, fault: Callable[[str, int], None] = lambda _name, _number: None) -> None:
        self._fault = fault
        self.calls: list[str] = []
        self.short_writes = False

    def _strike(self, name: str) -> None:
        self.calls.append(name)
        self._fault(name, self.calls.count(name))

    def create(self, path: str, mode: int = 0o664, at: int | None = None) -> int:
        self._strike("create")
        return super().create(path, mode, at)

    def open(self, path: str, follow: bool = False, at: int | None = None) -> int:
        self._strike("open")
        return super().open(path, follow, at)

    def open_directory(self, path: str, follow: bool = False, at: int | None = None) -> int:
        self._strike("open_directory")
        return super().open_directory(path, follow, at)

    def write(self, fd: int, data: memoryview) -> int:
        try:
            self._strike("write")
        except OSError as error:
            if error.errno != errno.EINTR:
                os.write(fd, data[: len(data) // 2])
            raise
        return super().write(fd, data[: 1 + len(data) // 3] if self.short_writes else data)

    def read(self, fd: int, count: int) -> bytes:
        self._strike("read")
        return super().read(fd, min(count, 100) if self.short_writes else count)

    def read_at(self, fd: int, count: int, offset: int) -> bytes:
        self._strike("read_at")
        return super().read_at(fd, count, offset)

    def sync(self, fd: int) -> None:
        self._strike("sync")
        super().sync(fd)

    def close(self, fd: int) -> None:
        super().close(fd)
        self._strike("close")

    def stat(self, fd: int) -> os.stat_result:
        self._strike("stat")
        return super().stat(fd)

    def stat_name(self, name: str, at: int, follow: bool = False) -> os.stat_result:
        self._strike("stat_name")
        return super().stat_name(name, at, follow)

    def names(self, directory: int) -> list[str]:
        self._strike("names")
        return super().names(directory)

    def make_directory(self, path: str, at: int | None = None) -> None:
        self._strike("make_directory")
        super().make_directory(path, at)

    def remove(self, path: str, at: int | None = None) -> None:
        self._strike("remove")
        super().remove(path, at)

    def rename(self, source: str, target: str) -> None:
        self._strike("rename")
        super().rename(source, target)


def failing(name: str, number: int, code: int) -> Callable[[str, int], None]:
    """The `number`th call of `name` fails with errno `code`, once."""

    def fault(called: str, count: int) -> None:
        if called == name and count == number:
            raise OSError(code, os.strerror(code))

    return fault


def failing_always(name: str, code: int) -> Callable[[str, int], None]:
    """Every call of `name` fails."""

    def fault(called: str, _count: int) -> None:
        if called == name:
            raise OSError(code, os.strerror(code))

    return fault
