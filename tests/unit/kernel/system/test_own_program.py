"""A part of the program that is started once more finds its own modules, whatever lies in the working directory."""

import subprocess
import sys
from pathlib import Path

import pytest

from hipbmm_kernel.system import own_program

NAMES = sorted(name for name in sys.stdlib_module_names if name not in sys.builtin_module_names)


@pytest.mark.parametrize("command", ["warm", "plan", "compact", "harvest", "exec"])
def test_files_of_the_user_do_not_take_the_place_of_the_standard_library(tmp_path: Path, command: str) -> None:
    for name in (*NAMES, "hipbmm_kernel"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(99)")
    done = subprocess.run(
        [*own_program.command("__main__"), command, "--no-such-flag", "x"],
        cwd=tmp_path,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (2, 127), done.stderr
