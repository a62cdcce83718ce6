"""A store as one file and back, and few shards in place of many: the table never changes."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.kernel.faults import FakeClock
from tests.kernel.pods import row, rows

from hipbmm_kernel.cli import archive as cli_archive
from hipbmm_kernel.cli import compact as cli_compact
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows.gemm import Row, Veto
from hipbmm_kernel.store import archive, compaction, shard, table
from hipbmm_kernel.store import reader as store
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.store.table import Table
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume

DAY = 24 * 3600


def put(root: Path, stack: Stack, *what: Row | Veto, origin: str = "pod-a.warm", old: bool = False) -> Path:
    head = Shard(stack.key, origin, 1)
    vetoes = tuple(one for one in what if isinstance(one, Veto))
    plain = tuple(one for one in what if isinstance(one, Row))
    made = head._replace(kind="vetoes", vetoes=vetoes) if vetoes else head._replace(rows=plain)
    data = shard.encode(made)
    place = root / "v1" / stack.key / "shards"
    place.mkdir(parents=True, exist_ok=True)
    (place.parent / "stack.json").write_bytes(stack.canonical() + b"\n")
    path = place / shard.name_of(data)
    path.write_bytes(data)
    if old:
        os.utime(path, (path.stat().st_mtime - 2 * DAY,) * 2)
    return path


def read(root: Path, stack: Stack) -> Table:
    reader = store.Reader(Volume(), FakeClock(), stack.key, 1.0)
    merged = table.merge(reader.shards(str(root)))
    assert reader.reading.refused_count == 0
    return merged


def names(root: Path) -> set[str]:
    return {path.name for path in root.glob("v1/*/shards/*")}


def export(root: Path, file: Path, *more: str) -> tuple[int, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    return cli_archive.export_command([str(root), str(file), "-o", "json", *more], stdout, stderr), stdout.getvalue()


def load(file: Path, root: Path) -> tuple[int, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    return cli_archive.import_command([str(file), str(root), "-o", "json"], stdout, stderr), stdout.getvalue()


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


def compact(root: Path, stack: Stack, grace: float = DAY) -> compaction.Compacted:
    return compaction.compact_key(Volume(), Clock(), str(root), stack.key, 1.0, grace)


def test_a_compaction_changes_nothing_and_removes_old_inputs_only(tmp_path: Path, a_stack: Stack) -> None:
    old = [put(tmp_path, a_stack, *rows(5, first=at), origin=f"pod-{at}.warm", old=True) for at in (1, 50)]
    new = put(tmp_path, a_stack, *rows(5, first=90), origin="pod-90.warm")
    before = read(tmp_path, a_stack)
    done = compact(tmp_path, a_stack)
    assert (done.before, len(done.published), done.removed, done.errors) == (3, 1, 2, ())
    assert names(tmp_path) == {new.name, *done.published}
    assert not any(path.exists() for path in old)
    assert read(tmp_path, a_stack) == before


def test_compacting_twice_and_by_two_at_once_changes_nothing(tmp_path: Path, a_stack: Stack) -> None:
    for at in (1, 50, 90):
        put(tmp_path, a_stack, *rows(5, first=at), origin=f"pod-{at}.warm", old=True)
    before = read(tmp_path, a_stack)
    for _ in range(3):
        compact(tmp_path, a_stack, grace=0)
        assert read(tmp_path, a_stack) == before
    assert len(names(tmp_path)) == 1


def test_vetoes_survive(full: Path, a_stack: Stack) -> None:
    put(full, a_stack, Veto(row(m=5).key, 9, "slow"), origin="pod-d.warm")
    before = read(full, a_stack)
    compact(full, a_stack, grace=0)
    assert read(full, a_stack) == before
    assert len(names(full)) == 2


def test_the_command_says_what_it_did(full: Path, a_stack: Stack) -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    assert cli_compact.compact_command([str(full), "--keep-hours", "0", "-o", "json"], stdout, stderr) == 0
    answer = json.loads(stdout.getvalue())[a_stack.key]
    assert (answer["before"], answer["removed"]) == (3, 2)
    assert cli_compact.compact_command(["--no-such"], stdout, stderr) == 2
    assert cli_compact.compact_command([str(full / "nothing")], stdout, stderr) == 1
