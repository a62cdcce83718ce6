"""AITER's build directory: the image's own where it can be written, else one that begins with the image's modules."""

import sys
from pathlib import Path

import pytest
from tests.kernel.pods import Pod

from hipbmm_kernel.pod import aiter_jit, payload

MODULES = ("module_hipbsolgemm.so", "module_rmsnorm.so")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """An installed AITER with compiled modules."""
    jit = tmp_path / "image/aiter/jit"
    jit.mkdir(parents=True)
    (jit.parent / "__init__.py").write_text('__version__ = "0.1.20"\n')
    for name in (*MODULES, "core.py"):
        (jit / name).write_text(name)
    return jit.parent


def found(pod: Pod, package: Path, **env: str) -> list[str]:
    """The directories that a server of this pod is started with, as root without the right to pass over permissions."""
    script = 'echo "${AITER_JIT_DIR-unset} ${TMPDIR-unset}"'
    (pod.home / "report.json").write_text('{"hipbmm": true}')
    path = f"{package.parent}:{pod.env['PYTHONPATH']}"
    done = pod.run_bound_by_permissions("exec", "--", "sh", "-c", script, PYTHONPATH=path, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_directory_that_can_be_written_is_used_as_it_is(pod: Pod, package: Path) -> None:
    assert found(pod, package) == ["unset", "unset"]


def test_one_that_cannot_be_written_is_replaced_by_links_to_its_modules(pod: Pod, package: Path) -> None:
    (package / "jit").chmod(0o555)
    own = pod.home / "cache/aiter"
    for _ in range(2):
        assert found(pod, package)[0] == str(own)
        assert sorted(path.name for path in own.iterdir()) == sorted(MODULES)
        assert (own / MODULES[0]).read_text() == MODULES[0]
    (own / MODULES[0]).unlink()
    (own / MODULES[0]).write_text("compiled here")
    found(pod, package)
    assert (own / MODULES[0]).read_text() == "compiled here"


REBUILD = """
import os, shutil, sys
own, target = os.environ["AITER_JIT_DIR"], sys.argv[1]
built = os.path.join(own, "build", "module", "build", target)
os.makedirs(os.path.dirname(built), exist_ok=True)
if os.path.exists(os.path.join(own, target)):
    os.remove(os.path.join(own, target))
with open(built, "w") as file:
    file.write("compiled for this GPU")
shutil.copy(built, own)
"""
"""What AITER does when it compiles a module (build_module in aiter/jit/core.py)."""


@pytest.mark.parametrize("image", ["the same", "another"])
def test_aiter_compiles_a_module_again_in_place_of_its_link(pod: Pod, package: Path, image: str) -> None:
    (package / "jit").chmod(0o555)
    found(pod, package)
    if image == "another":  # an image that was changed in place: the emptyDir stays, with links to what is gone
        (package / "jit").chmod(0o755)
        (package / "jit" / MODULES[0]).unlink()
        (package / "jit").chmod(0o555)
    path = f"{package.parent}:{pod.env['PYTHONPATH']}"
    program = ("exec", "--", sys.executable, "-c", REBUILD, MODULES[0])
    done = pod.run_bound_by_permissions(*program, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    own = pod.home / "cache/aiter"
    found(pod, package)
    assert (own / MODULES[0]).read_text() == "compiled for this GPU"
    assert (own / MODULES[1]).readlink() == package / "jit" / MODULES[1]
    if image == "the same":
        assert (package / "jit" / MODULES[0]).read_text() == MODULES[0]


def test_a_users_own_directory_stays(pod: Pod, package: Path) -> None:
    (package / "jit").chmod(0o555)
    assert found(pod, package, AITER_JIT_DIR="/users/own", TMPDIR="/users/temporary") == [
        "/users/own",
        "/users/temporary",
    ]
    assert not (pod.home / "cache").exists()


def test_a_server_in_its_own_environment_gets_nothing_of_ours(pod: Pod, package: Path) -> None:
    (package / "jit").chmod(0o555)
    modes = [found(pod, package)[0] for _ in range(5)]
    assert modes == [*[str(pod.home / "cache/aiter")] * 4, "unset"]


def test_a_cache_that_cannot_be_written_does_not_stop_the_server(pod: Pod, package: Path) -> None:
    (package / "jit").chmod(0o555)
    (pod.home / "cache").write_text("not a directory")
    assert found(pod, package) == ["unset", "unset"]


def test_a_cache_that_cannot_be_written_is_said_once_in_the_report(pod: Pod, package: Path) -> None:
    """It is asked for by the tuning and by the table in memory. No child starts here, so that none needs torch."""
    (package / "jit").chmod(0o555)
    for name in ("cache", "tune"):
        (pod.home / name).write_text("not a directory")
    payload.copy_program(pod.home)
    path = f"{package.parent}:{pod.env['PYTHONPATH']}"
    assert pod.run_bound_by_permissions("warm", PYTHONPATH=path, HIPBMM_DISPATCH="Memory").returncode == 0
    assert pod.report["reason"] == "TunerFailed"
    assert sum("no directory for compiled modules" in error for error in pod.report["errors"]) == 1


def test_temporary_files_go_to_the_cache_where_the_root_file_system_is_read_only(tmp_path: Path) -> None:
    nowhere = (str(tmp_path / "nothing"),)
    place = tmp_path / "cache" / "tmp"
    assert aiter_jit.variables({}, str(tmp_path), nowhere) == {"TMPDIR": str(place)}
    assert place.is_dir()
    assert aiter_jit.variables({"TMPDIR": "/users"}, str(tmp_path), nowhere) == {}


@pytest.mark.parametrize("there", [False, True])
def test_an_image_without_modules_gets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    if there:
        (tmp_path / "aiter").mkdir()
        (tmp_path / "aiter/__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
    assert aiter_jit.variables({}, str(tmp_path)) == {}
