"""What a container's memory suffices for."""

from pathlib import Path

import pytest

from hipbmm_kernel.foreign import memory
from hipbmm_kernel.system.memory import left

GIB = 1 << 30


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_the_limit_less_what_is_used_and_cannot_be_given_back(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{8 * GIB}\n")
    (tmp_path / "memory.current").write_text(f"{5 * GIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {2 * GIB}\nactive_file 7\n")
    assert left(str(tmp_path)) == 5 * GIB


def test_the_older_hierarchy(tmp_path: Path) -> None:
    write(tmp_path, **{"memory__memory.limit_in_bytes": f"{GIB}", "memory__memory.usage_in_bytes": "1024"})
    assert left(str(tmp_path)) == GIB - 1024
    write(tmp_path, **{"memory__memory.limit_in_bytes": "9223372036854771712"})
    assert left(str(tmp_path)) is None


@pytest.mark.parametrize("text", ["max\n", "", "garbage"])
def test_no_limit_is_no_small_limit(tmp_path: Path, text: str) -> None:
    (tmp_path / "memory.max").write_text(text)
    assert left(str(tmp_path)) is None
    assert left(str(tmp_path / "nothing")) is None


@pytest.mark.parametrize(
    ("free", "gpus", "ask", "fit"),
    [(None, 8, True, 8), (32 * GIB, 8, True, 8), (9 * GIB, 8, True, 2), (3 * GIB, 1, True, 0), (GIB, 1, False, 0)],
)
def test_children_are_as_many_as_fit(free: int | None, gpus: int, ask: bool, fit: int) -> None:
    room = memory.room(free, gpus)
    assert (room.ask, room.gpus) == (ask, fit)
    assert bool(room.note) == (fit < gpus)
