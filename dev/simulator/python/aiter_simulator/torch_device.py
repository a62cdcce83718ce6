"""Device "cuda" on a machine without one: tensors asked for there live on the CPU, and say so when asked.

Factory functions, Tensor.to and its relatives, modules and generators accept "cuda" in all of torch's spellings.
"""

import functools
from collections.abc import Callable
from typing import Any, Self

import torch
import torch.utils._device

from aiter_simulator import gpu

_FACTORY_NAMES = (
    "arange as_tensor asarray empty empty_like empty_permuted empty_strided eye frombuffer full full_like hann_window "
    "linspace logspace normal ones ones_like rand rand_like randint randint_like randn randn_like randperm "
    "scalar_tensor tensor tril_indices triu_indices zeros zeros_like"
)
_FACTORIES = _FACTORY_NAMES.split()
_METHODS = (
    "to",
    "new_empty",
    "new_empty_strided",
    "new_full",
    "new_ones",
    "new_tensor",
    "new_zeros",
    "new",
    "pin_memory",
)
_CPU = torch.device("cpu")


def _on_cpu(value: Any) -> Any:  # noqa: ANN401 - any argument of any torch function
    """``value``, or the CPU when it names a simulated device; RuntimeError for one that does not exist."""
    is_name = isinstance(value, str) and (value == "cuda" or value.startswith("cuda:"))
    if not is_name and not (isinstance(value, torch.device) and value.type == "cuda"):
        return value
    index = torch.device(value).index
    if (index or 0) >= len(gpu.visible()):
        raise RuntimeError("HIP error: invalid device ordinal")
    return _CPU


def _redirect(function: Callable[..., Any], *, positional: bool) -> Callable[..., Any]:
    """``function`` with the device replaced.

    Its keyword, and with ``positional`` any argument that can only be a device.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passes through
        if "device" in kwargs:
            kwargs["device"] = _on_cpu(kwargs["device"])
        if positional:
            args = (*args[:1], *map(_on_cpu, args[1:]))
        return function(*args, **kwargs)

    return call


def _cuda(tensor: torch.Tensor, device: Any = None, *_arguments: object, **_options: object) -> torch.Tensor:  # noqa: ANN401 - a device in any spelling
    """Tensor.cuda: the tensor itself, as for one that is on the device already."""
    _on_cpu(torch.device("cuda", device) if isinstance(device, int) else device or "cuda")
    return tensor


class _Generator(torch.Generator):  # type: ignore[misc] # torch is Any where lint runs
    """torch.Generator that takes a simulated device."""

    def __new__(cls, device: object = "cpu") -> Self:
        made: Self = super().__new__(cls, _on_cpu(device))
        return made


def install() -> None:
    """Redirect device "cuda" in torch's functions, tensor methods, default devices and operator registrations."""
    for name in _FACTORIES:
        if hasattr(torch, name):
            setattr(torch, name, _redirect(getattr(torch, name), positional=False))
    for name in _METHODS:
        setattr(torch.Tensor, name, _redirect(getattr(torch.Tensor, name), positional=name == "to"))
    torch.Tensor.cuda = _cuda
    torch.Generator = _Generator
    torch.nn.Module.to = _redirect(torch.nn.Module.to, positional=True)
    torch.set_default_device = _first_on_cpu(torch.set_default_device)
    context = torch.utils._device.DeviceContext  # noqa: SLF001 - what `with torch.device(...)` enters
    context.__init__ = _redirect(context.__init__, positional=True)
    _redirect_registrations()


def _first_on_cpu(function: Callable[..., Any]) -> Callable[..., Any]:
    return functools.wraps(function)(lambda device: function(_on_cpu(device)))


def _redirect_registrations() -> None:
    """Operators registered for the key CUDA (or device type "cuda") run on the tensors there are: CPU tensors."""
    original = torch.library.Library.impl

    @functools.wraps(original)
    def impl(self: Any, op_name: Any, fn: Any, dispatch_key: str = "", **options: Any) -> Any:  # noqa: ANN401
        return original(self, op_name, fn, "CPU" if dispatch_key == "CUDA" else dispatch_key, **options)

    torch.library.Library.impl = impl
    custom_op = torch.library.custom_op

    @functools.wraps(custom_op)
    def with_device_types(*args: Any, device_types: Any = None, **options: Any) -> Any:  # noqa: ANN401
        return custom_op(*args, device_types="cpu" if device_types == "cuda" else device_types, **options)

    torch.library.custom_op = with_device_types
