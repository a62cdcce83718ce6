"""Versions of Python packages and the environment that selects solutions, without importing anything."""

import sys
from pathlib import Path

import pytest

from hipbmm_kernel.identity import software


def test_only_what_selects_a_solution_is_in_the_key() -> None:
    env = {
        "HIPBLASLT_LOG_LEVEL": "5",
        "HIPBLASLT_TUNING_OVERRIDE_FILE": "/x",
        "TENSILE_SOLUTION_SELECTION_METHOD": "2",
        "PATH": "/bin",
    }
    assert software.selecting_environment(env) == (
        ("HIPBLASLT_TUNING_OVERRIDE_FILE", "/x"),
        ("TENSILE_SOLUTION_SELECTION_METHOD", "2"),
    )


@pytest.mark.parametrize(
    ("file", "text", "version"),
    [
        ("_version.py", "__version__ = version = '0.1.20.dev3+g1a2b'\n", "0.1.20.dev3+g1a2b"),
        ("_version.py", "version: str\n__version__: str\n__version__ = version = '0.1.21'\n", "0.1.21"),
        ("__init__.py", '__version__ = "0.1.9"\n', "0.1.9"),
    ],
)
def test_a_packages_version_is_read_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, version: str
) -> None:
    package = tmp_path / "somepackage"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')\n")
    (package / file).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert software.package_version("somepackage") == version


def test_a_packages_version_in_its_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "otherpackage").mkdir()
    (tmp_path / "otherpackage/__init__.py").write_text("")
    (tmp_path / "amd_other-0.1.20+rocm7.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert software.package_version("otherpackage", "amd_other", "other") == "0.1.20+rocm7"
    assert software.package_version("nosuchpackage") is None


def test_a_package_of_pythonpath_comes_before_an_installed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for directory in ("own", "lib/site-packages"):
        (tmp_path / directory / "somepackage").mkdir(parents=True)
        (tmp_path / directory / "somepackage/__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "lib/site-packages")])
    software.add_python_path(f":{tmp_path}/own")
    assert software.package_directory("somepackage") == f"{tmp_path}/own/somepackage"
    assert sys.path[0] == str(tmp_path)
