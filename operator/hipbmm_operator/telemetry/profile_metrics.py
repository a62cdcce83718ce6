"""Metrics of the profiles, from their status, made when they are asked for: they never outlive a profile."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from hipbmm_operator.kube.metadata import as_object, as_objects
from hipbmm_operator.kube.namespaced_name import NamespacedName

_VALUE = {"True": 1, "False": 0, "Unknown": -1}
_NAMED = ("namespace", "name")


class Profiles(Collector):
    """What each profile's status says. Written by one thread, collected by any."""

    def __init__(self) -> None:
        self._shown: dict[NamespacedName, tuple[Mapping[str, Any], bool]] = {}
        self._lock = threading.Lock()

    def show(self, key: NamespacedName, status: Mapping[str, Any], *, suspended: bool) -> None:
        """Show a profile as its status says, until it is withdrawn. `suspended`: its spec wants the pods plain."""
        with self._lock:
            self._shown[key] = status, suspended

    def withdraw(self, key: NamespacedName) -> None:
        """The profile is gone: so are its metrics."""
        with self._lock:
            self._shown.pop(key, None)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The metrics without samples."""
        yield from self._families()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All samples."""
        with self._lock:
            shown = dict(self._shown)
        conditions, pods = self._families()
        for key, (status, suspended) in shown.items():
            for each in as_objects(status.get("conditions")):
                conditions.add_metric([*key, each["type"]], _VALUE[each["status"]])
            counts = as_object(status.get("pods"))
            matched, injected = counts.get("matched", 0), counts.get("injected", 0)
            for state, count in (
                ("injected", injected),
                ("suspended" if suspended else "plain", matched - injected),
                ("warm", counts.get("warm", 0)),
            ):
                pods.add_metric([*key, state], count)
        yield from (conditions, pods)

    @staticmethod
    def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily(
                "hipbmm_profile_condition",
                "Conditions of each HipbmmProfile: 1 True, 0 False, -1 Unknown.",
                labels=[*_NAMED, "type"],
            ),
            GaugeMetricFamily(
                "hipbmm_profile_pods", "Pods that ask for each HipbmmProfile, by state.", labels=[*_NAMED, "state"]
            ),
        )
