"""Makes torch look like a ROCm build on a node with the simulated devices."""

import torch

from aiter_simulator import gpu, runtime, settings, torch_cuda, torch_device


def install() -> None:
    """Replace what torch says about devices.

    Without a visible device torch is left as a ROCm build on a node without GPUs.
    """
    torch.version.hip = settings.text("HIP", "7.2.1")
    torch.version.cuda = None
    for name, value in torch_cuda.replacements().items():
        setattr(torch.cuda, name, value)
    _install_accelerator(torch_cuda.replacements())
    torch_device.install()


def _install_accelerator(cuda: dict[str, object]) -> None:
    accelerator = getattr(torch, "accelerator", None)
    if accelerator is None:
        return
    accelerator.is_available = cuda["is_available"]
    accelerator.device_count = cuda["device_count"]
    accelerator.synchronize = cuda["synchronize"]
    accelerator.current_stream = cuda["current_stream"]
    accelerator.current_accelerator = lambda check_available=False: torch.device("cuda") if gpu.visible() else None  # noqa: ARG005 - torch's parameter
    accelerator.current_device_index = runtime.current_device
    accelerator.current_device_idx = runtime.current_device
    accelerator.set_device_index = cuda["set_device"]
    accelerator.set_device_idx = cuda["set_device"]
