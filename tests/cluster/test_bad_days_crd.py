"""A CRD that is older or newer than the operator: it works, and says so until both are of one age."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.cluster.api import Api, ApiStatusError, until
from tests.cluster.badday import heals
from tests.cluster.conftest import CRD
from tests.cluster.world import World

from hipbmm_operator.kube.kinds import HIPBMM_DEPLOYMENT, Kind

Json = dict[str, Any]
KIND = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)


class Installed:
    """The CRD in the cluster."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def apply(self, body: Json) -> None:
        self._api.apply(KIND, body)

    def original(self) -> Json:
        return dict(yaml.safe_load(CRD.read_text()))

    def changed(self) -> tuple[Json, Json]:
        """A CRD to change, and the properties of its status and spec."""
        body = self.original()
        return body, body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


@pytest.fixture
def crd(api: Api) -> Iterator[Installed]:
    """The CRD; put back afterwards."""
    found = Installed(api)
    yield found
    found.apply(found.original())


def stored(world: World, status: Json) -> Json:
    """The status that the API server would keep after such a write; empty when it refuses that."""
    path = HIPBMM_DEPLOYMENT.path(world.namespace, world.name, "status")
    merge = "application/merge-patch+json"
    try:
        return dict(world.api.request("PATCH", path, {"status": status}, {"dryRun": "All"}, merge)["status"])
    except ApiStatusError:
        return {}


def test_an_older_crd_drops_fields_of_the_status(world: World, crd: Installed) -> None:
    body, properties = crd.changed()
    del properties["status"]["properties"]["warm"]
    crd.apply(body)
    world.create()
    until("the older CRD to be in force", lambda: "warm" not in stored(world, {"warm": "0/1"}))
    world.recover(1)
    found = world.becomes("ConfigValid", "False", "OutdatedCRD")
    assert "status.warm" in found["message"]
    world.shows(Ready="AllReplicasWarm", warm=None)
    crd.apply(crd.original())
    world.shows(ConfigValid="Valid", warm="1/1")


def test_an_older_crd_refuses_a_value_of_the_status(world: World, crd: Installed) -> None:
    body, properties = crd.changed()
    properties["status"]["properties"]["phase"]["enum"].remove("Running")
    crd.apply(body)
    world.create()
    until("the older CRD to be in force", lambda: not stored(world, {"phase": "Running"}))
    world.recover(1)
    found = world.becomes("ConfigValid", "False", "OutdatedCRD")
    assert "status.phase" in found["message"]
    assert '"Running"' in found["message"]
    status = world.shows(Ready="True", ConfigValid="OutdatedCRD")
    assert status["phase"] != "Running"
    crd.apply(crd.original())
    world.shows(ConfigValid="Valid", phase="Running")


def test_a_newer_crd_takes_fields_that_the_operator_does_not_know(world: World, crd: Installed) -> None:
    body, properties = crd.changed()
    properties["spec"]["properties"]["quantum"] = {"type": "string"}
    crd.apply(body)

    world.create()
    tries = itertools.count()

    def told() -> Json | None:
        """A change that is seen by a watch of before the new CRD does not show the field."""
        world.change({"quantum": f"q{next(tries)}"})
        found = world.condition("ConfigValid")
        return found if found.get("reason") == "UnknownField" else None

    found = until("the field to be told", told)
    assert found["status"] == "False"
    assert "spec.quantum" in found["message"]
    world.recover(1)
    world.becomes("Ready", "True", "AllReplicasWarm")
    template = world.deployment()["spec"]["template"]
    world.change({"quantum": None})
    world.becomes("ConfigValid", "True", "Valid")
    assert world.deployment()["spec"]["template"] == template
    heals(world)
