"""The digest is hashlib's, whoever computes it."""

import hashlib

import pytest

from hipbmm_kernel.system import digest


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, digest.LARGE - 1, digest.LARGE, digest.LARGE + 1])
def test_the_digest_is_hashlibs(size: int) -> None:
    data = bytes(at % 251 for at in range(size))
    assert digest.sha256(data) == hashlib.sha256(data).hexdigest()
