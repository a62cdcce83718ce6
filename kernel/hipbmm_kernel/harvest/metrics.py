"""Metrics in Prometheus' text format, version 0.0.4: written by hand, the serving image may have no client library."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
COUNTER = "counter"
GAUGE = "gauge"


class Metric(NamedTuple):
    """One metric family: samples are (labels, value)."""

    name: str
    kind: str
    text: str
    samples: tuple[tuple[Mapping[str, str], float], ...]


def plain(name: str, kind: str, text: str, value: float) -> Metric:
    """A family with one sample and no labels."""
    return Metric(name, kind, text, (({}, value),))


def labelled(name: str, kind: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """A family with one sample per value of one label."""
    return Metric(name, kind, text, tuple(({label: key}, value) for key, value in sorted(values.items())))


def render(metrics: Iterable[Metric]) -> bytes:
    """The exposition of all families."""
    lines = []
    for metric in metrics:
        lines.append(f"# HELP {metric.name} {metric.text}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        for labels, value in metric.samples:
            lines.append(f"{metric.name}{_labels(labels)} {_number(value)}")
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
