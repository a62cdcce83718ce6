"""A cache bounded in bytes whose keys contain addresses of tensors."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

import torch
from torch.multiprocessing.reductions import StorageWeakRef

Value = TypeVar("Value")


class ByteLru(Generic[Value]):
    """A mapping that forgets its oldest entries beyond a budget in bytes, and those whose operands are gone.

    Operands are held weakly: an address in a key means the same memory only as long as its storage lives.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._entries: OrderedDict[Hashable, tuple[Value, int, tuple[StorageWeakRef, ...]]] = OrderedDict()
        self._used = 0

    def get(self, key: Hashable) -> Value | None:
        """The value under this key, now the youngest."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if any(operand.expired() for operand in entry[2]):
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: Hashable, value: Value, size: int, operands: Iterable[torch.Tensor]) -> None:
        """Keep ``value`` of ``size`` bytes, unless that is more than half of the budget."""
        if size * 2 > self._budget:
            return
        self._entries[key] = (value, size, tuple(StorageWeakRef(operand.untyped_storage()) for operand in operands))
        self._used += size
        while self._used > self._budget:
            self._remove(next(iter(self._entries)))

    def _remove(self, key: Hashable) -> None:
        self._used -= self._entries.pop(key)[1]


def size_of(tensor: torch.Tensor) -> int:
    """Bytes of a tensor's elements."""
    return int(tensor.numel() * tensor.element_size())
