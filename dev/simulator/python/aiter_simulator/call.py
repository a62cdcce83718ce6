"""The operands of one call of hipb_mm, and what is remembered of the call before: a timing loop repeats itself."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from aiter_simulator import epilogue, numerics
from aiter_simulator.identity import identity
from aiter_simulator.operands import describe

if TYPE_CHECKING:
    from aiter_simulator.epilogue import Finished


@dataclass(frozen=True, slots=True)
class Call:
    """The product of mat1 [M, K] and mat2 [K, N]; ``scales`` of mat1 [M, 1], of mat2 [1, N] and of the result."""

    mat1: torch.Tensor
    mat2: torch.Tensor
    bias: torch.Tensor | None
    out_dtype: torch.dtype | None
    scales: tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]
    preshuffle: bool
    gelu: bool = False

    def tensors(self) -> list[torch.Tensor]:
        """All operands there are."""
        every = (self.mat1, self.mat2, self.bias, *self.scales)
        return [tensor for tensor in every if tensor is not None]

    def key(self) -> Hashable:
        """Equal for calls with the same operands in the same state."""
        places = tuple(
            (identity(tensor), tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
            for tensor in self.tensors()
        )
        present = tuple(tensor is None for tensor in (self.bias, *self.scales))
        return places, present, self.out_dtype, self.preshuffle, self.gelu


class Prepared:
    """A call's problem, and its result once somebody needs it."""

    def __init__(self, call: Call) -> None:
        self._call: Call | None = call
        self.gemm = describe(
            call.mat1, call.mat2, call.bias, call.out_dtype, call.scales[:2], preshuffle=call.preshuffle
        )
        self._finished: Finished | None = None

    def result(self) -> torch.Tensor:
        """The right result [M, N], in memory of its own. Needs the call's operands the first time only."""
        call = self._call
        if call is not None:
            raw = numerics.product(call.mat1, call.mat2.t(), swizzled=call.preshuffle)
            dtype = call.out_dtype or call.mat1.dtype
            after = epilogue.Epilogue(*call.scales, call.bias, call.gelu, dtype)
            self._finished = epilogue.finish(raw, after)
            self._call = None  # the operands belong to the caller
        if self._finished is None:
            raise AssertionError("a result is either still to be computed or there")
        return self._finished.copy()


class Memory:
    """The last call, as long as its operands live and stay what they were."""

    def __init__(self) -> None:
        self._key: Hashable = None
        self._operands: tuple[StorageWeakRef, ...] = ()
        self._prepared: Prepared | None = None

    def prepare(self, call: Call) -> Prepared:
        """What is known of ``call``. Raises what describing it raises."""
        key = call.key()
        alive = not any(operand.expired() for operand in self._operands)
        if self._prepared is None or key != self._key or not alive:
            self._prepared = Prepared(call)
            self._key = key
            self._operands = tuple(StorageWeakRef(tensor.untyped_storage()) for tensor in call.tensors())
        return self._prepared
