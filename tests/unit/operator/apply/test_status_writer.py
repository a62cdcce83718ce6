"""The status is written when it differs, whole where the CRD lets it."""

import copy
from typing import Any

import pytest
from tests.unit.operator.fakekube import FakeKube
from tests.unit.operator.make import Json, resource

from hipbmm_operator.api.resource import Resource, parse
from hipbmm_operator.apply.status_writer import StatusWriter
from hipbmm_operator.kube import errors
from hipbmm_operator.kube.kinds import HIPBMM_DEPLOYMENT, Kind

AT = (HIPBMM_DEPLOYMENT, "ns", "qwen")
READY: Json = {
    "type": "Ready",
    "status": "True",
    "reason": "AllReplicasWarm",
    "message": "m",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-11-23T12:00:00Z",
}
STATUS: Json = {"phase": "Running", "replicas": 1, "cache": {"mirror": "m"}, "conditions": [READY]}


class OldCrd(FakeKube):
    """A CRD that drops a field of the status, or refuses a value of one."""

    drops = refuses = ""

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Json, subresource: str = "") -> Json:
        if self.refuses in patch["status"] and self.refuses:
            raise errors.InvalidError(422, "Invalid", f"status.{self.refuses}: Unsupported value")
        patch = {**patch, "status": {key: value for key, value in patch["status"].items() if key != self.drops}}
        return await super().merge(kind, namespace, name, patch, subresource)


class Case:
    """One status writer, with a clock that the test moves."""

    def __init__(self) -> None:
        self.kube, self.clock = OldCrd(), 0.0
        self.kube.objects[AT] = {"metadata": {"name": "qwen", "namespace": "ns", "uid": "uid-1"}}
        self.writer = StatusWriter(self.kube, lambda *_: None, lambda: self.clock, 60.0)  # type: ignore[arg-type]

    async def write(self, status: Json, at: tuple[Kind, str, str] = AT) -> bool:
        return await self.store(parse(self.kube.objects[at]), status)

    async def store(self, resource: Resource, status: Json) -> bool:
        return await self.writer.store(resource.meta, resource.raw_status, status)

    def stored(self) -> Any:  # noqa: ANN401
        return self.kube.objects[AT]["status"]


async def test_a_status_is_written_once() -> None:
    case = Case()
    assert await case.write(STATUS)
    assert case.stored() == STATUS
    assert not await case.write(STATUS)
    assert [kind for _, kind, _ in case.kube.writes] == ["HipbmmDeployment"]


async def test_what_a_status_that_was_out_of_date_hid_is_written_with_the_next() -> None:
    case = Case()
    await case.write(STATUS)
    old = parse(copy.deepcopy(case.kube.objects[AT]))
    await case.write(STATUS | {"phase": "Degraded", "replicas": 0})
    wanted = STATUS | {"cache": {"mirror": "another"}}
    assert await case.store(old, wanted)
    assert (case.stored()["phase"], case.writer.dropped) == ("Degraded", ""), "the patch was made from the old one"
    assert await case.write(wanted)
    assert case.stored() == wanted
    assert not await case.write(wanted)


async def test_a_crd_that_drops_a_field_is_not_written_to_again_and_again() -> None:
    case = Case()
    case.kube.drops = "cache"
    assert await case.write(STATUS)
    assert case.writer.dropped == "status.cache"
    assert not await case.write(STATUS)
    case.clock += 61
    case.kube.drops = ""
    assert await case.write(STATUS)
    assert (case.writer.dropped, case.stored()) == ("", STATUS)


async def test_what_one_resource_has_shown_of_the_crd_counts_until_the_same_one_shows_otherwise() -> None:
    """A status without the field says nothing: by each of them all resources would be reported as well again."""
    case, other = Case(), (HIPBMM_DEPLOYMENT, "ns", "other")
    case.kube.objects[other] = {"metadata": {"name": "other", "namespace": "ns", "uid": "uid-2"}}
    case.kube.drops = "cache"
    without = {key: value for key, value in STATUS.items() if key != "cache"}
    await case.write(STATUS)
    case.clock += 61
    for replicas in (1, 2, 2):
        await case.write(without | {"replicas": replicas}, other)
        assert case.writer.dropped == "status.cache"
    assert await case.write(STATUS)
    assert not await case.write(without)
    assert case.writer.dropped == ""


async def test_a_resource_that_is_gone_shows_nothing_of_the_crd_any_more() -> None:
    case = Case()
    case.kube.drops = "cache"
    await case.write(STATUS)
    case.writer.forget("uid-2")
    assert case.writer.dropped == "status.cache"
    case.writer.forget("uid-1")
    assert case.writer.dropped == ""


async def test_a_value_that_is_refused_does_not_keep_the_rest_back() -> None:
    case = Case()
    case.kube.refuses = "phase"
    case.kube.objects[AT]["status"] = {"phase": "Pending"}
    assert await case.write(STATUS)
    assert case.stored() == STATUS | {"phase": "Pending"}
    assert "status.phase" in case.writer.dropped


async def test_a_refusal_that_names_no_field_is_an_error() -> None:
    case = Case()
    case.kube.refuses = "conditions"
    with pytest.raises(errors.InvalidError):
        await case.write(STATUS)


async def test_a_new_resource_of_the_name_is_written_to_as_a_new_one() -> None:
    case = Case()
    await case.write(STATUS)
    case.writer.forget("uid-1")
    case.kube.objects[AT] = {"metadata": {"name": "qwen", "namespace": "ns", "uid": "uid-2"}}
    assert await case.write(STATUS)
    assert resource().meta.uid != case.kube.objects[AT]["metadata"]["uid"]
