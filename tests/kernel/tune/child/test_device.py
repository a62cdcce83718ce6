"""The HIP runtime that torch has loaded privately is shared with AITER's modules, as vLLM does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.kernel.pods import ROOT

PROGRAM = """
import ctypes, os, sys
sys.path.insert(0, sys.argv[1])
from hipbmm_kernel.tune.child.device import share_hip_runtime
share_hip_runtime()
ctypes.CDLL(sys.argv[2], mode=os.RTLD_LOCAL)
def visible():
    return hasattr(ctypes.CDLL(None), "hipGetDeviceCount")
before = visible()
share_hip_runtime()
print(before, visible())
"""


@pytest.mark.torch
@pytest.mark.skipif(shutil.which("cc") is None, reason="a library is compiled")
def test_the_runtime_that_is_loaded_becomes_visible_to_libraries_that_come_later(tmp_path: Path) -> None:
    library = tmp_path / "libamdhip64.so.7"
    source = "int hipGetDeviceCount(int *count) { *count = 1; return 0; }"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=source, text=True, check=True)
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "kernel"), str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "False True\n", done.stderr
