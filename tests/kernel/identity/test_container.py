"""The stack from sysfs and files, for the nodes and libraries that exist."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.kernel.pods import write_rocm

from hipbmm_kernel.identity import container, hipblaslt, software
from hipbmm_kernel.identity import gpu as identity_gpu
from hipbmm_kernel.identity.gpu import Gpu
from hipbmm_kernel.tune import attest
from simulator import sysfs

Node = Callable[..., tuple[str, str]]


@pytest.fixture
def write_node(tmp_path: Path) -> Node:
    """`write_node(mine=[0], product="MI300X", ...)`: a node of which this container has some logical devices."""

    def write(mine: tuple[int, ...] = (0,), **kinds: object) -> tuple[str, str]:
        devices = sysfs.write_tree(tmp_path / "sys", **kinds)  # type: ignore[arg-type] # write_tree's own parameters
        sysfs.write_dev(tmp_path / "dev", [devices[number] for number in mine])
        return str(tmp_path / "sys"), str(tmp_path / "dev")

    return write


@pytest.mark.parametrize(
    ("product", "arch", "units"),
    [("MI300X", "gfx942", 304), ("MI325X", "gfx942", 304), ("MI308X", "gfx942", 80), ("MI355X", "gfx950", 256)],
)
def test_products(write_node: Node, product: str, arch: str, units: int) -> None:
    found = identity_gpu.read_hardware(*write_node(product=product), {})
    assert [gpu._replace(minor=0) for gpu in found.gpus] == [
        Gpu(0, arch, "sramecc+:xnack-", units, product, "SPX", "NPS1")
    ]
    assert found.notes == ()


def test_only_the_gpus_of_this_container_count(write_node: Node) -> None:
    found = identity_gpu.read_hardware(*write_node(mine=(1, 5), count=8), {})
    assert [gpu.minor for gpu in found.gpus] == [128 + 8, 128 + 40]


def test_partitions_after_the_first_get_their_mode_from_their_gpu(write_node: Node) -> None:
    found = identity_gpu.read_hardware(*write_node(mine=(3,), partition="CPX", memory="NPS4", count=2), {})
    assert [(gpu.compute_units, gpu.partition, gpu.memory_partition) for gpu in found.gpus] == [(38, "CPX", "NPS4")]


def test_a_virtual_function_without_partition_files_is_spx_by_its_units(write_node: Node, tmp_path: Path) -> None:
    paths = write_node(virtual=True)
    for file in (tmp_path / "sys").rglob("current_*_partition"):
        file.unlink()
    found = identity_gpu.read_hardware(*paths, {})
    assert (found.gpus[0].product, found.gpus[0].partition, found.gpus[0].memory_partition) == ("MI300X", "SPX", "NPS1")
    assert "SPX and NPS1 by its 304 CUs" in found.notes[0]


def test_a_partition_without_its_file_is_unknown(write_node: Node, tmp_path: Path) -> None:
    paths = write_node(partition="CPX")
    for file in (tmp_path / "sys").rglob("current_compute_partition"):
        file.unlink()
    assert identity_gpu.read_hardware(*paths, {}).gpus[0].partition is None


def test_a_virtual_function_with_one_partition_file_has_a_key_of_its_own(write_node: Node, tmp_path: Path) -> None:
    write_rocm(tmp_path / "rocm")
    sys, dev = write_node(virtual=True)
    env = {"ROCM_PATH": str(tmp_path / "rocm")}
    whole = container.read_identity(sys, dev, env, simulated=True).stack
    for file in (tmp_path / "sys").rglob("current_memory_partition"):
        file.unlink()
    found = container.read_identity(sys, dev, env, simulated=True)
    assert (found.stack.partition, found.stack.memory_partition) == ("SPX", "unreported")
    assert not {"partition", "memoryPartition"} & set(found.stack.unknown())
    assert found.stack.canonical() != whole.canonical()
    assert any("no memory partition file" in note for note in found.notes)


@pytest.mark.parametrize("files", [True, False])
def test_a_product_that_is_in_no_list_has_a_key_of_its_own(write_node: Node, tmp_path: Path, files: bool) -> None:
    sys, dev = write_node(count=1)
    for path in (tmp_path / "sys").rglob("properties"):
        path.write_text(path.read_text().replace("device_id 29857", "device_id 29951"))
    for file in [] if files else list((tmp_path / "sys").rglob("current_*_partition")):
        file.unlink()
    found = container.read_identity(sys, dev, {}, simulated=True)
    assert (found.gpus, found.stack.arch, found.stack.product) == (1, "gfx942", "pci-74ff")
    assert found.stack.partition == ("SPX" if files else "unreported")
    assert not {"product", "partition", "memoryPartition", "computeUnits"} & set(found.stack.unknown())
    assert any("74ff is no known product" in note for note in found.notes)


@pytest.mark.parametrize(
    ("selector", "minors"),
    [
        ("1", [136]),
        ("2,0", [144, 128]),
        ("0,0,1", [128, 136]),
        ("0,9,1", [128]),
        ("", []),
        ("-1", []),
    ],
)
def test_the_gpus_that_the_runtime_is_told_to_show(write_node: Node, selector: str, minors: list[int]) -> None:
    found = identity_gpu.read_hardware(*write_node(mine=(0, 1, 2), count=3), {"ROCR_VISIBLE_DEVICES": selector})
    assert [gpu.minor for gpu in found.gpus] == minors
    assert "ROCR_VISIBLE_DEVICES" in found.notes[-1]


def test_a_gpu_is_named_by_its_unique_id_too(write_node: Node, tmp_path: Path) -> None:
    paths = write_node(mine=(0, 1), count=2)
    second = next(path for path in (tmp_path / "sys").rglob("properties") if "drm_render_minor 136" in path.read_text())
    unique = next(line.split()[1] for line in second.read_text().splitlines() if line.startswith("unique_id"))
    found = identity_gpu.read_hardware(*paths, {"ROCR_VISIBLE_DEVICES": f"GPU-{int(unique):016x}"})
    assert [gpu.minor for gpu in found.gpus] == [136]


def test_xnack_is_the_processs_own_choice(write_node: Node) -> None:
    assert identity_gpu.read_hardware(*write_node(), {"HSA_XNACK": "1"}).gpus[0].features == "sramecc+:xnack+"


def test_gpus_that_differ_make_the_stack_unknown(write_node: Node) -> None:
    kinds = (sysfs.Gpu("MI300X"), sysfs.Gpu("MI325X"))
    sys, dev = write_node(mine=(0, 1), gpus=kinds)
    found = container.read_identity(sys, dev, {}, simulated=True)
    assert found.stack.product is None
    assert "product" in found.stack.unknown()
    assert any("differ in product" in note for note in found.notes)


def test_a_container_without_gpus(write_node: Node, tmp_path: Path) -> None:
    sys, _ = write_node()
    found = container.read_identity(sys, str(tmp_path / "nothing"), {}, simulated=True)
    assert found.gpus == 0
    assert identity_gpu.read_hardware(str(tmp_path / "nothing"), str(tmp_path), {}).gpus == ()


def libraries(arch: str = "gfx942", *packages: str, **env: str) -> hipblaslt.Libraries:
    return hipblaslt.read_libraries(arch, env, packages)


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


def test_no_database_for_this_gpu_is_unknown_and_told(tmp_path: Path) -> None:
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


def test_what_torch_says_must_be_what_sysfs_says(write_node: Node, tmp_path: Path) -> None:
    write_rocm(tmp_path / "rocm")
    sys, dev = write_node()
    stack = container.read_identity(sys, dev, {"ROCM_PATH": str(tmp_path / "rocm")}, simulated=True).stack
    good = {"arch": "gfx942:sramecc+:xnack-", "computeUnits": 304}
    assert attest.hardware_difference(stack, good) is None
    assert attest.hardware_difference(stack, {**good, "arch": "gfx942"}) is None
    for change in (
        {"arch": "gfx950:sramecc+:xnack-"},
        {"arch": "gfx942:sramecc-:xnack-"},
        {"computeUnits": 80},
        {"arch": ""},
    ):
        assert attest.hardware_difference(stack, {**good, **change}) is not None
    library = str(tmp_path / "rocm/lib/libhipblaslt.so.1")
    assert attest.library_difference(stack, [library], {}) is None
    write_rocm(tmp_path / "torch", database=b"bundled with torch")
    other = str(tmp_path / "torch/lib/libhipblaslt.so.1")
    assert attest.library_difference(stack, [library, other], {}) is not None
    # What is not found cannot be compared, and is no part of the stack.
    (tmp_path / "torch/lib/hipblaslt/library/TensileLibrary_lazy_gfx942.dat").unlink()
    assert "has no database for gfx942" in str(attest.library_difference(stack, [other], {}))
    (tmp_path / "torch/lib/hipblaslt/library/TensileLibrary_lazy_gfx942.dat").mkdir()
    assert "cannot be read" in str(attest.library_difference(stack, [other], {}))
