"""Stand-in of ROCm's AITER: the part that vLLM's hipBLASLt kernel uses, on CPU torch (see dev/simulator/README.md)."""

from importlib.metadata import version as _version

from aiter.ops.gradlib import (
    getHipblasltKernelName,
    hipb_create_extension,
    hipb_destroy_extension,
    hipb_findallsols,
    hipb_mm,
)
from aiter.ops.quant import pertoken_quant
from aiter.utility import dtypes

__version__ = _version("amd-aiter")

__all__ = [
    "dtypes",
    "getHipblasltKernelName",
    "hipb_create_extension",
    "hipb_destroy_extension",
    "hipb_findallsols",
    "hipb_mm",
    "pertoken_quant",
]
