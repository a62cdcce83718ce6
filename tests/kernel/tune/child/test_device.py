"""The HIP runtime that torch has loaded privately is shared with AITER's modules, as vLLM does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.kernel.pods import ROOT

PROGRAM = """
import ctypes, os, sys, types
sys.path.insert(0, sys.argv[1])
import torch
from hipbmm_kernel.tune.child.device import Device
gpu = types.SimpleNamespace(gcnArchName="gfx942", multi_processor_count=304, name="MI300X")
torch.cuda.is_available = lambda: True
torch.cuda.device_count = lambda: 1
torch.cuda.set_device = lambda device: None
torch.cuda.get_device_properties = lambda device: gpu
Device()
ctypes.CDLL(sys.argv[2], mode=os.RTLD_LOCAL)
def visible():
    return hasattr(ctypes.CDLL(None), "hipGetDeviceCount")
before = visible()
Device()
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
