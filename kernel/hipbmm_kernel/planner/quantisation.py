"""How each linear of a checkpoint is quantised: does it have a scale per token and one per channel, as HIPBMM needs.

Sources: vLLM's compressed-tensors, Quark, FBGEMM, ModelOpt, fp8 and online quantisation configs, 0.23.0 to 0.33.0.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hipbmm_kernel.planner import vllm_version as versions
from hipbmm_kernel.planner.flag_values import NO_WEIGHT, whole
from hipbmm_kernel.planner.model_config import ConfigInvalid, Fields
from hipbmm_kernel.planner.name_list import REGEX, NameList, Names, Spellings, glob, is_each, is_one, names_of
from hipbmm_kernel.planner.server_flags import ServerFlags
from hipbmm_kernel.planner.shapes.module import Module
from hipbmm_kernel.planner.vllm_version import Version


class Scheme(NamedTuple):
    """How a module is quantised. `reason` says why it never reaches an FP8 kernel with such scales; "" if it may.

    `plain` says that online quantisation may have it: in 16 bit in the checkpoint, or in what vLLM makes that of.
    """

    per_token: bool = False
    per_channel: bool = False
    reason: str = ""
    plain: bool = False


class Quantisation(NamedTuple):
    """The schemes of one checkpoint under one vLLM.

    `label` names the method for people, `covered` says how a module is quantised that the list `ignored` does not mean,
    `over` is what flags ask for where the checkpoint has 16 bit: vLLM ends where they mean more (0.30 to 0.33).
    `head` says that lm_head has scales as HIPBMM needs them, too.
    """

    label: str
    covered: Callable[[Names], Scheme]
    ignored: NameList | None = None
    over: "Quantisation | None" = None
    head: bool = False

    def scheme(self, module: Module, prefixes: Sequence[str]) -> Scheme:
        """The scheme of a module whose full name is one of `prefixes` before its path."""
        names = names_of(module, prefixes)
        left_out = self.ignored.means(names) if self.ignored else False
        if left_out is None:
            return Scheme(reason=f"vLLM refuses to load it: the checkpoint ignores only some of {names.listed}")
        found = _plain(": in the checkpoint's ignore list") if left_out else self.covered(names)
        asked = self.over.scheme(module, prefixes) if self.over is not None else found
        if asked.plain or self.over is None:
            return found
        return asked if found.plain else _TWICE


def _plain(why: str) -> Scheme:
    return Scheme(reason=f"not quantised{why}", plain=True)


_PLAIN = _plain(" to FP8: runs as a plain 16-bit GEMM")
_PTPC = Scheme(per_token=True, per_channel=True)
_TWICE = Scheme(reason="vLLM refuses to load it: --quantization-config means it, and the checkpoint has quantised it")
_HEADS = tuple(Spellings((name,)) for name in ("lm_head", "language_model.lm_head"))
_CLASSES = (
    "ColumnParallelLinear",
    "MergedColumnParallelLinear",
    "QKVParallelLinear",
    "ReplicatedLinear",
    "RowParallelLinear",
)
"""vLLM's classes of linears, by which a group of compressed-tensors may find them."""


def of(whole: Fields, text: Fields, flags: ServerFlags, version: Version) -> Quantisation:
    """The quantisation of a checkpoint, or the online one that a flag asks for."""
    for fields in (whole, text):
        for field in ("quantization_config", "compression_config"):
            found = fields.nested(field)
            if found is not None:
                method = found.text("quant_method").lower().replace("_", "-")
                method = method or ("compressed-tensors" if field == "compression_config" else "")
                made = _FORMATS.get(method, _other)(found, version)
                if version < versions.ONLINE_OVER_CHECKPOINTS or not (flags.online_linear or flags.online_targets):
                    return made
                if method.startswith("modelopt") and not _is_mxfp8(found):
                    remedy = "which linears it leaves in 16 bit is not read: with --quantization-config name them"
                    found.refuse("quant_method", method, remedy)
                return made._replace(over=_online(flags._replace(quantization="online"), version))
    return _online(flags, version)


_OTHER_METHODS = {
    "fp8": "FP8 with block or per-tensor scales: runs other kernels",
    "fbgemm-fp8": "vLLM gives FBGEMM weights per-token scales: requires per channel weight scales.",
    "modelopt": "ModelOpt FP8: vLLM builds no per channel weight scales for it",
}


def _other(found: Fields, version: Version) -> Quantisation:
    """A method that never reaches HIPBMM."""
    method = found.text("quant_method").lower().replace("_", "-") or "an unnamed method"
    field = "ignored_layers" if found.texts("ignored_layers") else "modules_to_not_convert"
    ignored = NameList(f"{found.name}.{field}", found.texts(field), version)
    scheme = Scheme(reason=_OTHER_METHODS.get(method, f"quantised by {method}: runs other kernels"))
    if method in ("mxfp4", "gpt-oss-mxfp4"):
        scheme = _plain(": MXFP4 covers the experts only")
    if _is_mxfp8(found) and version >= versions.REQUANTISES_MXFP8:
        scheme = scheme._replace(plain=True)
    return Quantisation(method, lambda _: scheme, ignored)


