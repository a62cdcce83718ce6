"""What a child says of its start."""

import select
from pathlib import Path

from tests.kernel.pods import ROOT

from hipbmm_kernel.system import itself
from hipbmm_kernel.tune import protocol
from hipbmm_kernel.tune.worker import Worker


def test_a_torch_that_cannot_be_imported_is_reported_as_what_it_raises(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libamdhip64.so.7: cannot open shared object file')\n")
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT / 'kernel'}"}
    child = Worker("0", str(tmp_path / "0"), env, itself.command("tune.child.main"))
    said: list[protocol.Message] = []
    try:
        while select.select([child.events], [], [], 60.0)[0] and (messages := child.receive()) is not None:
            said += messages
    finally:
        child.kill()
    reason = "libamdhip64.so.7: cannot open shared object file"
    assert said == [{"event": protocol.FAILED, "id": None, "error": "OSError", "reason": reason}]
