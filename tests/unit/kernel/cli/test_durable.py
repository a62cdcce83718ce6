"""What a command has written survives a crash of the node: its name is synced before the command says so."""

import os
from pathlib import Path

import pytest
from tests.kernel.mi300x import STACK
from tests.kernel.pods import row
from tests.kernel.store.stores import put
from tests.unit.kernel.cli.commands import run

from hipbmm_kernel.cli import stores
from hipbmm_kernel.system.volume import Volume


@pytest.mark.parametrize("command", ["merge", "export"])
def test_the_directory_is_synced_when_the_file_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    put(tmp_path / "store", STACK, row(m=1))
    out = tmp_path / "out" / "file"
    out.parent.mkdir()
    synced: list[tuple[Path, bool]] = []

    def sync(_volume: Volume, fd: int) -> None:
        os.fsync(fd)
        synced.append((Path(f"/proc/self/fd/{fd}").readlink(), out.exists()))

    monkeypatch.setattr(Volume, "sync", sync)
    if command == "merge":
        code, _, _ = run(stores.merge_command, tmp_path / "store", "--out", out)
    else:
        code, _, _ = run(stores.export_command, tmp_path / "store", out)
    assert code == 0
    assert (out.parent, True) in synced
