"""The system calls that a store and the served file need, one method each, and nothing else.

A shared volume may be NFS, SMB, CephFS, Lustre or FUSE: every one of these calls can fail with errors that a local disk
never gives. Keeping them behind one thin object lets tests put each error behind each call.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

TRANSIENT = frozenset({errno.EIO, errno.ESTALE, errno.EINTR, errno.EAGAIN, errno.ETIMEDOUT, errno.EBUSY, errno.ENOLCK})
"""Errors that a network volume gives for a while and that then go away."""

NOT_FOR_DIRECTORIES = frozenset(
    {errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP, errno.EACCES, errno.EPERM, errno.EROFS}
)
"""What fsync of a directory says on volumes that know no such thing. Anything else is a name that may be lost."""

CHUNK = 1 << 20


class Volume:
    """System calls on paths and descriptors. Every method raises OSError as the call does.

    `at` is the descriptor of an open directory that a path starts from. A name below such a directory cannot be led
    elsewhere by a link in front of it, which a path of several parts can.
    """

    def create(self, path: str, mode: int = 0o664, at: int | None = None) -> int:
        """A descriptor of a new file; FileExistsError when anything, a dangling link included, has that name."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=at)

    def open(self, path: str, follow: bool = False, at: int | None = None) -> int:
        """A descriptor for reading that never blocks on a FIFO; a link as last part is followed only if asked."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
        return os.open(path, flags, dir_fd=at)

    def open_directory(self, path: str, follow: bool = False, at: int | None = None) -> int:
        """A descriptor of a directory."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        return os.open(path, flags, dir_fd=at)

    def write(self, fd: int, data: memoryview) -> int:
        """Write some bytes; how many."""
        return os.write(fd, data)

    def read(self, fd: int, count: int) -> bytes:
        """Read at most `count` bytes; empty at the end."""
        return os.read(fd, count)

    def read_at(self, fd: int, count: int, offset: int) -> bytes:
        """Read at most `count` bytes from `offset`."""
        return os.pread(fd, count, offset)

    def sync(self, fd: int) -> None:
        """Force the bytes to the device (fsync)."""
        os.fsync(fd)

    def close(self, fd: int) -> None:
        """Close; a network volume reports lost writes here."""
        os.close(fd)

    def stat(self, fd: int) -> os.stat_result:
        """What fstat says."""
        return os.fstat(fd)

    def stat_name(self, name: str, at: int, follow: bool = False) -> os.stat_result:
        """What is known of a name in an open directory without opening it."""
        return os.stat(name, dir_fd=at, follow_symlinks=follow)

    def names(self, directory: int) -> list[str]:
        """The names in an open directory, in no order."""
        return os.listdir(directory)

    def make_directory(self, path: str, at: int | None = None) -> None:
        """One directory; FileExistsError when it is there."""
        os.mkdir(path, 0o2775, dir_fd=at)

    def remove(self, path: str, at: int | None = None) -> None:
        """Unlink one file."""
        os.unlink(path, dir_fd=at)

    def rename(self, source: str, target: str) -> None:
        """Rename over `target`. Local disks only: nothing on a shared volume is ever renamed."""
        os.rename(source, target)


@contextlib.contextmanager
def closing(volume: Volume, fd: int) -> Iterator[int]:
    """A descriptor that is closed behind the block, whatever happens in it."""
    try:
        yield fd
    finally:
        volume.close(fd)


def open_below(volume: Volume, root: str, *parts: str, make: bool = False, sync: bool = False) -> int:
    """A descriptor of the directory `root`/`parts`; below `root` no link is followed, and `make` makes what is missing.

    With `sync` the names of all parts are durable: of whoever made a directory nobody knows whether it lived to do so.
    OSError as the calls give it: NotADirectoryError for a link.
    """
    fd = volume.open_directory(root, follow=True)
    for part in parts:
        with closing(volume, fd) as outer:
            if make:
                with contextlib.suppress(FileExistsError):
                    volume.make_directory(part, at=outer)
            if sync:
                sync_names(volume, outer)
            fd = volume.open_directory(part, at=outer)
    return fd


def sync_names(volume: Volume, directory: int) -> None:
    """Make the names in an open directory durable where the volume can. Many network volumes cannot, and need not."""
    try:
        volume.sync(directory)
    except OSError as error:
        if error.errno not in NOT_FOR_DIRECTORIES:
            raise


def make_directories(volume: Volume, path: str) -> None:
    """`path` and its parents, as far as they are missing. OSError when one cannot be made."""
    missing = []
    while path and path != "/":
        try:
            volume.make_directory(path)
            break
        except FileExistsError:
            break
        except FileNotFoundError:
            missing.append(path)
            path = os.path.dirname(path)
    for directory in reversed(missing):
        with contextlib.suppress(FileExistsError):
            volume.make_directory(directory)


def write_all(volume: Volume, fd: int, data: bytes) -> None:
    """Write all of `data`, through short writes and EINTR. OSError when the volume stops taking bytes."""
    view = memoryview(data)
    while view:
        try:
            count = volume.write(fd, view)
        except InterruptedError:
            continue
        if count <= 0:
            raise OSError(errno.EIO, "the volume takes no more bytes")
        view = view[count:]


def write_new(volume: Volume, path: str, data: bytes, at: int | None = None, mode: int = 0o664) -> None:
    """A new file with `data`, forced to the device. OSError when any call failed; a full volume has its room back."""
    fd = volume.create(path, mode, at)
    try:
        with closing(volume, fd):
            write_all(volume, fd, data)
            volume.sync(fd)
    except OSError:
        with contextlib.suppress(OSError):
            volume.remove(path, at)
        raise


def read_file(volume: Volume, path: str, limit: int, follow: bool = False, at: int | None = None) -> bytes:
    """The bytes of a regular file of at most `limit` bytes. OSError otherwise; EFBIG names a larger one."""
    with closing(volume, volume.open(path, follow, at)) as fd:
        status = volume.stat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        chunks: list[bytes] = []
        size = status.st_size
        while size <= limit:
            try:
                chunk = volume.read(fd, CHUNK)
            except InterruptedError:
                continue
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
            size = sum(map(len, chunks))
        raise OSError(errno.EFBIG, f"larger than {limit} bytes", path)


def replace_file(volume: Volume, path: str, data: bytes) -> None:
    """Write a file of the pod's own disk so that a reader sees the old or the new one.

    A crash of the node leaves one of them: what a pod's files are for ends with it, so their directory is not synced.
    For local files only (served file, report, state): a rename on a shared volume is not dependable.
    """
    temporary = f"{path}.{os.getpid()}.new"
    with contextlib.suppress(FileNotFoundError):
        volume.remove(temporary)
    write_new(volume, temporary, data, mode=0o644)
    volume.rename(temporary, path)


def describe(error: Exception) -> str:
    """An error for people and reports: of an OSError its name, its text, and the path if it has one; else its words."""
    if not isinstance(error, OSError):
        return str(error)
    name = errno.errorcode.get(error.errno or 0, "OSError")
    place = f" ({error.filename})" if error.filename else ""
    return f"{name}: {error.strerror or error}{place}"
