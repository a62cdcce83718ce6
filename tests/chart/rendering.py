"""The chart as `helm template` renders it."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from tests.chart.tools import CHART, run, tool

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = "hipbmm-operator"
NAMESPACE = "hipbmm-system"
KUBE_VERSION = "1.37.2"
MONITORING = ("monitoring.coreos.com/v1",)

Manifest = dict[str, Any]


class RenderError(Exception):
    """helm refused to render; the text is helm's own message."""


@dataclass(frozen=True)
class Rendering:
    """Objects of one rendering, with look-ups by kind and name."""

    text: str
    objects: tuple[Manifest, ...]

    def of_kind(self, kind: str) -> list[Manifest]:
        return [item for item in self.objects if item["kind"] == kind]

    def only(self, kind: str) -> Manifest:
        """The one object of a kind; fails when there is none or more than one."""
        (found,) = self.of_kind(kind)
        return found

    @property
    def pod(self) -> Manifest:
        """Pod template of the operator's Deployment."""
        template: Manifest = self.only("Deployment")["spec"]["template"]
        return template

    @property
    def container(self) -> Manifest:
        (container,) = self.pod["spec"]["containers"]
        found: Manifest = container
        return found


def variants() -> list[Path]:
    """Values files that every check is run with, beside the defaults."""
    return sorted((CHART / "ci").glob("*-values.yaml"))


def render(
    values: Manifest | None = None,
    *files: Path,
    release: str = RELEASE,
    namespace: str = NAMESPACE,
    api_versions: tuple[str, ...] = MONITORING,
    kube_version: str = KUBE_VERSION,
    tests: bool = True,
) -> Rendering:
    """Render the chart with values files and then `values`; raises RenderError with helm's message.

    `tests`: with the pod of `helm test`, which is in no installation but makes one more object here.
    """
    key = json.dumps(values or {}, sort_keys=True)
    return _render(key, files, release, namespace, api_versions, kube_version, tests)


@functools.cache
def _render(
    values: str,
    files: tuple[Path, ...],
    release: str,
    namespace: str,
    api_versions: tuple[str, ...],
    kube_version: str,
    tests: bool,
) -> Rendering:
    arguments = ["template", release, str(CHART), "--namespace", namespace, "--kube-version", kube_version]
    for file in files:
        arguments += ["--values", str(file)]
    for api_version in api_versions:
        arguments += ["--api-versions", api_version]
    arguments += [] if tests else ["--skip-tests"]
    # JSON is YAML: helm reads the values from standard input.
    done = run(tool("helm"), *arguments, "--values", "-", stdin=values)
    if done.returncode != 0:
        raise RenderError(done.stderr)
    objects = tuple(item for item in yaml.safe_load_all(done.stdout) if item)
    return Rendering(done.stdout, objects)
