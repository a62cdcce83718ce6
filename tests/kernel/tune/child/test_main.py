"""What a child says of its start."""

import select
from pathlib import Path

from tests.kernel.pods import ROOT

from hipbmm_kernel.system import own_program
from hipbmm_kernel.tune import protocol
from hipbmm_kernel.tune.worker import Worker


def said_with(torch: str, directory: Path) -> list[protocol.Message]:
    """All that a child says whose torch is this text."""
    (directory / "torch.py").write_text(torch)
    env = {"PYTHONPATH": f"{directory}:{ROOT / 'kernel'}"}
    child = Worker("0", str(directory / "0"), env, own_program.command("tune.child.main"))
    said: list[protocol.Message] = []
    try:
        while select.select([child.events], [], [], 60.0)[0] and (messages := child.receive()) is not None:
            said += messages
    finally:
        child.kill()
    return said


def test_a_torch_that_cannot_be_imported_is_reported_as_what_it_raises(tmp_path: Path) -> None:
    said = said_with("raise OSError('libamdhip64.so.7: cannot open shared object file')\n", tmp_path)
    reason = "libamdhip64.so.7: cannot open shared object file"
    assert said == [{"event": protocol.FAILED, "error": "OSError", "reason": reason}]


def test_the_pipe_ends_with_the_process_which_has_said_why_it_ends(tmp_path: Path) -> None:
    """AITER ends the process with SystemExit where a build fails."""
    last = "lambda: open('last', 'x').write(str(os.fstat(int(sys.argv[-1])).st_mode))"
    assert said_with(f"import atexit, os, sys\natexit.register({last})\nsys.exit('build failed')\n", tmp_path) == []
    assert (tmp_path / "0/last").exists()
    assert "build failed" in (tmp_path / "0/child.log").read_text()