def _is_mxfp8(found: Fields) -> bool:
    """Whether a checkpoint of ModelOpt's, or one in its format, has one scale per 32 values."""
    named = found.nested("quantization") or found
    return found.text("quant_method").lower() == "mxfp8" or "MXFP8" in named.text("quant_algo").upper()


def _compressed_tensors(found: Fields, version: Version) -> Quantisation:
    """Checkpoints of llm-compressor: groups of targets with a scheme each, and an ignore list.

    A group is found by the module's name, then by the names of its parts (the group of the first, where each has one),
    then by its class, as vLLM's `find_matched_target` does; until 0.26 the class came before the parts. A target of
    several groups has the scheme of the last. Names of types and strategies are read in any case, as compressed-tensors
    reads them.
    """
    last: dict[str, tuple[str, Scheme]] = {}
    for name, group in found.objects("config_groups").items():
        made = (f"{found.name}.config_groups.{name}.targets", _ct_scheme(group))
        last |= dict.fromkeys(group.texts("targets"), made)
    groups = []
    for (field, scheme), part in itertools.groupby(last, last.__getitem__):
        targets = tuple(part)
        groups.append((NameList(field, targets), _names_linears(field, targets), scheme))

    def named(spellings: Spellings) -> Scheme | None:
        return next((scheme for targets, _, scheme in groups if targets.has(spellings)), None)

    def covered(names: Names) -> Scheme:
        by_parts = [named(part) for part in names.parts]
        part = None if None in by_parts else by_parts[0]
        by_class = next((scheme for _, meant, scheme in groups if meant), None)
        ranked = (part, by_class) if version >= versions.PARTS_BEFORE_CLASS else (by_class, part)
        fitting = (scheme for scheme in (named(names.module), *ranked) if scheme is not None)
        return next(fitting, _plain(": no group of the checkpoint targets it"))

    ignored = NameList(f"{found.name}.ignore", found.texts("ignore"), version)
    head = any(named(name) == _PTPC and not ignored.has(name) for name in _HEADS)  # its class is none of linears
    return Quantisation("compressed-tensors", covered, ignored, head=head)


def _names_linears(field: str, targets: Sequence[str]) -> bool:
    """Whether targets mean every linear by its class: one is a part of the class's name, or a pattern for it.

    ConfigInvalid when they mean some classes only: what class each linear has is not known here.
    """
    patterns = NameList(field, (text for text in targets if text.startswith(REGEX)))
    parts = [text.lower() for text in targets if not text.startswith(REGEX)]
    meant = {
        name for name in _CLASSES if any(part in name.lower() for part in parts) or patterns.has(Spellings((name,)))
    }
    if meant and meant != set(_CLASSES):
        remedy = "a target must mean all of vLLM's classes of linears, or none"
        raise ConfigInvalid(field, ", ".join(sorted(meant)), remedy)
    return bool(meant)


def _ct_scheme(group: Fields) -> Scheme:
    weights, inputs = group.nested("weights"), group.nested("input_activations")
    if weights is None:
        return _plain(": its group has no weights scheme")
    kind = f"{weights.text('type').lower() or 'int'}{_bits(weights)}"
    grouped = "group" in weights.text("strategy").lower() or weights.raw("group_size") not in (None, -1)
    if kind.startswith("float") and kind != "float8" and not grouped:
        # vLLM 0.33.0 asks these weights' type and strategy and not their bits, and would load them as FP8.
        weights.refuse("num_bits", weights.raw("num_bits"), "weights of a float type have 8 bits, or groups")
    if kind != "float8":
        return Scheme(reason=f"weights are {kind}, not float8: runs other kernels")
    if inputs is None:
        return Scheme(reason="activations are not quantised (W8A16): runs other kernels")
    if inputs.text("type").lower() != "float" or _bits(inputs) != 8:  # noqa: PLR2004 - bits of FP8
        return Scheme(reason="activations are not float8: runs other kernels")
    strategy = weights.text("strategy").lower() or ("channel" if weights.raw("group_size") == -1 else "")
    if strategy == "block":
        return Scheme(reason="block scales: runs other kernels")
    # vLLM takes every dynamic activation scheme for one scale per token, whatever its strategy says.
    return Scheme(inputs.raw("dynamic") in (True, "local"), strategy == "channel")


def _bits(scheme: Fields) -> int:
    """The bits of a scheme of compressed-tensors, which takes a text of digits for a number."""
    given = scheme.raw("num_bits")
    found = 8 if given is None else whole(given)
    return scheme.refuse("num_bits", given, "must be an integer") if found is None else found


