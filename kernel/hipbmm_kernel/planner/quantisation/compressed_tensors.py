"""Checkpoints of llm-compressor: groups of targets with a scheme each, and an ignore list.

A group is found by the module's name, then by the names of its parts, then by its class (`Linear` is part of every
linear's class name), as vLLM's `find_matched_target` does; until 0.26 the class came before the parts. Names of types
and strategies are read in any case, as compressed-tensors reads them.
"""

from hipbmm_kernel.planner.model_config import Fields
from hipbmm_kernel.planner.quantisation.ignore_list import NameList
from hipbmm_kernel.planner.quantisation.scheme import Quantisation, Scheme, listed, part_names
from hipbmm_kernel.planner.shapes.module import Module
from hipbmm_kernel.planner.vllm_version import PARTS_BEFORE_CLASS, Version

_CLASS = "linear"
_BITS = 8


class CompressedTensors(Quantisation):
    """The groups of one checkpoint."""

    label = "compressed-tensors"

    def __init__(self, found: Fields, version: Version) -> None:
        self._ignored = NameList(f"{found.name}.ignore", found.texts("ignore"), version)
        self._parts_first = version >= PARTS_BEFORE_CLASS
        self._groups = []
        for name, group in found.objects("config_groups").items():
            targets = group.texts("targets")
            by_class = any(
                target.lower() in "mergedcolumnparallellinear" for target in targets if _CLASS in target.lower()
            )
            entry = (NameList(f"{found.name}.config_groups.{name}.targets", targets), by_class, _scheme(group))
            self._groups.append(entry)

    def scheme(self, module: Module, prefixes: tuple[str, ...]) -> Scheme:
        """The scheme of the first group that means the module."""
        left_out = listed(module, prefixes, self._ignored)
        if left_out is not None:
            return left_out
        own = [prefix + module.path for prefix in prefixes]
        for targets, _, scheme in self._groups:
            if targets.names(own):
                return scheme
        by_class = [scheme for _, named, scheme in self._groups if named]
        parts = part_names(module, prefixes)
        by_parts = [
            scheme for targets, _, scheme in self._groups if parts and all(targets.names(names) for names in parts)
        ]
        found = [*by_parts, *by_class] if self._parts_first else [*by_class, *by_parts]
        return found[0] if found else Scheme(reason="not quantised: no group of the checkpoint targets it")


def _scheme(group: Fields) -> Scheme:
    weights = group.nested("weights")
    inputs = group.nested("input_activations")
    if weights is None:
        return Scheme(reason="not quantised: its group has no weights scheme")
    kind = f"{weights.text('type').lower() or 'int'}{weights.count('num_bits', _BITS)}"
    if kind != "float8":
        return Scheme(reason=f"weights are {kind}, not float8: runs other kernels")
    if inputs is None:
        return Scheme(reason="activations are not quantised (W8A16): runs other kernels")
    if inputs.text("type").lower() != "float" or inputs.count("num_bits", _BITS) != _BITS:
        return Scheme(reason="activations are not float8: runs other kernels")
    strategy = weights.text("strategy").lower() or ("channel" if weights.raw("group_size") == -1 else "")
    if strategy == "block":
        return Scheme(reason="block scales: runs other kernels")
    # vLLM takes every dynamic activation scheme for one scale per token, whatever its strategy says.
    return Scheme(inputs.raw("dynamic") is True, strategy == "channel")
