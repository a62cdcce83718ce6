"""Metrics of the resources, from their status, made when they are asked for: they never outlive a resource.

A gauge object for each sample would cost 12,000 of them for 1,000 resources.
"""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from hipbmm_operator.kube.metadata import as_object
from hipbmm_operator.kube.namespaced_name import NamespacedName

_VALUE = {"True": 1, "False": 0, "Unknown": -1}
_STATES = ("problems", "tuned", "failed")
_NAMED = ("namespace", "name")
_INFO = ("model", "image", "product", "arch", "stack", "source", "phase")
_FAMILIES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "info": ("hipbmm_deployment_info", "What each HipbmmDeployment serves, and on what.", _INFO),
    "condition": (
        "hipbmm_deployment_condition",
        "Conditions of each HipbmmDeployment: 1 True, 0 False, -1 Unknown.",
        ("type",),
    ),
    "problems": ("hipbmm_tuning_problems", "Problems of each HipbmmDeployment by state.", ("state",)),
    "seconds": ("hipbmm_tuning_duration_seconds", "How long tuning took in the pod that tuned.", ()),
    "wanted": ("hipbmm_tuning_wanted", "0 if the spec switches tuning or HIPBMM off, else 1.", ()),
}
"""Name, text, and labels beside namespace and name."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """What is shown of one resource."""

    info: tuple[str, ...]
    conditions: tuple[tuple[str, int], ...]
    problems: tuple[int, ...]
    seconds: float
    wanted: int


class Resources(Collector):
    """What each resource's status says. Written by one thread, collected by any."""

    def __init__(self) -> None:
        self._samples: dict[NamespacedName, _Sample] = {}
        self._lock = threading.Lock()

    def show(self, key: NamespacedName, spec: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Show a resource as its status says, until it is withdrawn."""
        tuning = as_object(status.get("tuning"))
        sample = _Sample(
            info=_info(spec, status),
            conditions=tuple((entry["type"], _VALUE[entry["status"]]) for entry in status["conditions"]),
            problems=tuple(tuning.get(state) or 0 for state in _STATES),
            seconds=tuning.get("seconds") or 0.0,
            wanted=int(tuning.get("state") != "Disabled"),
        )
        with self._lock:
            self._samples[key] = sample

    def withdraw(self, key: NamespacedName) -> None:
        """The resource is gone: so are its metrics."""
        with self._lock:
            self._samples.pop(key, None)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The metrics without samples."""
        yield from self._families().values()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All samples."""
        with self._lock:
            samples = dict(self._samples)
        families = self._families()
        for key, sample in samples.items():
            families["info"].add_metric([*key, *sample.info], 1)
            for kind, value in sample.conditions:
                families["condition"].add_metric([*key, kind], value)
            for state, count in zip(_STATES, sample.problems, strict=True):
                families["problems"].add_metric([*key, state], count)
            families["seconds"].add_metric([*key], sample.seconds)
            families["wanted"].add_metric([*key], sample.wanted)
        yield from families.values()

    @staticmethod
    def _families() -> dict[str, GaugeMetricFamily]:
        return {
            key: GaugeMetricFamily(name, text, labels=[*_NAMED, *labels])
            for key, (name, text, labels) in _FAMILIES.items()
        }


def _info(spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[str, ...]:
    """Label values in the order of _INFO; what is not known is empty. The spec may be one that cannot be used."""
    model = spec.get("model")
    hardware, tuning = as_object(status.get("hardware")), as_object(status.get("tuning"))
    values = (
        model.get("name") if isinstance(model, dict) else None,
        spec.get("image"),
        hardware.get("product"),
        hardware.get("arch"),
        tuning.get("key"),
        tuning.get("source"),
        status.get("phase"),
    )
    return tuple(str(value or "") for value in values)
