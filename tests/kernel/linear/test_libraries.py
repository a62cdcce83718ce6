"""The HIP runtime that torch has loaded privately is shared with AITER's modules, as vLLM does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.kernel.pods import ROOT

AITER = """
import ctypes
print(hasattr(ctypes.CDLL(None), "hipGetDeviceCount"))
def hipb_mm():
    pass
def hipb_create_extension():
    pass
"""
PROGRAM = """
import ctypes, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import torch
from hipbmm_kernel.linear.gate import FLAGS, Platform
from hipbmm_kernel.linear.hipbmm import AiterHipbMMPerTokenFp8ScaledMMLinearKernel as HipbMM
from hipbmm_kernel.linear.op import ensure_extension
mi300x = Platform(rocm=True, arch="gfx942")
flags = dict.fromkeys(FLAGS, "1")
ctypes.CDLL(sys.argv[2] + "/libamdhip64.so.7", mode=ctypes.RTLD_LOCAL)
print(hasattr(ctypes.CDLL(None), "hipGetDeviceCount"))
"""


@pytest.mark.torch
@pytest.mark.skipif(shutil.which("cc") is None, reason="a library is compiled")
@pytest.mark.parametrize("first", ["ensure_extension(torch.device('cpu'))", "HipbMM.unsupported(mi300x, flags)"])
def test_the_runtime_that_is_loaded_is_visible_to_aiter_whoever_imports_it(tmp_path: Path, first: str) -> None:
    library = tmp_path / "libamdhip64.so.7"
    source = "int hipGetDeviceCount(int *count) { *count = 1; return 0; }"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=source, text=True, check=True)
    (tmp_path / "aiter.py").write_text(AITER)
    command = [sys.executable, "-c", PROGRAM + first, str(ROOT / "kernel"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "False\nTrue\n", done.stderr
