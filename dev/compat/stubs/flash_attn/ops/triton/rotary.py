"""ROCm's flash-attention: its rotary embedding, which nothing calls without a GPU."""

from __future__ import annotations


def apply_rotary(*_: object, **__: object) -> None:
    """Nothing rotates without a GPU."""
    raise NotImplementedError
