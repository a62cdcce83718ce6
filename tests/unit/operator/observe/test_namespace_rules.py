"""What a namespace asks of pods."""

from collections.abc import AsyncIterator

from tests.unit.operator.fakekube import FakeKube
from tests.unit.operator.make import Json

from hipbmm_operator.kube import errors, kinds
from hipbmm_operator.kube.client import Page
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.observe.observer import namespace_rules
from hipbmm_operator.resources.circumstances import Bounds, Circumstances


class Forbidding(FakeKube):
    """An API server that lets nothing of this be read, as with the rights of an older chart."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        raise errors.ForbiddenError(403, "Forbidden", f"{kind.kind} {namespace} {name}")

    async def pages(self, kind: Kind, namespace: str = "", **_: object) -> AsyncIterator[Page]:
        raise errors.ForbiddenError(403, "Forbidden", f"{kind.kind} {namespace}")
        yield Page([], "0")


def cluster() -> FakeKube:
    kube = FakeKube()
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.objects[kinds.NAMESPACE, "", "ns"] = {"metadata": {"name": "ns", "labels": labels}}
    limits = [{"type": "Container", "min": {"cpu": "1"}}]
    kube.objects[kinds.LIMIT_RANGE, "ns", "bounds"] = {"metadata": {"name": "bounds"}, "spec": {"limits": limits}}
    return kube


async def test_limit_ranges_and_the_pod_security_standard_are_the_rules() -> None:
    kube = cluster()
    found = await namespace_rules(kube, "ns")  # type: ignore[arg-type]  # the part that is used
    assert found == Circumstances(bounds={"cpu": Bounds("1", "")}, non_root=True)


async def test_another_standard_is_no_rule() -> None:
    kube = cluster()
    kube.objects[kinds.NAMESPACE, "", "ns"]["metadata"]["labels"] = {"pod-security.kubernetes.io/enforce": "baseline"}
    assert not (await namespace_rules(kube, "ns")).non_root  # type: ignore[arg-type]


async def test_what_may_not_be_read_is_no_rule() -> None:
    assert await namespace_rules(Forbidding(), "ns") == Circumstances()  # type: ignore[arg-type]
