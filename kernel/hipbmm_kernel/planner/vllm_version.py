"""vLLM's version, as far as plans depend on it."""

import re
from typing import NamedTuple

_TEXT = re.compile(
    r"v?0*([0-9]{1,4})\.0*([0-9]{1,4})(?:\.[0-9]+)*(?:[._-]?(?:a|b|c|rc|alpha|beta|pre|post|dev)(?:[._-]?[0-9]+)?)*(?:[+-].*)?",
    re.DOTALL | re.IGNORECASE,
)
"""A release as PEP 440 has it, and anything behind `+` or `-`."""


class Version(NamedTuple):
    """Major and minor number; the patch level never changed a token list or a linear."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


NEWEST = Version(0, 33)
"""The newest version whose sources were read; later ones are planned like it."""

_FIRST_RELEASE = Version(0, 1)

FIRST_WITH_KERNEL = Version(0, 23)
"""vllm-project/vllm #40426; before it no Python file mentions `hipb_mm`, so a row could not be used."""

FIRST_QUARK_PER_CHANNEL = Version(0, 24)
"""0.23 builds Quark's per-channel weights with a per-token key, which `can_implement` declines."""

ASKS_FUSED_NAMES = Version(0, 30)
"""From it on patterns of an ignore list are asked about a fused module's own name first (vllm-project/vllm#51285),
Quark unwraps lists of one, and shell patterns may hold `?` and `[...]`; read in 0.30, absent in 0.29."""

PARTS_BEFORE_CLASS = Version(0, 27)
"""From it on a group of compressed-tensors that names all parts of a module comes before one that names its class
(vllm-project/vllm#49483); absent in 0.26."""

SHARES_KEYS = Version(0, 30)
"""From it on Gemma 4's layers that share keys and values have q_proj, before it qkv_proj like the others."""

READS_INTERVAL = Version(0, 32)
"""From it on Qwen3-Next's config class is transformers', which reads `full_attention_interval`; absent in 0.31."""

BACKENDS_FALL_BACK = Version(0, 28)
"""From it on a `--linear-backend` that has no FP8 kernel for ROCm leaves vLLM's own choice; read in 0.28."""

ONLINE_OVER_CHECKPOINTS = Version(0, 30)
"""From it on `--quantization-config` also quantises what a quantised checkpoint leaves in 16 bit; absent in 0.29."""

REQUANTISES_MXFP8 = Version(0, 32)
"""From it on that also means the linears of an MXFP8 checkpoint, and no others that are quantised; absent in 0.31."""

BATCH_INVARIANT = Version(0, 32)
"""From it on VLLM_BATCH_INVARIANT chooses a kernel for FP8 linears on ROCm; absent in 0.31."""

FIRST_ONLINE_PER_CHANNEL = Version(0, 24)
"""`--quantization fp8_per_channel`."""


def is_number(text: str) -> bool:
    """Whether a text is a version's, if only one that says nothing about its age."""
    return _TEXT.fullmatch(text.strip()) is not None


def doubts(text: str) -> tuple[str, ...]:
    """What is said of a plan for a version that `parse` does not know, or for a build between two releases."""
    version = parse(text)
    if version is None:
        return (f"vLLM's version {text!r} is not known: planned like {NEWEST}",)
    between = "dev" in text.partition("+")[0]
    return (f"vLLM {text} is a build between two releases: planned like {version}",) if between else ()


def parse(text: str) -> Version | None:
    """The version in texts such as `0.23.0`, `v0.23.1rc2.dev3+g1a2b`, `0.33rc1` or `0.33`; None when it is none.

    A clone without tags builds `0.1.dev0` (setuptools_scm's word for "unknown"), which says nothing about its age; nor
    does `0.0.0`, which is what other build tools write there.
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        return None
    version = Version(int(found[1]), int(found[2]))
    ageless = version < _FIRST_RELEASE or (version == _FIRST_RELEASE and "dev" in text)
    return None if ageless else version
