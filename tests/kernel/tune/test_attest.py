"""What a child sees against the stack that was read from files."""

from pathlib import Path

from tests.kernel.nodes import Node
from tests.kernel.pods import write_rocm

from hipbmm_kernel.identity import container
from hipbmm_kernel.tune import attest


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
    assert attest.library_difference(stack, [library], {}, used=True) is None
    assert attest.library_difference(stack, [], {}, used=True) is None
    assert "no libhipblaslt" in str(attest.library_difference(stack._replace(simulated=False), [], {}, used=True))
