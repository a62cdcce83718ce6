"""Metrics of resources and profiles, from their status, made when they are asked for: they never outlive an object.

A gauge object for each sample would cost 12,000 of them for 1,000 resources.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import NamespacedName, as_object, as_objects, object_at

Families = Mapping[str, tuple[str, tuple[str, ...]]]
"""By name of a metric its text, and its labels beside namespace and name."""
Sample = tuple[str, tuple[str, ...], float]
"""Name of a metric, values of its labels, value."""

RESOURCE: Families = {
    "hipbmm_deployment_info": (
        "What each HipbmmDeployment serves, and on what.",
        ("model", "image", "product", "arch", "stack", "source", "phase"),
    ),
    "hipbmm_deployment_condition": ("Conditions of each HipbmmDeployment: 1 True, 0 False, -1 Unknown.", ("type",)),
    "hipbmm_tuning_problems": ("Problems of each HipbmmDeployment by state.", ("state",)),
    "hipbmm_tuning_duration_seconds": ("How long tuning took in the pod that tuned.", ()),
    "hipbmm_tuning_wanted": ("0 if the spec switches tuning or HIPBMM off, else 1.", ()),
}
PROFILE: Families = {
    "hipbmm_profile_condition": ("Conditions of each HipbmmProfile: 1 True, 0 False, -1 Unknown.", ("type",)),
    "hipbmm_profile_pods": ("Pods that ask for each HipbmmProfile, by state.", ("state",)),
}
_VALUE = {"True": 1, "False": 0, "Unknown": -1}


class StatusMetrics(Collector):
    """Samples of each object, as its spec and its status give them. Written and collected by one thread."""

    def __init__(self, families: Families, samples: Callable[[Json, Json], Iterable[Sample]]) -> None:
        self._families = families
        self._samples = samples
        self.shown: Callable[[], bool] = lambda: True
        """Whether there are samples at all now."""
        self._held: dict[NamespacedName, tuple[Sample, ...]] = {}

    def show(self, key: NamespacedName, spec: Json, status: Json) -> None:
        """Show an object as its status says, until it is withdrawn. The spec may be one that cannot be used."""
        self._held[key] = tuple(self._samples(spec, status))

    def withdraw(self, key: NamespacedName) -> None:
        """The object is gone: so are its metrics."""
        self._held.pop(key, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All samples."""
        families = {
            name: GaugeMetricFamily(name, text, labels=["namespace", "name", *labels])
            for name, (text, labels) in self._families.items()
        }
        for key, samples in self._held.items() if self.shown() else ():
            for name, labels, value in samples:
                families[name].add_metric([*key, *labels], value)
        yield from families.values()


def of_resource(spec: Json, status: Json) -> Iterator[Sample]:
    """The samples of RESOURCE; what is not known is empty or 0."""
    hardware, tuning = as_object(status.get("hardware")), as_object(status.get("tuning"))
    info = (
        object_at(spec, "model").get("name"),
        spec.get("image"),
        hardware.get("product"),
        hardware.get("arch"),
        tuning.get("key"),
        tuning.get("source"),
        status.get("phase"),
    )
    yield "hipbmm_deployment_info", tuple(str(value or "") for value in info), 1
    yield from _conditions("hipbmm_deployment_condition", status)
    for state in ("problems", "tuned", "failed"):
        yield "hipbmm_tuning_problems", (state,), tuning.get(state) or 0
    yield "hipbmm_tuning_duration_seconds", (), tuning.get("seconds") or 0
    off = object_at(spec, "tuning").get("enabled") is False or tuning.get("state") == "Disabled"
    yield "hipbmm_tuning_wanted", (), int(not off)


def of_profile(spec: Json, status: Json) -> Iterator[Sample]:
    """The samples of PROFILE. Pods that are plain because the spec wants them so are `suspended`."""
    yield from _conditions("hipbmm_profile_condition", status)
    pods = as_object(status.get("pods"))
    injected = pods.get("injected", 0)
    plain = "suspended" if spec.get("suspend") is True else "plain"
    counts = {"injected": injected, plain: pods.get("matched", 0) - injected, "warm": pods.get("warm", 0)}
    for state, count in counts.items():
        yield "hipbmm_profile_pods", (state,), count


def _conditions(name: str, status: Json) -> Iterator[Sample]:
    for each in as_objects(status.get("conditions")):
        yield name, (each["type"],), _VALUE[each["status"]]
