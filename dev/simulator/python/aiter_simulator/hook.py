"""Installs the simulated torch.cuda right after torch's own import.

And costs nothing in a process that never imports torch.

It is reached by sitecustomize (PYTHONPATH) or by the image's .pth file, so that no program needs to know about the
simulator. Every Python process of the image runs this file, hence no import beyond sys and os,
which every interpreter has.
"""

import os
import sys

TYPE_CHECKING = False  # typing itself would be the slowest import here
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class _TorchLoader:
    """torch's own loader, and the shim after it."""

    def __init__(self, inner: "Loader") -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        return self._inner.create_module(spec)

    def exec_module(self, module: "ModuleType") -> None:
        module.__loader__ = self._inner
        # Threads that wait by spinning take the time of those that work, on machines with fewer cores than processes.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self._inner.exec_module(module)
        from aiter_simulator import torch_shim  # noqa: PLC0415 - needs torch, which is there only now

        torch_shim.install()


class _TorchFinder:
    """Answers for `torch` once, by asking the other finders."""

    def find_spec(
        self,
        fullname: str,
        path: "Sequence[str] | None",  # noqa: ARG002 - the protocol's parameters
        target: "ModuleType | None" = None,  # noqa: ARG002 - same
    ) -> "ModuleSpec | None":
        if fullname != "torch":
            return None
        from importlib.util import find_spec  # noqa: PLC0415 - only a process that imports torch pays for it

        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _TorchLoader(spec.loader)  # type: ignore[assignment] # a loader by its methods
        return spec


if "torch" not in sys.modules:
    sys.meta_path.insert(0, _TorchFinder())
