"""Access: what is watched, and what the status reports and is left alone when something may not be seen."""

import asyncio
from typing import Any

from tests.unit.operator.apiserver import eventually
from tests.unit.operator.fakekube import FakeKube
from tests.unit.operator.make import NOW, resource

from hipbmm_operator.kube import errors
from hipbmm_operator.kube.kinds import DEPLOYMENT, NODE, POD, Kind
from hipbmm_operator.status.builder import without_access
from hipbmm_operator.watch.access import Rights, Scope

KINDS = (DEPLOYMENT, POD, NODE)


class Refusing(FakeKube):
    """Refuses what a test names."""

    def __init__(self, *refused: tuple[Kind, str]) -> None:
        super().__init__()
        self.refused = set(refused)
        self.away = 0

    async def refusal(self, kind: Kind, namespace: str = "", *, watch: bool = True) -> str:
        del watch
        if self.away:
            self.away -= 1
            raise errors.UnavailableError(503, "Unavailable", "not now")
        return f"cannot list {kind.plural} in {namespace!r}" if (kind, namespace) in self.refused else ""


def rights(kube: Refusing, *namespaces: str) -> Rights:
    return Rights(kube, KINDS, namespaces)  # type: ignore[arg-type]  # the part that is used


async def test_with_all_rights_everything_is_watched() -> None:
    found = rights(Refusing())
    assert not await found.refresh()
    assert (found.scope(), found.no_access("a")) == (Scope(KINDS, ()), "")


async def test_a_right_that_is_missing_everywhere_blinds_all_namespaces_until_it_is_back() -> None:
    kube = Refusing((POD, ""))
    found = rights(kube)
    assert await found.refresh()
    assert not await found.refresh()
    assert found.scope() == Scope((DEPLOYMENT, NODE), ())
    assert "pods" in found.no_access("a")
    assert not found.may(POD)
    kube.refused.clear()
    assert await found.refresh()
    assert (found.scope(), found.no_access("a")) == (Scope(KINDS, ()), "")


async def test_nodes_are_optional() -> None:
    found = rights(Refusing((NODE, "")), "a")
    await found.refresh()
    assert (found.scope(), found.no_access("a")) == (Scope((DEPLOYMENT, POD), ("a",)), "")


async def test_a_namespace_without_rights_does_not_keep_the_others_from_being_served() -> None:
    kube = Refusing((POD, "a"))
    found = rights(kube, "a", "b")
    await found.refresh()
    assert found.scope() == Scope(KINDS, ("b",))
    assert "'a'" in found.no_access("a")
    assert found.no_access("b") == ""
    kube.refused.add((DEPLOYMENT, "b"))
    await found.refresh()
    assert found.scope() == Scope((), ())


def test_the_status_of_what_may_not_be_seen_keeps_what_was_known() -> None:
    condition: dict[str, Any] = {"type": "Tuned", "status": "True", "reason": "Tuned", "message": "204"}
    condition |= {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
    before = resource(status={"phase": "Running", "readyReplicas": 2, "conditions": [condition]}, generation=2)
    status = without_access(before, "cannot list pods", NOW)
    assert (status["phase"], status["readyReplicas"], status["observedGeneration"]) == ("Running", 2, 2)
    found = {entry["type"]: entry for entry in status["conditions"]}
    assert found["Tuned"] == condition | {"observedGeneration": 2}
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("Unknown", "Forbidden")
    assert (found["Progressing"]["status"], found["Progressing"]["reason"]) == ("False", "Forbidden")
    assert "cannot list pods" in found["Ready"]["message"]
    assert found["Available"]["status"] == "Unknown"


def test_a_resource_that_was_never_looked_after_has_a_whole_status_too() -> None:
    status = without_access(resource(), "cannot list pods", NOW)
    assert status["phase"] == "Pending"
    assert {entry["status"] for entry in status["conditions"]} == {"Unknown", "False"}


async def test_rights_are_tried_until_the_api_server_answers_and_again_at_their_interval() -> None:
    kube = Refusing()
    found, changes = rights(kube), list[bool]()
    kube.away = 1
    await found.first()
    assert kube.away == 0
    trying = asyncio.create_task(found.run(0.01, lambda: changes.append(found.may(POD))))
    kube.refused = {(POD, "")}
    await eventually(lambda: changes == [False])
    kube.away = 2
    kube.refused = set()
    await eventually(lambda: changes == [False, True])
    trying.cancel()


def test_the_paths_of_watches() -> None:
    assert set(Scope((DEPLOYMENT, NODE), ()).paths()) == {"/apis/apps/v1/deployments", "/api/v1/nodes"}
    assert set(Scope((POD, NODE), ("a", "b")).paths("/x")) == {
        "/x/api/v1/namespaces/a/pods",
        "/x/api/v1/namespaces/b/pods",
        "/x/api/v1/nodes",
    }
    assert Scope((), ()).paths() == {}
