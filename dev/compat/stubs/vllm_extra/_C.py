"""Put into the vLLM packages of the compat environment as `vllm._C`, which vLLM imports for its compiled operators.

Layers keep a handle of an operator when they are built (`torch.ops._C.silu_and_mul`); nothing calls it here. So every
name is an operator, except for `_custom_ops`, which asks what is there before it registers meta implementations. The
same holds for AITER's other kernels, of which the simulator has none (`from aiter import flash_attn_varlen_func`).
AITER is not imported here: vLLM loads its plugins before that, and so must the tests of them.
"""

from __future__ import annotations

import importlib.abc
import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING, Any

import torch._ops

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

_NAMESPACES = ("_C", "_C_cache_ops", "_moe_C", "_rocm_C", "_C_custom_ar", "_C_stable_libtorch")
_own = torch._ops._OpNamespace.__getattr__  # noqa: SLF001 - torch has no other place for operators that are missing


class _Absent:
    """An operator, and each of its overloads (`default`)."""

    def __init__(self) -> None:
        self.default = self.out = self

    def __call__(self, *_: object, **__: object) -> None:
        raise NotImplementedError("a compiled operator of vLLM was called, and there is no GPU")


def _operator(self: Any, name: str) -> Any:  # noqa: ANN401 - torch's own signature
    try:
        return _own(self, name)
    except AttributeError:
        asks = sys._getframe(1).f_globals.get("__name__", "")  # noqa: SLF001 - who asks decides, see above
        if self.name not in _NAMESPACES or name.startswith("__") or asks.endswith("_custom_ops"):
            raise
        return _Absent()


torch._ops._OpNamespace.__getattr__ = _operator  # noqa: SLF001 - see above


def _of_aiter(name: str) -> Any:  # noqa: ANN401 - an operator
    if name.startswith("__"):
        raise AttributeError(name)
    return _Absent()


class _Aiter(importlib.abc.MetaPathFinder):
    """Finds AITER behind all other finders but the one of files, and gives it `_of_aiter` once it is executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == "aiter" else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            module.__getattr__ = _of_aiter  # type: ignore[method-assign]

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


class _Attention(importlib.abc.Loader):
    """AITER's kernel of which the attention of encoder-decoder models keeps a handle."""

    names = ("aiter.ops.triton", "aiter.ops.triton.unified_attention")

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if fullname in self.names else None

    def exec_module(self, module: ModuleType) -> None:
        module.__getattr__ = _of_aiter  # type: ignore[method-assign]


sys.meta_path.append(_Attention())
if "aiter" in sys.modules:
    sys.modules["aiter"].__getattr__ = _of_aiter  # type: ignore[method-assign]
else:
    sys.meta_path.insert(sys.meta_path.index(PathFinder), _Aiter())
