"""The ServiceMonitor is read only for a resource that has to do with one."""

from typing import NoReturn

from tests.unit.operator.fakekube import FakeKube
from tests.unit.operator.make import resource, typed

from hipbmm_operator.kube import errors, names
from hipbmm_operator.kube.kinds import SERVICE_MONITOR
from hipbmm_operator.observe import parse
from hipbmm_operator.observe.observed import ServiceMonitorState
from hipbmm_operator.observe.observer import service_monitor

OWNER = resource().meta
PLAIN = typed(resource())
ASKS = typed(resource({"service": {"monitor": {"enabled": True}}}))
BODY = {"metadata": {"name": "qwen", "namespace": "ns", "uid": "uid-m"}, "spec": {"endpoints": []}}
NOTED = parse.child({"metadata": {"annotations": {names.ANNOTATION_MONITORED: "true"}}})


class Unserved(FakeKube):
    """A cluster without the Prometheus operator: an unknown kind is answered in plain text."""

    async def get(self, *_: object) -> NoReturn:
        raise errors.NotFoundError(404, "", "404 page not found")


async def test_nothing_is_asked_for_a_resource_without_one() -> None:
    kube = FakeKube()
    for spec in (None, PLAIN):
        found = await service_monitor(kube, OWNER, spec, None)  # type: ignore[arg-type]  # the part that is used
        assert found == ServiceMonitorState()
    assert kube.reads == []


async def test_one_that_is_asked_for_or_was_is_read() -> None:
    kube = FakeKube()
    kube.objects[SERVICE_MONITOR, "ns", "qwen"] = BODY
    for spec, service in ((ASKS, None), (PLAIN, NOTED)):
        found = await service_monitor(kube, OWNER, spec, service)  # type: ignore[arg-type]
        assert found.live is not None
        assert (found.live.meta.uid, found.served, found.again) == ("uid-m", True, None)


async def test_one_that_is_not_there_is_none() -> None:
    found = await service_monitor(FakeKube(), OWNER, ASKS, None)  # type: ignore[arg-type]
    assert found == ServiceMonitorState(None, served=True)


async def test_a_cluster_that_does_not_know_the_kind_is_asked_again_while_one_is_wanted() -> None:
    asked = await service_monitor(Unserved(), OWNER, ASKS, None)  # type: ignore[arg-type]
    noted = await service_monitor(Unserved(), OWNER, PLAIN, NOTED)  # type: ignore[arg-type]
    assert asked == ServiceMonitorState(served=False, again=60.0)
    assert noted == ServiceMonitorState(served=False)
