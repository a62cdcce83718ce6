"""Checkpoints of AMD Quark: one scheme for all layers, schemes by name pattern, and an exclude list.

Quark spells a per-token activation scale `per_channel` with `is_dynamic`. From 0.33 vLLM unwraps a list of one scheme
and asks shell patterns (vllm-project/vllm#48606).
"""

from hipbmm_kernel.planner import vllm_version as versions
from hipbmm_kernel.planner.model_config import Fields
from hipbmm_kernel.planner.quantisation.ignore_list import NameList, glob, is_glob
from hipbmm_kernel.planner.quantisation.scheme import Quantisation, Scheme, listed, part_names
from hipbmm_kernel.planner.shapes.module import Module
from hipbmm_kernel.planner.vllm_version import Version

_FP8 = "fp8_e4m3"


class Quark(Quantisation):
    """The schemes of one checkpoint."""

    label = "quark"

    def __init__(self, found: Fields, version: Version) -> None:
        self._version = version
        self._ignored = NameList(f"{found.name}.exclude", found.texts("exclude"), version)
        everything = found.nested("global_quant_config")
        self._everything = _scheme(everything, version) if everything is not None else Scheme(reason=_NONE)
        self._patterns = [(name, _scheme(c, version)) for name, c in found.objects("layer_quant_config").items()]

    def scheme(self, module: Module, prefixes: tuple[str, ...]) -> Scheme:
        """The scheme by the module's parts; vLLM refuses parts that differ."""
        left_out = listed(module, prefixes, self._ignored)
        if left_out is not None:
            return left_out
        found = {self._of_part(spellings) for spellings in part_names(module, prefixes)}
        if len(found) > 1:
            return Scheme(reason=f"vLLM refuses to load it: {', '.join(module.parts)} have different schemes")
        return found.pop() if found else self._everything

    def _of_part(self, spellings: list[str]) -> Scheme:
        for pattern, scheme in self._patterns:
            if any(self._matches(spelling, pattern) for spelling in spellings):
                return scheme
        return self._everything

    def _matches(self, name: str, pattern: str) -> bool:
        """A shell pattern; without its signs vLLM asks whether the name is part of the pattern."""
        shell = is_glob(pattern) if self._version >= versions.ASKS_FUSED_NAMES else "*" in pattern
        return glob(name, pattern) if shell else name in pattern


_NONE = "not quantised: no scheme of the checkpoint covers it"


def _scheme(config: Fields, version: Version) -> Scheme:
    unwraps = version >= versions.ASKS_FUSED_NAMES
    weights, activations = config.only("weight", unwraps), config.only("input_tensors", unwraps)
    if weights is None or activations is None:
        return Scheme(reason="not one FP8 scheme for weights and one for activations: runs other kernels")
    if weights.text("dtype") != _FP8 or activations.text("dtype") != _FP8:
        return Scheme(reason="weights or activations are not fp8_e4m3: runs other kernels")
    if weights.text("qscheme") == "per_channel" and version < versions.FIRST_QUARK_PER_CHANNEL:
        first = versions.FIRST_QUARK_PER_CHANNEL
        return Scheme(
            reason=f"vLLM {version} takes Quark's per channel weight scales for per token ones, {first} does not"
        )
    per_token = activations.raw("is_dynamic") is True and activations.text("qscheme") == "per_channel"
    return Scheme(per_token, weights.text("qscheme") == "per_channel")
