"""How each module of a checkpoint is quantised, as far as the HIPBMM kernel asks: one scale per token and per channel.

Sources: vLLM's compressed-tensors, Quark, FBGEMM, ModelOpt, fp8 and online quantisation configs, 0.23.0 to 0.33.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel import version as versions
from hipbmm_kernel.ignorelist import NameList

if TYPE_CHECKING:
    from hipbmm_kernel.modelconfig import Fields
    from hipbmm_kernel.serverflags import ServerFlags
    from hipbmm_kernel.shapes.module import Module
    from hipbmm_kernel.version import Version


class Scheme(NamedTuple):
    """How a module is quantised. `reason` says why it never reaches an FP8 kernel with such scales; "" if it may."""

    per_token: bool = False
    per_channel: bool = False
    reason: str = ""


class Quantisation:
    """The schemes of one checkpoint under one vLLM. `label` names the method for people."""

    label = "none"

    def scheme(self, module: Module, prefixes: tuple[str, ...]) -> Scheme:
        """The scheme of a module whose full name is one of `prefixes` before its path."""
        raise NotImplementedError


class Uniform(Quantisation):
    """Every module alike, but for a list of names that stay unquantised."""

    def __init__(self, label: str, scheme: Scheme, ignored: NameList | None = None) -> None:
        self.label = label
        self._scheme = scheme
        self._ignored = ignored

    def scheme(self, module: Module, prefixes: tuple[str, ...]) -> Scheme:
        """The one scheme, or why the module is left out."""
        return listed(module, prefixes, self._ignored) or self._scheme


def of(whole: Fields, text: Fields, flags: ServerFlags, version: Version) -> Quantisation:
    """The quantisation of a checkpoint, or the online one that a flag asks for."""
    for fields in (whole, text):
        for field in ("quantization_config", "compression_config"):
            found = fields.nested(field)
            if found is not None:
                return _of_checkpoint(found, version)
    return _online(flags, version)


def listed(module: Module, prefixes: tuple[str, ...], ignored: NameList | None) -> Scheme | None:
    """The scheme of a module that the checkpoint's list leaves unquantised, None when the list does not name it."""
    if not ignored:
        return None
    # A fused name counts when it is spelled out; patterns are asked about its parts only.
    if ignored.spells([prefix + module.path for prefix in prefixes]):
        return Scheme(reason=_IGNORED)
    answers = {ignored.names(spellings) for spellings in part_names(module, prefixes)}
    if answers == {True}:
        return Scheme(reason=_IGNORED)
    if answers == {True, False}:
        return Scheme(reason=f"vLLM refuses to load it: the checkpoint ignores only some of {', '.join(module.parts)}")
    return None


def part_names(module: Module, prefixes: tuple[str, ...]) -> list[list[str]]:
    """For each part of a module in the checkpoint, the spellings of its full name."""
    parent = module.path.rpartition(".")[0]
    stem = f"{parent}." if parent else ""
    return [[f"{prefix}{stem}{part}" for prefix in prefixes] for part in module.parts]


_IGNORED = "not quantised: in the checkpoint's ignore list"
_PLAIN = "not quantised to FP8: runs as a plain 16-bit GEMM"


def _of_checkpoint(found: Fields, version: Version) -> Quantisation:
    method = found.text("quant_method").lower().replace("_", "-") or "compressed-tensors"
    if method == "compressed-tensors":
        from hipbmm_kernel.compressedtensors import CompressedTensors  # noqa: PLC0415 - start-up time: one method only

        return CompressedTensors(found)
    if method == "quark":
        from hipbmm_kernel.quark import Quark  # noqa: PLC0415 - start-up time: one method only

        return Quark(found, version)
    ignored = NameList(f"{found.name}.modules_to_not_convert", found.texts("modules_to_not_convert"))
    return Uniform(
        method, Scheme(reason=_OTHER_METHODS.get(method, f"quantised by {method}: runs other kernels")), ignored
    )


_OTHER_METHODS = {
    "fp8": "FP8 with block or per-tensor scales: runs other kernels",
    "fbgemm-fp8": "vLLM gives FBGEMM weights per-token scales: requires per channel weight scales.",
    "modelopt": "ModelOpt FP8: vLLM builds no per channel weight scales for it",
    "mxfp4": "not quantised: MXFP4 covers the experts only",
    "gpt-oss-mxfp4": "not quantised: MXFP4 covers the experts only",
}


def _online(flags: ServerFlags, version: Version) -> Quantisation:
    method = flags.quantization.lower().replace("_", "-")
    ignored = NameList("--quantization-config.ignore", flags.ignore, globs=True)
    if not method:
        return Uniform("none", Scheme(reason=_PLAIN))
    if method != "fp8-per-channel":
        reason = (
            "ptpc_fp8 is gone since vLLM 0.22; use fp8_per_channel"
            if method == "ptpc-fp8"
            else (f"--quantization {method} has no per channel weight scales")
        )
        return Uniform(method, Scheme(reason=reason), ignored)
    if version < versions.FIRST_ONLINE_PER_CHANNEL:
        reason = f"--quantization fp8_per_channel needs vLLM {versions.FIRST_ONLINE_PER_CHANNEL}, this is {version}"
        return Uniform(method, Scheme(reason=reason), ignored)
    return Uniform(method, Scheme(per_token=True, per_channel=True), ignored)
