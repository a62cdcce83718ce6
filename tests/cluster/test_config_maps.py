"""The content of ConfigMaps that the spec refers to: a repair reaches the pods."""

from typing import Any

import pytest
from tests.cluster.api import until
from tests.cluster.kubelet import report
from tests.cluster.test_rollouts import new_pods
from tests.cluster.world import World

from hipbmm_operator.kube import kinds

Json = dict[str, Any]


@pytest.mark.timeout(400)
def test_a_repaired_config_json_heals(world: World) -> None:
    metadata = {"name": "config", "namespace": world.namespace}
    world.api.create(kinds.CONFIG_MAP, {"metadata": metadata, "data": {"config.json": "{"}})
    world.create(model={"name": "m", "configMapRef": {"name": "config"}})
    wrong = report(state="NoPlan", reason="ConfigInvalid", message="config.json: not JSON", problems=0, tuned=0)
    world.serve(1, wrong)
    assert world.becomes("ConfigValid", "False")["reason"] == "ConfigInvalid"
    (old,) = world.scheduled(1)
    first = world.status()["revision"]["current"]
    world.api.merge(kinds.CONFIG_MAP, world.namespace, "config", {"data": {"config.json": "{}"}})
    (new,) = until("a pod that reads it", lambda: new_pods(world, [old]), 120)
    world.kubelet.serving(new, report())
    # Ready was True before, for a pod that served untuned: the reason is what changes.
    assert world.becomes("Ready", "True", "AllReplicasWarm")
    assert world.becomes("ConfigValid", "True")
    assert world.status()["revision"]["current"] != first
    assert not world.status()["revision"]["outdated"]
