"""The simulator's torch.cuda, without its "cuda" tensors on the CPU: models are built on the meta device here."""

import sys
import types

_device = types.ModuleType("aiter_simulator.torch_device")
_device.install = lambda: None  # type: ignore[attr-defined] # a module made here
sys.modules[_device.__name__] = _device

import aiter_simulator.hook  # noqa: E402, F401 - installs itself, and must find the module above
