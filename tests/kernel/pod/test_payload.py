"""The program as it gets into a pod: a copy that any Python runs, from a directory or a zip."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.kernel.pods import ROOT, Pod

from hipbmm_kernel.pod import payload


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    return subprocess.run(
        [str(part) for part in command],
        env={**clean, **env},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    root = tmp_path / "home"
    root.mkdir()
    done = run(sys.executable, "-m", "hipbmm_kernel", "payload", root, cwd=tmp_path, PYTHONPATH=str(ROOT / "kernel"))
    assert done.returncode == 0, done.stderr
    return root


def test_the_copy_is_the_program_without_compiled_files(home: Path) -> None:
    source = ROOT / "kernel/hipbmm_kernel"
    wanted = {
        path.relative_to(source) for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    found = {path.relative_to(home / "kernel/hipbmm_kernel") for path in (home / "kernel/hipbmm_kernel").rglob("*.*")}
    assert found == wanted
    assert (home / "kernel/__main__.py").exists()
    assert not list(home.rglob("__pycache__"))
    # Only the program: a directory of this user's would shut out root without capabilities, the server's usual user.
    assert [path.name for path in home.iterdir()] == ["kernel"]


def test_it_runs_as_a_directory_and_as_a_zip(home: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "program"), "zip", home / "kernel")
    for program in (home / "kernel", Path(archive)):
        done = run(sys.executable, program, "--version", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "hipbmm_kernel 0.1.0\n"), done.stderr
        assert run(sys.executable, program, cwd=tmp_path).returncode == 2
        assert run(sys.executable, program, "no-such-command", cwd=tmp_path).returncode == 2
        assert "usage" in run(sys.executable, program, "--help", cwd=tmp_path).stdout


def test_a_second_copy_replaces_the_first(home: Path, tmp_path: Path) -> None:
    stale = home / "kernel/hipbmm_kernel/stale.py"
    stale.write_text("")
    (home / "kernel/hipbmm_kernel/__pycache__").mkdir()
    assert payload.copy_program(home) > 20
    assert not stale.exists()
    assert not list(home.rglob("__pycache__"))


@pytest.mark.parametrize("way", ["directory", "zip"])
def test_a_pod_restores_its_table_with_the_copy(pod: Pod, way: str) -> None:
    if way == "directory":
        payload.copy_program(pod.home)
    else:
        zipfile.ZipFile(io.BytesIO(payload.build_zip())).extractall(pod.home / "kernel")
    env = {**pod.env, "PYTHONPATH": pod.env["PYTHONPATH"].split(":")[0], "HIPBMM_TUNE": "0"}
    done = subprocess.run(
        [sys.executable, pod.home / "kernel", "warm"],
        env=env,
        cwd=pod.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert pod.message["reason"] == "TuningDisabled"


def test_a_place_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    env = {"PYTHONPATH": str(ROOT / "kernel")}
    done = run(sys.executable, "-m", "hipbmm_kernel", "payload", tmp_path / "file", cwd=tmp_path, **env)
    assert done.returncode == 1
    assert run(sys.executable, "-m", "hipbmm_kernel", "payload", cwd=tmp_path, **env).returncode == 2


def test_a_zip_is_the_same_each_time_small_enough_and_runs(tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(ROOT / "kernel")}
    made = []
    for name in ("one.zip", "two.zip"):
        done = run(sys.executable, "-m", "hipbmm_kernel", "payload", "--zip", tmp_path / name, cwd=tmp_path, **env)
        assert done.returncode == 0, done.stderr
        made.append((tmp_path / name).read_bytes())
        digest = hashlib.sha256(made[-1]).hexdigest()
        assert f"sha256={digest} bytes={len(made[-1])}" in done.stdout
    assert made[0] == made[1]
    assert len(made[0]) <= payload.MAX_ZIP
    assert run(sys.executable, tmp_path / "one.zip", "--version", cwd=tmp_path).returncode == 0


def test_python_finds_the_plugin_in_a_zip_and_in_what_it_unpacks_to(tmp_path: Path) -> None:
    data = payload.build_zip()
    (tmp_path / "program.zip").write_bytes(data)
    zipfile.ZipFile(io.BytesIO(data)).extractall(tmp_path / "program")
    asked = "from importlib.metadata import entry_points as found\n"
    asked += "for each in found(group='vllm.general_plugins'): print(each.name, each.load())"
    for place in ("program.zip", "program"):
        done = run(sys.executable, "-c", asked, cwd=tmp_path, PYTHONPATH=str(tmp_path / place))
        assert "hipbmm_dispatch <function register" in done.stdout, done.stderr


def test_a_zip_that_fits_into_no_config_map_is_not_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(payload, "MAX_ZIP", 1000)
    stderr = io.StringIO()
    assert payload.payload_command(["--zip", str(tmp_path / "x.zip")], io.StringIO(), stderr) == 1
    assert "more than 1000" in stderr.getvalue()
    assert not (tmp_path / "x.zip").exists()
