"""What `warm` takes from stores and writes for the mirror when a volume does not answer."""

import base64
import gzip
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.kernel.pods import row
from tests.kernel.store.readings import expected, put

from hipbmm_kernel.contract.settings import parse_settings
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.pod import stores
from hipbmm_kernel.pod.stores import Stores
from hipbmm_kernel.store import shard
from hipbmm_kernel.store.reader import Reader
from hipbmm_kernel.store.table import Table
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.time_limits import TooLate
from hipbmm_kernel.system.volume import Volume


class Hanging(Volume):
    """One directory is on a server that is gone."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self.asked, self.let_go = threading.Event(), threading.Event()

    def open_directory(self, path: str, follow: bool = False, at: int | None = None) -> int:
        if path == self._path:
            self.asked.set()
            self.let_go.wait()
        return super().open_directory(path, follow, at)


def test_a_mirror_whose_rows_are_not_in_the_table_is_not_replaced(
    tmp_path: Path, a_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mirror was read before the store hung; what this pod tunes then knows nothing of it."""
    (tmp_path / "store").mkdir()
    put(tmp_path / "mirror", a_stack.key, (row(m=1),))
    volume = Hanging(tmp_path / "store")

    def late(_seconds: float, call: Callable[[Reader], Table], reader: Reader) -> Table:
        threading.Thread(target=call, args=(reader,), daemon=True).start()
        assert volume.asked.wait(60)
        raise TooLate("no answer")

    monkeypatch.setattr(stores, "within", late)
    env = {
        "HIPBMM_STORE": str(tmp_path / "store"),
        "HIPBMM_MIRRORS": str(tmp_path / "mirror"),
        "HIPBMM_MIRROR_LOG": "1",
    }
    made = Stores(parse_settings(env), volume, Clock())
    assert made.load(a_stack.key)[0] == expected()
    made.compare_with_mirror(expected((row(m=2),)), (), a_stack.key)
    volume.let_go.set()
    (piece,) = made.mirror_lines
    written = shard.decode(gzip.decompress(base64.b64decode(piece.rpartition(" ")[2])))
    assert (written.rows, written.inputs) == ((row(m=2),), ())
