"""The one GPU of a child, through torch: what it is, its memory, its clock."""

import ctypes
import os
import re

import torch

from hipbmm_kernel.linear import quantise

MAPS = "/proc/self/maps"


class NoGpuError(RuntimeError):
    """torch sees no GPU: the container has none, or may not open it."""


class Device:
    """The current GPU. NoGpuError when there is none.

    Made before AITER is imported: its modules find the HIP runtime that torch uses from here on.
    """

    def __init__(self) -> None:
        if not torch.cuda.is_available() or torch.cuda.device_count() < 1:
            raise NoGpuError("torch sees no GPU (is the user a member of the group that owns /dev/dri/render*?)")
        self.torch_device = torch.device("cuda", 0)
        torch.cuda.set_device(self.torch_device)
        self._properties = torch.cuda.get_device_properties(self.torch_device)
        self.fp8 = quantise.fp8_dtype(self.arch)
        share_hip_runtime()

    @property
    def arch(self) -> str:
        """The gcnArchName (`gfx942:sramecc+:xnack-`); "" on a GPU of another make."""
        return str(getattr(self._properties, "gcnArchName", ""))

    def description(self) -> dict[str, object]:
        """What the parent compares with what it read from sysfs."""
        return {
            "arch": self.arch,
            "computeUnits": int(self._properties.multi_processor_count),
            "name": str(self._properties.name),
            "torch": str(torch.__version__),
            "hip": str(torch.version.hip or ""),
        }

    def free_bytes(self) -> int:
        """What hipMemGetInfo says is free, after torch gave back what it holds in reserve."""
        torch.cuda.empty_cache()
        return int(torch.cuda.mem_get_info(self.torch_device)[0])

    def synchronize(self) -> None:
        """Wait for the device."""
        torch.cuda.synchronize()


def loaded_libraries(name: str = "libhipblaslt") -> list[str]:
    """The files of every library of that name that this process has mapped: the ones in use."""
    pattern = re.compile(rf"/\S*{name}\.so\S*")
    with open(MAPS, encoding="utf-8", errors="replace") as maps:
        found = {match.group(0) for match in map(pattern.search, maps) if match}
    return sorted(found)


def share_hip_runtime() -> None:
    """Make the symbols of the HIP runtime that torch has loaded visible to all libraries, as vLLM does from 0.28.

    torch loads its libamdhip64 privately. AITER's modules look for HIP's symbols in the process, and a second runtime
    that the loader finds for them instead knows no device memory of torch's.
    """
    for path in loaded_libraries("libamdhip64"):
        ctypes.CDLL(path, mode=os.RTLD_GLOBAL | os.RTLD_NOLOAD)
