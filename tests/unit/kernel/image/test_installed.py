"""What an image's vLLM is, from its files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from hipbmm_kernel.image import installed
from hipbmm_kernel.image.installed import Installed

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = ("engine/arg_utils.py", "model_executor/model_loader/utils.py")
KERNEL = "model_executor/kernels/linear/scaled_mm/aiter.py"
CLASS = "class AiterHipbMMPerTokenFp8ScaledMMLinearKernel(FP8ScaledMMLinearKernel):\n"


def read(root: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], record: str = "") -> Installed:
    for name, text in files.items():
        path = root / "vllm" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if record:
        (root / "vllm-0.33.0.dist-info").mkdir()
        (root / "vllm-0.33.0.dist-info" / "RECORD").write_text(record)
    monkeypatch.setattr(sys, "path", [str(root)])
    return installed.read()


def test_an_image_without_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(tmp_path, monkeypatch, {}) == Installed("the image has no vLLM")


def test_a_vllm_that_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(tmp_path, monkeypatch, {"__init__.py": "", WHOLE[0]: ""})
    assert (found.missing, found.has_kernel) == (f"the image's vLLM has no {WHOLE[1]}", None)


@pytest.mark.parametrize(("text", "has"), [(CLASS, True), ("", False)])
def test_the_kernel_is_looked_for_by_its_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, has: bool
) -> None:
    files = {"__init__.py": "", KERNEL: text, **dict.fromkeys(WHOLE, "")}
    found = read(tmp_path, monkeypatch, files, "vllm/__init__.py,sha256=x,0\n")
    assert (found.missing, found.has_kernel, len(found.record)) == ("", has, 64)


@pytest.mark.parametrize(("text", "has"), [("_POSSIBLE_FP8_KERNELS = {}\n", True), ("", False)])
def test_the_list_that_the_plugin_needs_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, has: bool
) -> None:
    files = {"__init__.py": "", "model_executor/kernels/linear/__init__.py": text, **dict.fromkeys(WHOLE, "")}
    found = read(tmp_path, monkeypatch, files)
    assert (found.has_kernel, found.has_chain) == (False, has)


def test_a_vllm_without_the_kernels_file_has_no_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(tmp_path, monkeypatch, {"__init__.py": "", **dict.fromkeys(WHOLE, "")})
    assert found.has_kernel is False


@pytest.mark.parametrize("record", ["", "__editable__.vllm-0.33.0.pth,sha256=x,9\n"], ids=["no RECORD", "editable"])
def test_without_a_list_of_its_files_a_vllm_is_known_by_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: str
) -> None:
    texts = {"same": "# one\n", "again": "# one\n", "other": "# three\n"}
    records = {}
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        files = {"__init__.py": "", "layers.py": text, **dict.fromkeys(WHOLE, "")}
        records[name] = read(tmp_path / name, monkeypatch, files, record).record
    assert records["same"] == records["again"] != records["other"]


def test_a_record_of_its_files_is_all_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        files = {"__init__.py": "", f"{name}.py": "", **dict.fromkeys(WHOLE, "")}
        records.append(read(tmp_path / name, monkeypatch, files, "vllm/engine/arg_utils.py,sha256=x,0\n").record)
    assert records[0] == records[1]
