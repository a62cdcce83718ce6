"""Argo CD and Flux: the same manifest again and again. `make soak` does it for five minutes."""

from pathlib import Path

import pytest
from tests.cluster.conftest import Cluster
from tests.cluster.gitops import nothing_is_written
from tests.cluster.test_scripts import Shell
from tests.cluster.world import World


def test_a_manifest_that_is_applied_again_and_again_causes_no_write(
    world: World, cluster: Cluster, tmp_path: Path
) -> None:
    if cluster.audit_log is None:
        pytest.skip("counting API writes needs the API server's audit log")
    shell = Shell(cluster, world.namespace)
    assert nothing_is_written(world, shell, cluster.audit_log, tmp_path / "qwen.yaml", 15) > 3
