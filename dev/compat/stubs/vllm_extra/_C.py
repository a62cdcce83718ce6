"""Put into the vLLM packages of the compat environment as `vllm._C`, which vLLM imports for its compiled operators.

Layers keep a handle of an operator when they are built (`torch.ops._C.silu_and_mul`); nothing calls it here. So every
name is an operator, except for `_custom_ops`, which asks what is there before it registers meta implementations. The
same holds for AITER's other kernels, of which the simulator has none (`from aiter import flash_attn_varlen_func`).
"""

from __future__ import annotations

import sys
from typing import Any

import aiter  # noqa: A004
import torch._ops

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


aiter.__getattr__ = _of_aiter
