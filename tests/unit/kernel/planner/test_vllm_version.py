"""vLLM's version from the texts that builds carry."""

import pytest

from hipbmm_kernel.planner.vllm_version import Version, doubts, parse


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
        ("0.1.dev9000+gdeadbeef.d20260101", None),
        ("0.0.0", None),
        ("0.1.7", Version(0, 1)),
        ("0.11.2.dev278+gdbc3d9991", Version(0, 11)),  # a nightly of a clone with tags
        ("0.19.0rc1.dev1", Version(0, 19)),
        ("0.2.0.dev1", Version(0, 2)),
        ("0.22rc1", Version(0, 22)),
        ("0.33+rocm720", Version(0, 33)),
        ("0.33.post1", Version(0, 33)),
        ("0.33-rocm", Version(0, 33)),
        ("0.33333", None),
        ("0.33garbage", None),
        ("0.33.0.x", None),
        ("0.33 0.28", None),
        ("0.33.0rc", Version(0, 33)),
        ("0.33.0.dev20260101", Version(0, 33)),
        ("0.23.0+rocm700", Version(0, 23)),
    ],
)
def test_versions(text: str, expected: Version | None) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0.30.0", ""),
        ("0.30.0rc1+gdev", ""),
        (
            "0.30.1.dev12+g1234.rocm700",
            "vLLM 0.30.1.dev12+g1234.rocm700 is a build between two releases: planned like 0.30",
        ),
        ("0.1.dev0", "vLLM's version '0.1.dev0' is not known: planned like 0.33"),
    ],
)
def test_what_is_said_of_a_version_that_is_no_release(text: str, words: str) -> None:
    assert doubts(text) == ((words,) if words else ())


@pytest.mark.parametrize("part", ["a.", "dev_", "rc1.", ".1", "-"])
def test_a_long_text_is_read_at_once(part: str) -> None:
    """Where a separator can belong to two parts, each further part doubles the time: these would take for ever."""
    assert parse(f"0.33{part * 200}!") in (None, Version(0, 33))
