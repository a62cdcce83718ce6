"""The HIP runtime that torch has loaded privately is shared with AITER's modules, as vLLM does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.kernel.pods import ROOT

from hipbmm_kernel.linear import libraries, op

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
    _compile(tmp_path / "libamdhip64.so.7", "int hipGetDeviceCount(void) { return 7; }")
    (tmp_path / "aiter.py").write_text(AITER)
    command = [sys.executable, "-c", PROGRAM + first, str(ROOT / "kernel"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "False\nTrue\n", done.stderr


@pytest.mark.torch
@pytest.mark.skipif(shutil.which("cc") is None, reason="a library is compiled")
@pytest.mark.parametrize("used", [6, 7])
def test_of_two_runtimes_the_one_that_torch_uses_is_visible(tmp_path: Path, used: int) -> None:
    for version in (6, 7):
        path = tmp_path / f"libamdhip64.so.{version}"
        _compile(path, f"int hipGetDeviceCount(void) {{ return {version}; }}")
    needed = f"-Wl,--no-as-needed,-rpath,{tmp_path}", f"-L{tmp_path}", f"-l:libamdhip64.so.{used}"
    _compile(tmp_path / "extension.so", "int nothing;", *needed)
    (tmp_path / "aiter.py").write_text("import ctypes\nprint(ctypes.CDLL(None).hipGetDeviceCount())")
    program = f"""
import ctypes, sys
sys.path[:0] = [{str(ROOT / "kernel")!r}, {str(tmp_path)!r}]
import torch
from hipbmm_kernel.linear.op import load_aiter
torch._C.__file__ = {str(tmp_path / "extension.so")!r}
loaded = [ctypes.CDLL({str(tmp_path)!r} + name) for name in ("/libamdhip64.so.6", "/libamdhip64.so.7", "/extension.so")]
load_aiter()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == f"{used}\n", done.stderr


def _compile(library: Path, source: str, *options: str) -> None:
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-x", "none", *options, "-o", str(library)]
    subprocess.run(command, input=source, text=True, check=True)


@pytest.mark.torch
@pytest.mark.parametrize("maps", ["7f00-7f01 r--p 00000000 08:01 42    /gone/libamdhip64.so.7\n", None])
def test_a_runtime_that_cannot_be_shared_does_not_take_aiter_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, maps: str | None
) -> None:
    if maps is not None:
        (tmp_path / "maps").write_text(maps)
    monkeypatch.setattr(libraries, "MAPS", str(tmp_path / "maps"))
    monkeypatch.setitem(sys.modules, "aiter", libraries)  # any module
    libraries.share_hip_runtime.cache_clear()
    assert op.load_aiter() is libraries


@pytest.mark.torch
def test_the_map_of_memory_is_read_once_for_all_linears(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def none(name: str) -> list[str]:
        asked.append(name)
        return []

    monkeypatch.setattr(libraries, "loaded_libraries", none)
    monkeypatch.setitem(sys.modules, "aiter", libraries)  # any module
    libraries.share_hip_runtime.cache_clear()
    for _ in range(3):
        op.load_aiter()
    assert asked == ["libamdhip64"]


@pytest.mark.parametrize("path", ["/opt/rocm/lib/libhipblaslt.so.0.12", "/srv/my venv/torch/lib/libhipblaslt.so"])
def test_the_file_of_a_library_is_named_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    (tmp_path / "maps").write_text(f"7f00-7f01 r--p 00000000 08:01 42    {path}\n7f01-7f02 rw-p 0 00:00 0    [heap]\n")
    monkeypatch.setattr(libraries, "MAPS", str(tmp_path / "maps"))
    assert libraries.loaded_libraries() == [path]
