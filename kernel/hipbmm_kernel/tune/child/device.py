"""The one GPU of a child, through torch: what it is, its memory, its clock."""

import torch

from hipbmm_kernel.linear import quantise


class NoGpuError(RuntimeError):
    """torch sees no GPU: the container has none, or may not open it."""


class Device:
    """The current GPU. NoGpuError when there is none."""

    def __init__(self) -> None:
        if not torch.cuda.is_available() or torch.cuda.device_count() < 1:
            raise NoGpuError("torch sees no GPU (is the user a member of the group that owns /dev/dri/render*?)")
        self.torch_device = torch.device("cuda", 0)
        torch.cuda.set_device(self.torch_device)
        self._properties = torch.cuda.get_device_properties(self.torch_device)
        self.fp8 = quantise.fp8_dtype(self.arch)

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