def _quark(found: Fields, version: Version) -> Quantisation:
    """Checkpoints of AMD Quark: one scheme for all layers, schemes by name pattern, and an exclude list.

    A pattern with `*` is a shell's; without one vLLM asks whether the name is part of the pattern (read in 0.33.0).
    """
    everything = found.nested("global_quant_config")
    rest = _plain(": no scheme of the checkpoint covers it")
    rest = rest if everything is None else _quark_scheme(everything, version)
    field = f"{found.name}.layer_quant_config"
    patterns = [
        (name, glob(name) if "*" in name else name.__contains__, _quark_scheme(each, version))
        for name, each in found.objects("layer_quant_config").items()
    ]

    def means(pattern: str, matches: Callable[[str], object], spellings: Spellings) -> bool:
        # Within another model vLLM maps how a pattern begins, and a name without `*` it maps as a whole.
        if spellings.alone or "*" not in pattern:
            return is_one(spellings, matches, field)
        return is_each(spellings.known, matches, field, pattern)

    def of_part(spellings: Spellings) -> Scheme:
        meant = (scheme for pattern, matches, scheme in patterns if means(pattern, matches, spellings))
        return next(meant, rest)

    def covered(names: Names) -> Scheme:
        schemes = {of_part(spellings) for spellings in names.parts}
        if len(schemes) > 1:
            return Scheme(reason=f"vLLM refuses to load it: {names.listed} have different schemes")
        return schemes.pop()

    excluded = NameList(f"{found.name}.exclude", found.texts("exclude"), version, quark=True)
    return Quantisation("quark", covered, excluded)


def _quark_scheme(config: Fields, version: Version) -> Scheme:
    """A per-token activation scale is `per_channel` with `is_dynamic` in Quark; 0.33 unwraps a list of one."""
    unwraps = version >= versions.ASKS_FUSED_NAMES
    weights, activations = config.only("weight", unwraps), config.only("input_tensors", unwraps)
    if weights is None or activations is None:
        return Scheme(reason="not one FP8 scheme for weights and one for activations: runs other kernels")
    if not weights.text("dtype") == activations.text("dtype") == "fp8_e4m3":
        return Scheme(reason="weights or activations are not fp8_e4m3: runs other kernels")
    per_channel, first = weights.text("qscheme") == "per_channel", versions.FIRST_QUARK_PER_CHANNEL
    if per_channel and version < first:
        words = f"vLLM {version} takes Quark's per channel weight scales for per token ones, {first} does not"
        return Scheme(reason=words)
    return Scheme(bool(activations.raw("is_dynamic")) and activations.text("qscheme") == "per_channel", per_channel)


_FORMATS = {"compressed-tensors": _compressed_tensors, "quark": _quark}
_OF_EXPERTS = ("int8-per-channel-weight-only", "nvfp4-per-token")
"""Methods of online quantisation that leave linears as they are."""

_ONLINE = ("online", "fp8-per-channel", "fp8-per-tensor", "fp8-per-block", "mxfp8", "mxfp4", *_OF_EXPERTS)
"""Values of --quantization with which vLLM reads --quantization-config as one of online quantisation."""


def _online(flags: ServerFlags, version: Version) -> Quantisation:
    """What a flag asks for: one method for all but an ignore list, or the method that a target's pattern names."""
    asked = flags.quantization.lower().replace("_", "-")
    if not asked:
        return Quantisation("none", lambda _: _PLAIN)
    if flags.online_targets and asked in _ONLINE:
        named = [
            (NameList("--quantization-config.targets", (name,), version, globs=True), method)
            for name, method in flags.online_targets
        ]

        def of_target(names: Names) -> Scheme:
            method = next((method for targets, method in named if targets.means(names) is not False), None)
            if method is None or method.replace("_", "-") in _OF_EXPERTS:
                return _PLAIN
            if method == "fp8_per_channel":
                return _PTPC
            return Scheme(reason=f"{method} has no per channel weight scales")

        return Quantisation("online", of_target)
    known = (*_ONLINE, "fp8") if version >= versions.ONLINE_OVER_CHECKPOINTS else _ONLINE
    method = flags.online_linear.lower().replace("_", "-").removesuffix("-static") if asked in known else ""
    method, scheme = method or asked, _PTPC
    if method in (NO_WEIGHT, *_OF_EXPERTS):
        scheme = _PLAIN
    elif method == "ptpc-fp8":
        scheme = Scheme(reason="ptpc_fp8 is gone since vLLM 0.22; use fp8_per_channel")
    elif method != "fp8-per-channel":
        scheme = Scheme(reason=f"--quantization {method} has no per channel weight scales")
    elif version < (first := versions.FIRST_ONLINE_PER_CHANNEL):
        scheme = Scheme(reason=f"--quantization fp8_per_channel needs vLLM {first}, this is {version}")
    ignored = NameList("--quantization-config.ignore", flags.ignore, version, globs=True)
    return Quantisation(method, lambda _: scheme, ignored)
