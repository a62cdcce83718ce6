"""hipBLASLt's libraries and databases from files, for the layouts that exist."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.kernel.pods import write_rocm

from hipbmm_kernel.identity import hipblaslt, software


class Found(NamedTuple):
    version: str | None
    databases: tuple[str, ...]
    notes: list[str]


def libraries(arch: str = "gfx942", *packages: str, **env: str) -> Found:
    notes: list[str] = []
    return Found(*hipblaslt.read_libraries(arch, env, packages, notes), notes)


def test_every_library_that_could_be_loaded_is_in_the_key(tmp_path: Path) -> None:
    write_rocm(tmp_path / "a", database=b"one")
    write_rocm(tmp_path / "b", database=b"two")
    one = libraries(ROCM_PATH=str(tmp_path / "a"))
    both = libraries("gfx942", str(tmp_path / "b/lib"), ROCM_PATH=str(tmp_path / "a"))
    assert (len(one.databases), len(both.databases)) == (1, 2)
    assert set(one.databases) < set(both.databases)
    assert one.version == both.version == "1.2.2"


def test_the_same_library_by_two_names_counts_once(tmp_path: Path) -> None:
    write_rocm(tmp_path / "rocm-7.2.1")
    (tmp_path / "rocm").symlink_to("rocm-7.2.1")
    found = libraries(ROCM_PATH=str(tmp_path / "rocm"), LD_LIBRARY_PATH=f"{tmp_path}/rocm-7.2.1/lib")
    assert len(found.databases) == 1


def test_a_library_of_distributions_with_two_directories_is_found(tmp_path: Path) -> None:
    write_rocm(tmp_path)
    (tmp_path / "lib").rename(tmp_path / "lib64")
    assert len(libraries(ROCM_PATH=str(tmp_path)).databases) == 1


def test_one_changed_byte_of_the_database_is_another_stack(tmp_path: Path) -> None:
    write_rocm(tmp_path, database=bytes(3_000_000))
    before = libraries(ROCM_PATH=str(tmp_path))
    with (tmp_path / "lib/hipblaslt/library/TensileLibrary_lazy_gfx942.dat").open("r+b") as file:
        file.seek(2_999_999)
        file.write(b"\1")
    assert libraries(ROCM_PATH=str(tmp_path)).databases != before.databases


@pytest.mark.parametrize("core", ["core", "core-10.0"])
def test_the_layout_of_newer_rocm(tmp_path: Path, core: str) -> None:
    """ROCm 7.14: below core-<version>, a directory for each architecture, compressed databases, kernels in a kpack."""
    write_rocm(tmp_path / core)
    library = tmp_path / core / "lib/hipblaslt/library"
    (library / "TensileLibrary_lazy_gfx942.dat").unlink()
    for arch in ("gfx942", "gfx950"):
        (library / arch).mkdir()
        (library / arch / f"TensileLibrary_lazy_{arch}.dat.zlib").write_bytes(f"solutions of {arch}".encode())
    (tmp_path / core / "lib/.kpack").mkdir()
    found = libraries(ROCM_PATH=str(tmp_path))
    assert (found.version, len(found.databases)) == ("1.2.2", 1)
    assert libraries("gfx950", ROCM_PATH=str(tmp_path)).databases != found.databases
    assert software.rocm_version({"ROCM_PATH": str(tmp_path)}) == "7.2.1"


def test_rocm_as_python_packages_without_an_architecture_in_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rocm(tmp_path / "_rocm_sdk_libraries")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert str(tmp_path / "_rocm_sdk_libraries/lib") in software.library_directories()
    assert len(libraries("gfx942", *software.library_directories()).databases) >= 1


def test_both_databases_of_a_library_count(tmp_path: Path) -> None:
    write_rocm(tmp_path, database=b"one")
    (tmp_path / "lib/hipblaslt/library/gfx942").mkdir()
    (tmp_path / "lib/hipblaslt/library/gfx942/TensileLibrary_lazy_gfx942.dat").write_bytes(b"two")
    assert len(libraries(ROCM_PATH=str(tmp_path)).databases) == 2


def test_an_overridden_database_is_the_one_that_counts(tmp_path: Path) -> None:
    write_rocm(tmp_path / "rocm", database=b"one")
    other = tmp_path / "other/gfx942"
    other.mkdir(parents=True)
    (other / "TensileLibrary_lazy_gfx942.dat.zlib").write_bytes(b"two")
    env = {"ROCM_PATH": str(tmp_path / "rocm"), "HIPBLASLT_TENSILE_LIBPATH": str(tmp_path / "other")}
    assert libraries(**env).databases != libraries(ROCM_PATH=env["ROCM_PATH"]).databases


def test_a_library_without_a_header_is_named_by_its_file_else_by_its_database(tmp_path: Path) -> None:
    write_rocm(tmp_path)
    shutil.rmtree(tmp_path / "include")
    assert str(libraries(ROCM_PATH=str(tmp_path)).version).startswith("db-")
    (tmp_path / "lib/libhipblaslt.so.1").rename(tmp_path / "lib/libhipblaslt.so.1.2.70201")
    (tmp_path / "lib/libhipblaslt.so.1").symlink_to("libhipblaslt.so.1.2.70201")
    assert libraries(ROCM_PATH=str(tmp_path)).version == "1.2.70201"


def test_no_database_for_this_gpu_is_unknown_and_reported(tmp_path: Path) -> None:
    write_rocm(tmp_path)
    found = libraries("gfx950", ROCM_PATH=str(tmp_path))
    assert (found.version, found.databases) == (None, ())
    assert any("gfx950" in note for note in found.notes)


def test_a_database_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    write_rocm(tmp_path)
    path = tmp_path / "lib/hipblaslt/library/TensileLibrary_lazy_gfx942.dat"
    path.unlink()
    path.symlink_to(path.name)
    assert libraries(ROCM_PATH=str(tmp_path)).databases == ()
