"""Which format a checkpoint has, or which online quantisation a flag asks for.

Sources: vLLM's compressed-tensors, Quark, FBGEMM, ModelOpt, fp8 and online quantisation configs, 0.23.0 to 0.33.0.
"""

from hipbmm_kernel.planner import vllm_version as versions
from hipbmm_kernel.planner.model_config import Fields
from hipbmm_kernel.planner.quantisation.ignore_list import NameList
from hipbmm_kernel.planner.quantisation.scheme import Quantisation, Scheme, Uniform, listed
from hipbmm_kernel.planner.server_flags import ServerFlags
from hipbmm_kernel.planner.shapes.module import Module
from hipbmm_kernel.planner.vllm_version import Version


def of(whole: Fields, text: Fields, flags: ServerFlags, version: Version) -> Quantisation:
    """The quantisation of a checkpoint, or the online one that a flag asks for."""
    for fields in (whole, text):
        for field in ("quantization_config", "compression_config"):
            found = fields.nested(field)
            if found is not None:
                return _of_checkpoint(found, version)
    return _online(flags, version)


_PLAIN = "not quantised to FP8: runs as a plain 16-bit GEMM"


def _of_checkpoint(found: Fields, version: Version) -> Quantisation:
    method = found.text("quant_method").lower().replace("_", "-") or "compressed-tensors"
    if method == "compressed-tensors":
        from hipbmm_kernel.planner.quantisation.compressed_tensors import CompressedTensors  # noqa: PLC0415 - start-up time: one method only

        return CompressedTensors(found, version)
    if method == "quark":
        from hipbmm_kernel.planner.quantisation.quark import Quark  # noqa: PLC0415 - start-up time: one method only

        return Quark(found, version)
    ignored = NameList(f"{found.name}.modules_to_not_convert", found.texts("modules_to_not_convert"), version)
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


_ONLINE = ("online", "fp8-per-channel", "fp8-per-tensor", "fp8-per-block", "mxfp8", "mxfp4")
"""Values of --quantization with which vLLM reads --quantization-config as one of online quantisation."""


class Targets(Quantisation):
    """Online quantisation by names: the pattern that means a module names its method, others stay in 16 bit."""

    label = "online"

    def __init__(self, targets: tuple[tuple[str, str], ...], version: Version) -> None:
        self._targets = [
            (NameList("--quantization-config.targets", (name,), version, globs=True), method)
            for name, method in targets
        ]

    def scheme(self, module: Module, prefixes: tuple[str, ...]) -> Scheme:
        """One scale per token and channel where the first matching target says so."""
        for names, method in self._targets:
            if listed(module, prefixes, names) is not None:
                ptpc = method.replace("-", "_") == "fp8_per_channel"
                return Scheme(ptpc, ptpc, "" if ptpc else f"{method} has no per channel weight scales")
        return Scheme(reason=_PLAIN)


def _online(flags: ServerFlags, version: Version) -> Quantisation:
    asked = flags.quantization.lower().replace("_", "-")
    ignored = NameList("--quantization-config.ignore", flags.ignore, version, globs=True)
    if not asked:
        return Uniform("none", Scheme(reason=_PLAIN))
    if flags.online_targets and asked in _ONLINE:
        return Targets(flags.online_targets, version)
    method = flags.online_linear.lower().replace("_", "-").removesuffix("-static") if asked in _ONLINE else ""
    method = method or asked
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
