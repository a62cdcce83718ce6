import os
from pathlib import Path

import pytest

from localkube import processes
from localkube.processes import Process


def process(pid: int, parent: int, command: str = "python") -> Process:
    return Process(pid, processes.SUPERVISOR, 0, parent, command)


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ([], None),
        ([process(10, 1)], 10),
        # Between fork and exec a child still has the supervisor's mark, and its pid may be the smaller one.
        ([process(10, 1), process(9, 10)], 10),
        ([process(10, 1, "unshare"), process(11, 10)], 11),
        ([process(10, 1, "unshare"), process(9, 10), process(12, 9)], 9),
        ([process(10, 1, "unshare")], None),
    ],
)
def test_the_supervisor_is_told_from_its_parent_and_children(marked: list[Process], expected: int | None) -> None:
    assert processes.choose_supervisor(marked) == expected


def fake_process(proc: Path, pid: int, environ: str, stat: str) -> None:
    entry = proc / str(pid)
    entry.mkdir()
    (entry / "environ").write_text(environ)
    (entry / "stat").write_text(stat)
    (entry / "statm").write_text("100 7 3 1 0 1 0\n")


def test_processes_are_found_by_their_mark_and_no_others(tmp_path: Path) -> None:
    mark = "HIPBMM_LOCALKUBE_INSTANCE=/state/x"
    fake_process(tmp_path, 30, f"A=1\0{mark}\0HIPBMM_LOCALKUBE_COMPONENT=etcd\0", "30 (etcd) S 20 1 1")
    fake_process(tmp_path, 20, f"{mark}\0", "20 (a) b) S 1 1 1")
    fake_process(tmp_path, 40, f"{mark}2\0", "40 (other) S 1 1 1")
    fake_process(tmp_path, 50, "A=1\0", "50 (sh) S 1 1 1")
    (tmp_path / "meminfo").write_text("")
    (tmp_path / "60").mkdir()
    page = os.sysconf("SC_PAGE_SIZE")
    assert processes.of_instance(Path("/state/x"), tmp_path) == [
        Process(20, "", 7 * page, 1, "a) b"),
        Process(30, "etcd", 7 * page, 20, "etcd"),
    ]
