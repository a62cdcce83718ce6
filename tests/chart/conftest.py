"""Fixtures of the chart tests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.chart.cluster import INSTANCE, Cluster
from tests.chart.tools import localkube

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def monitoring_crds() -> list[dict[str, Any]]:
    """CRDs of the Prometheus operator, from its pinned Go module."""
    module = "github.com/prometheus-operator/prometheus-operator"
    command = ["go", "mod", "download", "-json", module]
    done = subprocess.run(command, check=True, cwd=HERE / "monitoring", stdout=subprocess.PIPE, text=True)
    folder = Path(json.loads(done.stdout)["Dir"]) / "example" / "prometheus-operator-crd"
    names = ("servicemonitors", "podmonitors", "prometheusrules")
    return [yaml.safe_load((folder / f"monitoring.coreos.com_{name}.yaml").read_text()) for name in names]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """An API server of our own: the tests install and delete the CRD, which no other test and no user must meet."""
    localkube("down", "--name", INSTANCE)  # what a killed run left behind would be there, too
    localkube("up", "--profile", "control-plane", "--name", INSTANCE)
    try:
        yield Cluster(localkube("kubeconfig", "--name", INSTANCE))
    finally:
        localkube("down", "--name", INSTANCE)
