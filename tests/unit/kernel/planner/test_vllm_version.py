"""vLLM's version from the texts that builds carry."""

import pytest

from hipbmm_kernel.planner.vllm_version import Version, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.23.0", Version(0, 23)),
        ("v0.33.0", Version(0, 33)),
        ("0.23.1rc2.dev3+g1a2b3c.rocm", Version(0, 23)),
        ("0.33", Version(0, 33)),
        ("1.0", Version(1, 0)),
        ("0", None),
        ("", None),
        ("dev", None),
        ("0.x", None),
        ("0.٢", None),
        ("99999999999.1", None),
        ("0.1.dev0", None),  # a clone without tags
    ],
)
def test_versions(text: str, expected: Version | None) -> None:
    assert parse(text) == expected
