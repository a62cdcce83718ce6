"""Device memory as hipMemGetInfo tells it.

The whole VRAM less what this process holds, or what ``HIPBMM_SIM_FREE_MIB`` says.
"""

from aiter_simulator import process, settings
from aiter_simulator.gpu import SimulatedGpu
from aiter_simulator.problem import Gemm

MIB = 1 << 20
_CONTEXT = 620 * MIB  # a HIP context with rocBLAS and hipBLASLt loaded
_ROTATING = 128 * MIB
_LAUNCHES = 100


class DeviceMemory:
    """What this process allocated through the simulated HIP runtime; torch's own tensors live on the CPU."""

    def __init__(self) -> None:
        self._held = _CONTEXT

    def free(self, device: SimulatedGpu) -> int:
        """Bytes hipMemGetInfo reports as free."""
        fixed = settings.text("FREE_MIB")
        return int(settings.number("FREE_MIB", 0) * MIB) if fixed else max(0, device.vram - self._held)

    def reserve(self, device: SimulatedGpu, size: int, line: int) -> None:
        """Like :meth:`allocate` for what lasts; ``HIPBMM_SIM_FREE_MIB`` says what is free after it."""
        if not settings.text("FREE_MIB"):
            self.allocate(device, size, line)

    def allocate(self, device: SimulatedGpu, size: int, line: int) -> None:
        """Call hipMalloc under CHECK_HIP_ERROR: exit(1) when it does not fit."""
        if size > self.free(device):
            process.exit_hip("out of memory", 2, line)
        self._held += size

    def release(self, size: int) -> None:
        """Call hipFree."""
        self._held -= size


MEMORY = DeviceMemory()


def tuning_bytes(gemm: Gemm) -> int:
    """Bytes of AITER's three rotating buffers for one problem.

    For a transposed A (every call of vLLM) the B buffer is sized ldb x K instead of ldb x M: that is AITER's
    arithmetic.
    """
    element = 1 if gemm.in_type.startswith("float8") else 2
    output = 4 if gemm.out_type == "float32" else 2
    deep = 32 if gemm.scaled else 64
    if gemm.preshuffle:
        size_a = -(-gemm.N // 16) * 16 * (-(-gemm.K // deep) * deep)
    else:
        size_a = gemm.lda * (gemm.K if gemm.trans_a == "N" else gemm.N)
    size_b = gemm.ldb * (gemm.M if gemm.trans_a == "N" else gemm.K)
    size_c = gemm.ldc * gemm.M
    total = (size_a + size_b) * element + (2 * size_c + 2 * gemm.N + gemm.M) * output
    blocks = max(1, min(_LAUNCHES, -(-_ROTATING // total)))
    return blocks * ((size_a + size_b) * element + size_c * output)
