"""A config or a token, in a ConfigMap or Secret of the user's, that cannot be used: a repair reaches the pods."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.api import Api, until
from tests.cluster.conftest import OPERATOR_USER
from tests.cluster.kubelet import Kubelet, report
from tests.cluster.operator_process import NAMESPACE
from tests.cluster.test_rollouts import new_pods
from tests.cluster.world import World

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import Kind

Json = dict[str, Any]


@pytest.fixture
def second(api: Api, kubelet: Kubelet, world: World) -> Iterator[World]:
    """Another namespace: what takes a minute in both takes it once."""
    name = f"{world.namespace}-second"
    api.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    found = World(api, kubelet, name)
    yield found
    found.clean()
    api.delete(NAMESPACE, "", name)


def let_the_operator_read_secrets(world: World) -> None:
    """The chart's rbac.secrets, here for one namespace."""
    role = {"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}
    group = "rbac.authorization.k8s.io"
    subjects = [{"kind": "User", "apiGroup": group, "name": OPERATOR_USER}]
    binding = {"roleRef": {"apiGroup": group, "kind": "Role", "name": "secrets"}, "subjects": subjects}
    for plural, kind, body in (("roles", "Role", role), ("rolebindings", "RoleBinding", binding)):
        of = Kind(group, "v1", plural, kind)
        metadata = {"name": "secrets", "namespace": world.namespace}
        world.api.create(of, {"apiVersion": of.api_version, "kind": kind, "metadata": metadata, **body})


def untuned(world: World, reason: str, message: str) -> tuple[Json, str]:
    """The pod that serves without a plan for this reason, and its revision."""
    world.serve(1, report(state="NoPlan", reason=reason, message=message, problems=0, tuned=0))
    world.becomes("ConfigValid", "False", reason)
    (pod,) = world.scheduled(1)
    return pod, world.until("a revision", lambda status: bool(status["revision"]["current"]))["revision"]["current"]


def replaced(world: World, old: Json) -> None:
    """A pod that reads what was repaired comes, and the old one goes."""
    (new,) = until("a pod that reads it", lambda: new_pods(world, [old]))
    world.kubelet.serving(new, report())
    # Ready was True before, for a pod that served untuned: the reason is what changes.
    status = world.shows(Ready="AllReplicasWarm", ConfigValid="True")
    assert not status["revision"]["outdated"]


def test_a_repaired_config_json_and_a_renewed_secret_replace_the_pods(world: World, second: World) -> None:
    metadata = {"name": "config", "namespace": world.namespace}
    world.api.create(kinds.CONFIG_MAP, {"metadata": metadata, "data": {"config.json": "{"}})
    world.create(model={"name": "m", "configMapRef": {"name": "config"}})
    let_the_operator_read_secrets(second)
    metadata = {"name": "hf", "namespace": second.namespace}
    second.api.create(kinds.SECRET, {"metadata": metadata, "stringData": {"HF_TOKEN": "expired"}})
    second.create(model={"name": "m", "tokenSecretRef": {"name": "hf"}})
    misread, first = untuned(world, "ConfigInvalid", "config.json: not JSON")
    refused, former = untuned(second, "ConfigMissing", "401 Unauthorized")

    world.api.merge(kinds.CONFIG_MAP, world.namespace, "config", {"data": {"config.json": "{}"}})
    second.api.merge(kinds.SECRET, second.namespace, "hf", {"stringData": {"HF_TOKEN": "renewed"}})
    for each, old, revision in ((world, misread, first), (second, refused, former)):
        replaced(each, old)
        assert each.status()["revision"]["current"] != revision
    assert "renewed" not in str(second.deployment())
