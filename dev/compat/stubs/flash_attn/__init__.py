"""ROCm's flash-attention, as far as vLLM asks whether it is there."""

from __future__ import annotations


def flash_attn_varlen_func(*_: object, **__: object) -> None:
    """Nothing attends without a GPU."""
    raise NotImplementedError
