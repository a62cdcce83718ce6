"""What is asked of every checkpoint format: the scheme of one module, and whether a list leaves it unquantised."""

from typing import NamedTuple

from hipbmm_kernel.planner.quantisation.ignore_list import NameList
from hipbmm_kernel.planner.shapes.module import Module


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


def listed(module: Module, prefixes: tuple[str, ...], ignored: NameList | None) -> Scheme | None:
    """The scheme of a module that the checkpoint's list leaves unquantised, None when the list does not name it."""
    if not ignored:
        return None
    if ignored.fused([prefix + module.path for prefix in prefixes]):
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
