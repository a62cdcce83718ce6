"""A store as one file and back; no archive writes anything but a whole store."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from tests.kernel.pods import row, rows
from tests.kernel.store.stores import names, put, read

from hipbmm_kernel.cli import stores as cli_stores
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows.gemm import Veto
from hipbmm_kernel.store import archive


def export(root: Path, file: Path, *more: str) -> tuple[int, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    return cli_stores.export_command([str(root), str(file), "-o", "json", *more], stdout, stderr), stdout.getvalue()


def load(file: Path, root: Path) -> tuple[int, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    return cli_stores.import_command([str(file), str(root), "-o", "json"], stdout, stderr), stdout.getvalue()


@pytest.fixture
def full(tmp_path: Path, a_stack: Stack) -> Path:
    """A store with three shards."""
    root = tmp_path / "store"
    put(root, a_stack, *rows(20))
    put(root, a_stack, *rows(20, first=500), origin="pod-b.warm")
    put(root, a_stack, Veto(row().key, 3, "wrong"), origin="pod-c.warm")
    return root


def test_an_export_imported_elsewhere_is_the_same_store(full: Path, tmp_path: Path, a_stack: Stack) -> None:
    code, text = export(full, tmp_path / "a.tar")
    assert (code, json.loads(text)["files"], json.loads(text)["keys"]) == (0, 4, [a_stack.key])
    (tmp_path / "other").mkdir()
    assert load(tmp_path / "a.tar", tmp_path / "other")[0] == 0
    assert names(tmp_path / "other") == names(full)
    assert read(tmp_path / "other", a_stack) == read(full, a_stack)
    assert (tmp_path / "other/v1" / a_stack.key / "stack.json").exists()
    assert load(tmp_path / "a.tar", tmp_path / "other")[0] == 0, "importing twice is importing once"
    export(tmp_path / "other", tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_what_is_no_shard_is_not_exported(full: Path, tmp_path: Path, a_stack: Stack) -> None:
    place = full / "v1" / a_stack.key / "shards"
    (place / "pod-z.warm.1.0123456789ab.csv").write_bytes(b"torn")
    (place / "secret").symlink_to("/etc/passwd")
    export(full, tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert len(tar.getnames()) == 3 + 1 + 1


def change(file: Path, edit: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> None:
    """Write an archive again with its members edited."""
    with tarfile.open(file) as tar:
        members = []
        for info in tar.getmembers():
            content = tar.extractfile(info)
            assert content is not None
            members.append((info, content.read()))
    edit(members)
    with tarfile.open(file, "w") as tar:
        for info, data in members:
            info.size = len(data) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(data))


def rename(to: str) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    def edit(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members[1][0].name = to

    return edit


def make(kind: bytes, target: str) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    def edit(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members[1][0].type = kind
        members[1][0].linkname = target

    return edit


def flip(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    info, data = members[1]
    members[1] = (info, data[:50] + bytes([data[50] ^ 1]) + data[51:])


def drop_manifest(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    del members[-1]


def drop_shard(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    del members[1]


def double(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    members.insert(1, members[1])


def add_after(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    members.append(members[0])


def long_name(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    members[1][0].name = "v1/" + "x" * 300_000


@pytest.mark.parametrize(
    "edit",
    [
        rename("../../etc/cron.d/x"),
        rename("/etc/passwd"),
        rename("v1/0123456789abcdef/shards/../../x"),
        rename("v1/0123456789abcdef/shards/pod-a.warm.1.0123456789ab.csv"),
        rename("manifest.json"),
        make(tarfile.SYMTYPE, "/etc/passwd"),
        make(tarfile.LNKTYPE, "/etc/passwd"),
        make(tarfile.DIRTYPE, ""),
        make(tarfile.FIFOTYPE, ""),
        make(tarfile.CHRTYPE, ""),
        flip,
        drop_manifest,
        drop_shard,
        double,
        add_after,
        long_name,
    ],
)
def test_a_hostile_archive_leaves_nothing_behind(
    full: Path, tmp_path: Path, edit: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]
) -> None:
    export(full, tmp_path / "a.tar")
    change(tmp_path / "a.tar", edit)
    target = tmp_path / "target"
    target.mkdir()
    code, text = load(tmp_path / "a.tar", target)
    assert code == 1
    assert json.loads(text)["error"]
    assert list(target.rglob("*")) == []


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, sparse: bytes = b"") -> bytes:
    """One header of a tar with any size in it, with a right checksum."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT)[:512])
    block[124:136] = size.to_bytes(12, "big", signed=True) if size < 0 else b"%011o\0" % size
    block[386 : 386 + len(sparse)] = sparse
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(text: bytes, size: int | None = None) -> bytes:
    return header("pax", tarfile.XHDTYPE, len(text) if size is None else size) + text + bytes(-len(text) % 512)


