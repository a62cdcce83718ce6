"""Stable pseudo-random values: the same inputs give the same value in every process and on every machine."""

import hashlib


def integer(*parts: object) -> int:
    """A 64-bit integer made of the text of ``parts``."""
    data = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def fraction(*parts: object) -> float:
    """A value in [0, 1)."""
    return integer(*parts) / 2**64
