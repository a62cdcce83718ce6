"""A config or a token, in a ConfigMap or Secret of the user's, that cannot be used: a repair reaches the pods."""

from typing import Any

from tests.cluster.api import until
from tests.cluster.conftest import OPERATOR_USER
from tests.cluster.kubelet import report
from tests.cluster.test_rollouts import new_pods
from tests.cluster.world import World

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import Kind

Json = dict[str, Any]


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


def test_a_changed_secret_replaces_the_pods_where_the_operator_may_read_it(world: World) -> None:
    """The chart's rbac.secrets, here for one namespace."""
    role = {"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}
    group = "rbac.authorization.k8s.io"
    subjects = [{"kind": "User", "apiGroup": group, "name": OPERATOR_USER}]
    binding = {"roleRef": {"apiGroup": group, "kind": "Role", "name": "secrets"}, "subjects": subjects}
    for plural, kind, body in (("roles", "Role", role), ("rolebindings", "RoleBinding", binding)):
        of = Kind(group, "v1", plural, kind)
        metadata = {"name": "secrets", "namespace": world.namespace}
        world.api.create(of, {"apiVersion": of.api_version, "kind": kind, "metadata": metadata, **body})
    metadata = {"name": "hf", "namespace": world.namespace}
    world.api.create(kinds.SECRET, {"metadata": metadata, "stringData": {"HF_TOKEN": "expired"}})
    world.create(model={"name": "m", "tokenSecretRef": {"name": "hf"}})
    world.serve(1, report(state="NoPlan", reason="ConfigMissing", message="401 Unauthorized", problems=0, tuned=0))
    world.becomes("ConfigValid", "False", "ConfigMissing")
    (old,) = world.scheduled(1)
    world.api.merge(kinds.SECRET, world.namespace, "hf", {"stringData": {"HF_TOKEN": "renewed"}})
    (new,) = until("a pod that reads it", lambda: new_pods(world, [old]), 120)
    world.kubelet.serving(new, report())
    assert world.becomes("Ready", "True", "AllReplicasWarm")
    assert "renewed" not in str(world.deployment())