SHARD_PATH = "v1/0123456789abcdef/shards/pod-a.warm.1.0123456789ab.csv"
PATH_RECORD = b"%d path=%s\n" % (len(SHARD_PATH) + 9, SHARD_PATH.encode())
HOSTILE_HEADERS = {
    "a negative size": header(SHARD_PATH, size=-5),
    "a negative size of a long name": pax(b"", size=-1024),
    "a size beyond the file": header(SHARD_PATH, size=5000),
    "headers in a chain": pax(PATH_RECORD) * 2000 + header("x"),
    "a header that says sparse": pax(b"22 GNU.sparse.major=1\n") + header(SHARD_PATH),
    "a header of another size": pax(b"12 size=999\n") + header(SHARD_PATH),
    "a header with more than a path": pax(PATH_RECORD + b"12 size=999\n") + header("x"),
    "a header of a wrong length": pax(b"99 path=x\n") + header("x"),
    "a header without its file": pax(PATH_RECORD),
    "a global header": header("g", tarfile.XGLTYPE, len(PATH_RECORD)) + PATH_RECORD,
    "a sparse file": header(SHARD_PATH, tarfile.GNUTYPE_SPARSE, sparse=b"\xff" * 96),
    "a bad sparse map": header(SHARD_PATH, tarfile.GNUTYPE_SPARSE, sparse=b"z" * 96),
    "a name of GNU": header("././@LongLink", tarfile.GNUTYPE_LONGNAME, 1 << 30),
    "a name that is no text": header("x").replace(b"x\0", b"\xff\xfe", 1),
    "numbers that are none": header(SHARD_PATH).replace(b"0" * 11, b"zzzzzzzzzzz"),
}


@pytest.mark.parametrize("end", [b"", bytes(1024)], ids=["cut", "ended"])
@pytest.mark.parametrize("data", HOSTILE_HEADERS.values(), ids=HOSTILE_HEADERS.keys())
def test_a_hostile_header_is_answered_and_leaves_nothing_behind(tmp_path: Path, data: bytes, end: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(data + end)
    target = tmp_path / "target"
    target.mkdir()
    code, text = load(tmp_path / "a.tar", target)
    assert code == 1
    assert json.loads(text)["error"]
    assert list(target.rglob("*")) == []


def test_a_long_name_is_exported_and_imported(tmp_path: Path, a_stack: Stack) -> None:
    put(tmp_path / "store", a_stack, *rows(3), origin=f"{'p' * 120}.warm")
    (tmp_path / "other").mkdir()
    assert export(tmp_path / "store", tmp_path / "a.tar")[0] == 0
    assert load(tmp_path / "a.tar", tmp_path / "other")[0] == 0
    assert names(tmp_path / "other") == names(tmp_path / "store")


def test_what_changes_between_the_two_readings_is_not_written(
    full: Path, tmp_path: Path, a_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(full, tmp_path / "a.tar")
    data = (tmp_path / "a.tar").read_bytes()
    original = archive._files_in
    readings: list[IO[bytes]] = []

    def then_changed(source: IO[bytes]) -> Iterator[tuple[archive.Member, bytes]]:
        if readings:
            (tmp_path / "a.tar").write_bytes(data.replace(b",true,", b",true ").replace(b"pod-", b"xod-"))
        readings.append(source)
        return original(source)

    monkeypatch.setattr(archive, "_files_in", then_changed)
    (tmp_path / "target").mkdir()
    code, _ = load(tmp_path / "a.tar", tmp_path / "target")
    assert (code, len(readings)) == (1, 2)
    assert names(tmp_path / "target") == set()


def test_export_takes_what_merge_takes(tmp_path: Path, a_stack: Stack) -> None:
    """Shards of another writer that are valid and not byte for byte what this program writes: 12.50 for 12.5."""
    path = put(tmp_path / "store", a_stack, row(tuned_us=12.5, default_us=14.25))
    head, _, _ = path.read_bytes().rpartition(b"#end ")
    body = head.replace(b",12.5,", b",12.50,")
    sha256 = hashlib.sha256(body).hexdigest()
    path.unlink()
    other = path.with_name(f"pod-a.warm.1.{sha256[:12]}.csv")
    other.write_bytes(body + f"#end rows=1 bytes={len(body)} sha256={sha256}\n".encode())
    (tmp_path / "other").mkdir()
    assert export(tmp_path / "store", tmp_path / "a.tar")[0] == 0
    assert load(tmp_path / "a.tar", tmp_path / "other")[0] == 0
    assert len(read(tmp_path / "other", a_stack).rows) == 1
    assert names(tmp_path / "other") == {other.name}


def test_every_truncation_is_refused_or_whole(full: Path, tmp_path: Path) -> None:
    export(full, tmp_path / "a.tar")
    data = (tmp_path / "a.tar").read_bytes()
    target = tmp_path / "target"
    target.mkdir()
    for length in range(0, len(data), 512 * 3):
        (tmp_path / "cut.tar").write_bytes(data[:length])
        code, _ = load(tmp_path / "cut.tar", target)
        assert code == 0 or list(target.rglob("*")) == []


def test_sizes_are_bounded_before_anything_is_read(full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(full, tmp_path / "a.tar")
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 1000)
    (tmp_path / "target").mkdir()
    assert load(tmp_path / "a.tar", tmp_path / "target")[0] == 1


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\x1f\x8b" + bytes(600)])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    assert load(tmp_path / "a.tar", tmp_path)[0] == 1
    assert load(tmp_path / "missing.tar", tmp_path)[0] == 1
    assert export(tmp_path / "missing", tmp_path / "b.tar")[0] == 1
    assert not (tmp_path / "b.tar").exists()


@pytest.mark.parametrize("special", ["fifo", "directory", "device"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, special: str) -> None:
    path = {"fifo": tmp_path / "fifo", "directory": tmp_path, "device": Path("/dev/zero")}[special]
    if special == "fifo":
        os.mkfifo(path)
    code, text = load(path, tmp_path)
    assert code == 1
    assert "regular file" in json.loads(text)["error"]


def test_an_import_makes_no_directory_that_a_volume_should_be(full: Path, tmp_path: Path) -> None:
    export(full, tmp_path / "a.tar")
    code, text = load(tmp_path / "a.tar", tmp_path / "unmounted")
    assert (code, (tmp_path / "unmounted").exists()) == (1, False)
    assert "mount the store" in json.loads(text)["error"]
