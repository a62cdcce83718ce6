"""Five minutes of a GitOps tool that applies the same manifest."""

import os
from pathlib import Path

import pytest
from tests.cluster.conftest import Cluster
from tests.cluster.gitops import nothing_is_written
from tests.cluster.test_scripts import Shell
from tests.cluster.world import World

SECONDS = float(os.environ.get("HIPBMM_SOAK_APPLY_SECONDS", "300"))


@pytest.mark.timeout(900)
def test_five_minutes_of_applying_the_same_cause_no_write(world: World, cluster: Cluster, tmp_path: Path) -> None:
    assert cluster.audit_log is not None, "counting API writes needs the API server's audit log"
    shell = Shell(cluster, world.namespace)
    rounds = nothing_is_written(world, shell, cluster.audit_log, tmp_path / "qwen.yaml", SECONDS)
    assert rounds > SECONDS / 10
