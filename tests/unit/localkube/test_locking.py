import io
import os
import subprocess
import sys
from pathlib import Path

from localkube.console import Console
from localkube.locking import exclusive, scratch_directory

HOLD = """
import pathlib, sys
from localkube.console import Console
from localkube.locking import exclusive
with exclusive(pathlib.Path(sys.argv[1]), Console(), "waiting"):
    print("held", flush=True)
    sys.stdin.readline()
    if sys.argv[2] == "remove":
        pathlib.Path(sys.argv[1]).unlink()
"""


def holder(path: Path, action: str) -> "subprocess.Popen[str]":
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLD, str(path), action]
    return subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class Releasing(io.StringIO):
    """Lets the holder go when we are told that we wait for it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        super().__init__()
        self.process = process

    def write(self, text: str) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return super().write(text)


def wait_for(path: Path, action: str) -> str:
    """Take a lock that another process holds; what we were told meanwhile."""
    with holder(path, action) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        stream = Releasing(process)
        with exclusive(path, Console(stream), "waiting"):
            assert path.exists()
        return stream.getvalue()


def test_a_held_lock_is_waited_for(tmp_path: Path) -> None:
    assert wait_for(tmp_path / "lock", "keep") == "waiting\n"


def test_a_lock_whose_file_was_removed_is_taken_on_the_new_file(tmp_path: Path) -> None:
    assert wait_for(tmp_path / "lock", "remove") == "waiting\n"


def test_what_a_killed_process_left_is_removed_first(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "old").mkdir(parents=True)
    with scratch_directory(work) as path:
        assert list(path.iterdir()) == []
        (path / "new").write_text("x")
    assert not work.exists()
