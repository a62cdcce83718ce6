"""A place in the served file moves only with the rows before it, whichever call on the file fails."""

import errno
from pathlib import Path

import pytest
from tests.kernel.faults import FaultyVolume, failing
from tests.kernel.harvest.learning import LEARNED, line

from hipbmm_kernel.rows.gemm import Row
from hipbmm_kernel.store.tail import Cursor, Tail
from hipbmm_kernel.system.volume import Volume

CALLS = ("open", "stat", "read_at", "close")


def test_the_calls_that_fail_below_are_those_that_a_reading_makes(tmp_path: Path) -> None:
    volume = FaultyVolume()
    read(tmp_path, volume)
    assert set(volume.calls) == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("number", range(1, 13))
def test_a_call_that_fails_once_loses_no_row(tmp_path: Path, name: str, number: int) -> None:
    rows, place = read(tmp_path, FaultyVolume(failing(name, number, errno.EIO)))
    assert rows == LEARNED[:3]
    assert place == read(tmp_path, Volume())[1]


def read(where: Path, volume: Volume) -> tuple[tuple[Row, ...], Cursor]:
    """Rows and the last place of a file that grows by a row three times; each part is read until nothing is new."""
    served = where / "served.csv"
    served.write_text("")
    tail = Tail(volume, str(served), Cursor())
    rows: list[Row] = []
    for learned in LEARNED[:3]:
        with served.open("a") as file:
            file.write(line(learned))
        for _ in range(2):
            rows += tail.read().rows
    return tuple(rows), tail.cursor
