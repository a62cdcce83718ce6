"""The labels of AMD's node labeller, read so that stale ones do no harm.

The labeller (ROCm/k8s-device-plugin ``cmd/k8s-node-labeller``) writes a *counted* kind K as
``beta.amd.com/gpu.K.<value>: "<count>"`` always, ``amd.com/gpu.K: <value>`` and ``beta.amd.com/gpu.K: <value>`` when
the node has one value, and ``amd.com/gpu.K.<value>: "<count>"`` when it has several. Its clean-up forgets keys with a
value in them, so next to a singular key they prove nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from hipbmm_operator.detect.catalogue.partitions import mode_of_profile
from hipbmm_operator.detect.catalogue.products import device_id
from hipbmm_operator.detect.sources.keys import (
    BETA_PREFIX,
    PARTITION_KEYS,
    PASSTHROUGH_PREFIX,
    PLAIN_PREFIX,
    UNHEALTHY_PREFIX,
)
from hipbmm_operator.detect.sources.values import count

T = TypeVar("T")

_PASSTHROUGH_SUFFIX: Final = ".driver"
_PASSTHROUGH_VALUE: Final = "passthrough"
_KINDS: Final = frozenset({"device-id", "product-name", "vram", "cu-count", "mode"})
_MODE_KEYS: Final = ("amd.com/mode", "beta.amd.com/mode")


@dataclass(slots=True)
class _Counted:
    """All keys of one kind: the two singular values, and the larger count of each value that is part of a key."""

    plain: str | None = None
    beta: str | None = None
    suffixed: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabellerLabels:
    """The labeller's labels of one node. ``present`` is true when there is any, of whatever kind."""

    present: bool
    kinds: Mapping[str, _Counted]

    def values(self, kind: str, parse: Callable[[str], T | None]) -> frozenset[T]:
        """The singular value of a kind, else the singular beta one, else those in keys with a count above 0."""
        counted = self.kinds[kind]
        for singular in (counted.plain, counted.beta):
            value = None if singular is None else parse(singular)
            if value is not None:
                return frozenset((value,))
        parsed = (parse(suffix) for suffix, number in counted.suffixed.items() if number > 0)
        return frozenset(value for value in parsed if value is not None)

    def count(self, kind: str, parse: Callable[[str], T | None]) -> int:
        """How many GPUs or devices the trusted values of a kind were counted on; 0 when there is no count."""
        trusted = self.values(kind, parse)
        counts = self.kinds[kind].suffixed.items()
        return sum(number for suffix, number in counts if parse(suffix) in trusted)

    def rejected_ids(self) -> tuple[str, ...]:
        """Values of ``device-id`` that are no device id, sorted."""
        counted = self.kinds["device-id"]
        written = {value for value in (counted.plain, counted.beta, *counted.suffixed) if value}
        return tuple(sorted(value for value in written if device_id(value) is None))


def labeller_labels(labels: Mapping[str, str]) -> LabellerLabels:
    """Sort the labels of a node by kind."""
    kinds = {kind: _Counted() for kind in _KINDS}
    theirs = [label for label in labels if label.startswith((PLAIN_PREFIX, BETA_PREFIX))]
    for label in theirs:
        beta, value = label.startswith(BETA_PREFIX), labels[label]
        kind, in_key, suffix = label.removeprefix(BETA_PREFIX if beta else PLAIN_PREFIX).partition(".")
        counted = kinds.get(kind)
        if counted is None:
            continue
        if in_key:
            counted.suffixed[suffix] = max(counted.suffixed.get(suffix, 0), count(value))
        elif beta:
            counted.beta = value
        else:
            counted.plain = value
    return LabellerLabels(bool(theirs), kinds)


def whole_gib(written: str) -> int | None:
    """192 for the memory label ``192G``; None when it is not one."""
    number = count(written.removesuffix("G")) if written.endswith("G") else 0
    return number or None


def non_empty(written: str) -> str | None:
    """The text without blanks around it; None when nothing is left."""
    return written.strip() or None


def positive(written: str) -> int | None:
    """A count above 0, or None."""
    return count(written) or None


def labelled_mode(labels: Mapping[str, str]) -> str | None:
    """The mode that a label of the compute and memory partition names; None when there is none."""
    modes = (mode_of_profile(labels.get(key, "")) for key in PARTITION_KEYS)
    return next((mode for mode in modes if mode is not None), None)


def passthrough_labels(labels: Mapping[str, str], labeller: LabellerLabels) -> tuple[str, ...]:
    """What says that the GPUs are handed to virtual machines, as ``key=value`` texts, sorted."""
    found = {f"gpu.mode={mode}" for mode in labeller.values("mode", non_empty) if _passthrough(mode)}
    found |= {f"{key}={labels[key]}" for key in _MODE_KEYS if _passthrough(labels.get(key, ""))}
    found |= {
        f"{key}={value}"
        for key, value in labels.items()
        if key.startswith(PASSTHROUGH_PREFIX) and key.endswith(_PASSTHROUGH_SUFFIX) and _passthrough(value)
    }
    return tuple(sorted(found))


def _passthrough(written: str) -> bool:
    return written.strip().lower().endswith(_PASSTHROUGH_VALUE)


def unhealthy_gpus(labels: Mapping[str, str]) -> int:
    """GPUs that the metrics exporter marks unhealthy (gpu-operator ``docs/metrics/health.md``)."""
    return sum(
        key.startswith(UNHEALTHY_PREFIX) and key.endswith(".state") and value.lower() == "unhealthy"
        for key, value in labels.items()
    )
