"""The writes of a plan: only those that are needed, and none on an object that is not ours."""

import asyncio
import copy
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator.fakekube import FakeKube
from tests.unit.operator.make import Json, planned, resource

from hipbmm_operator.apply.applier import Applied, Applier
from hipbmm_operator.kube import errors
from hipbmm_operator.kube.kinds import BUDGET, CLAIM, CONFIG_MAP, CONTROLLER_REVISION, DEPLOYMENT, SERVICE, Kind
from hipbmm_operator.kube.metadata import Metadata
from hipbmm_operator.kube.writes import Step
from hipbmm_operator.observe import parse
from hipbmm_operator.plan.plan import Plan

OF = resource({"replicas": 2})
PLAN = planned(OF)
NAME = ("ns", "qwen")


def gone(kind: Kind, name: str, uid: str) -> Step:
    return Step.delete(kind, Metadata(name=name, uid=uid, resource_version="1"))


class Api(FakeKube):
    """Server-side apply that conflicts on an object that was not applied before; `refuse` has errors by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.refuse: dict[Kind, errors.ApiError] = {}
        self.applied: set[tuple[Kind, str]] = set()

    async def apply(self, kind: Kind, body: Json, *, force: bool) -> Json:
        if kind in self.refuse:
            raise self.refuse[kind]
        at = (kind, body["metadata"]["name"])
        if (kind, *NAME) in self.objects and at not in self.applied and not force:
            raise errors.ConflictError(409, "Conflict", "another manager has the field")
        self.applied.add(at)
        before = self.objects.get((kind, *NAME), {"metadata": {}})
        body = {**body, "metadata": {"uid": before["metadata"].get("uid", f"uid-{kind.kind}"), **body["metadata"]}}
        return await super().apply(kind, body, force=force)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str = "") -> None:
        if kind in self.refuse:
            raise self.refuse[kind]
        await super().delete(kind, namespace, name, uid, resource_version)


class Case:
    """One applier and its API server."""

    def __init__(self) -> None:
        self.kube, self.seen = Api(), list[str]()
        self.applier = Applier(self.kube, lambda kind, _: self.seen.append(kind.kind))  # type: ignore[arg-type]

    async def run(self, plan: Plan = PLAN, owner: Any = OF.meta) -> Applied:  # noqa: ANN401
        children = {kind: self.kube.objects.get((kind, *NAME)) for kind in (DEPLOYMENT, SERVICE, BUDGET)}
        live = {kind: parse.child(copy.deepcopy(body)) if body else None for kind, body in children.items()}
        return await self.applier.run(owner, plan, live)


async def test_what_pods_use_is_there_before_the_deployment() -> None:
    case = Case()
    applied = await case.run()
    kinds = [kind for _, kind, _ in case.kube.writes]
    assert (applied.written, applied.failures) == (5, ())
    assert set(kinds[:2]) == {"PersistentVolumeClaim", "ControllerRevision"}
    assert set(kinds[2:]) == {"Service", "PodDisruptionBudget", "Deployment"}
    assert sorted(case.seen) == sorted(kinds)


async def test_what_is_as_it_is_meant_is_not_written_again() -> None:
    case = Case()
    await case.run()
    case.kube.writes.clear()
    assert (await case.run()).written == 0
    restarted = Case()
    restarted.kube = case.kube
    restarted.applier = Applier(case.kube, lambda *_: None)  # type: ignore[arg-type]
    assert (await restarted.run()).written == 0
    assert case.kube.writes == []


@pytest.mark.parametrize("path", [("spec", "replicas"), ("metadata", "labels"), ("metadata", "ownerReferences")])
async def test_what_somebody_changed_is_put_right(path: tuple[str, str]) -> None:
    case = Case()
    await case.run()
    stored = case.kube.objects[DEPLOYMENT, *NAME]
    meant = copy.deepcopy(stored[path[0]][path[1]])
    stored[path[0]][path[1]] = {"replicas": 9, "labels": {}, "ownerReferences": []}[path[1]]
    stored["metadata"]["generation"] += path[0] == "spec"
    assert (await case.run()).written == 1
    assert case.kube.objects[DEPLOYMENT, *NAME][path[0]][path[1]] == meant


async def test_a_form_of_the_api_server_is_remembered_and_not_written_again_and_again() -> None:
    """It stores a value differently than it was sent."""
    case = Case()
    answer = case.kube.apply

    async def apply(kind: Kind, body: Json, *, force: bool) -> Json:
        stored = await answer(kind, body, force=force)
        if kind == DEPLOYMENT:
            stored["spec"]["progressDeadlineSeconds"] = str(stored["spec"]["progressDeadlineSeconds"]) + "s"
            case.kube.objects[kind, *NAME] = copy.deepcopy(stored)
        return stored

    case.kube.apply = apply  # type: ignore[method-assign]
    await case.run()
    assert (await case.run()).written == 0
    case.applier.forget(OF.meta.uid)
    assert (await case.run()).written == 1


async def test_a_foreign_object_of_the_name_is_left_alone() -> None:
    case = Case()
    theirs = {"metadata": {"name": "qwen", "namespace": "ns", "uid": "theirs"}, "spec": {"selector": {"app": "x"}}}
    case.kube.objects[SERVICE, *NAME] = copy.deepcopy(theirs)
    applied = await case.applier.run(OF.meta, PLAN, {})
    (failure,) = applied.failures
    assert (failure.reason, failure.message.split()[0], failure.retry) == ("NameConflict", "Service", True)
    assert case.kube.objects[SERVICE, *NAME] == theirs
    assert (DEPLOYMENT, *NAME) in case.kube.objects


async def test_a_child_of_a_former_resource_of_the_name_is_left_to_the_garbage_collector() -> None:
    case = Case()
    await case.run()
    case.kube.writes.clear()
    applied = await case.run(owner=resource(uid="uid-2").meta)
    assert {failure.reason for failure in applied.failures} == {"NameConflict"}
    assert not [kind for verb, kind, _ in case.kube.writes if verb == "apply"]


async def test_an_orphan_of_ours_that_was_not_seen_is_taken_over() -> None:
    case = Case()
    orphan = copy.deepcopy(next(step.body for step in PLAN.steps if step.kind == SERVICE))
    orphan["metadata"] |= {"uid": "orphan", "ownerReferences": []}
    case.kube.objects[SERVICE, *NAME] = orphan
    assert (await case.applier.run(OF.meta, PLAN, {})).failures == ()
    assert case.kube.objects[SERVICE, *NAME]["metadata"]["ownerReferences"][0]["uid"] == "uid-1"


async def test_a_claim_that_is_there_is_used_when_it_was_made_for_the_resource() -> None:
    case = Case()
    case.kube.objects[CLAIM, "ns", "qwen-store"] = next(step.body for step in PLAN.steps if step.kind == CLAIM)
    assert (await case.run()).failures == ()
    foreign = Case()
    foreign.kube.objects[CLAIM, "ns", "qwen-store"] = {"metadata": {"name": "qwen-store"}}
    assert [failure.reason for failure in (await foreign.run()).failures] == ["NameConflict"]


async def test_one_that_is_refused_does_not_keep_the_others_back() -> None:
    case = Case()
    case.kube.refuse = {SERVICE: errors.ForbiddenError(403, "Forbidden", "exceeded quota: services=0")}
    applied = await case.run()
    (failure,) = applied.failures
    assert (failure.reason, failure.message) == ("QuotaExceeded", "Service qwen: exceeded quota: services=0")
    assert (applied.written, (DEPLOYMENT, *NAME) in case.kube.objects) == (4, True)


@pytest.mark.parametrize("refused", [False, True])
async def test_a_mirror_is_not_changed_before_there_is_a_copy_of_it(
    monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    """Else its rows are lost where a quota refuses the copy: the mirror is repaired from the copy of before."""
    case = Case()
    plain = case.kube.create

    async def slow(kind: Kind, body: Json) -> Json:
        if kind == CONFIG_MAP and refused:
            raise errors.ForbiddenError(403, "Forbidden", "exceeded quota: configmaps=2")
        await asyncio.sleep(0)
        return await plain(kind, body)

    monkeypatch.setattr(case.kube, "create", slow)
    copied, mounted = ({"metadata": {"name": name, "namespace": "ns"}} for name in ("copy", "mounted"))
    case.kube.objects[CONFIG_MAP, "ns", "mounted"] = copy.deepcopy(mounted)
    steps = (Step("create", CONFIG_MAP, copied), Step("merge", CONFIG_MAP, mounted), *PLAN.steps)
    plan = replace(PLAN, steps=(*steps, gone(CONFIG_MAP, "former", "uid")))
    applied = await case.run(plan)
    maps = [(verb, name) for verb, kind, name in case.kube.writes if kind == "ConfigMap"]
    assert maps == ([] if refused else [("create", "copy"), ("merge", "mounted"), ("delete", "former")])
    assert [failure.reason for failure in applied.failures] == (["QuotaExceeded"] if refused else [])
    assert (DEPLOYMENT, *NAME) in case.kube.objects


async def test_what_is_obsolete_goes_also_where_it_fills_the_quota_of_what_is_to_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the new template of the pods would be refused for ever."""
    case = Case()
    former = (CONTROLLER_REVISION, "ns", "former")
    case.kube.objects[former] = {"metadata": {"name": "former", "namespace": "ns"}}
    plain = case.kube.create

    async def within_quota(kind: Kind, body: Json) -> Json:
        if kind == CONTROLLER_REVISION and former in case.kube.objects:
            raise errors.ForbiddenError(403, "Forbidden", "exceeded quota: count/controllerrevisions.apps=1")
        return await plain(kind, body)

    monkeypatch.setattr(case.kube, "create", within_quota)
    plan = replace(PLAN, steps=(*PLAN.steps, gone(CONTROLLER_REVISION, "former", "uid")))
    assert [failure.reason for failure in (await case.run(plan)).failures] == ["QuotaExceeded"]
    assert (await case.run(PLAN)).failures == ()
    assert [kind for kind, *_ in case.kube.objects].count(CONTROLLER_REVISION) == 1


async def test_a_deletion_that_is_refused_keeps_no_other_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a mirror that is not wanted any more: the others would stay for as long as the first is refused."""
    case = Case()
    plain = case.kube.delete

    async def protected(kind: Kind, namespace: str, name: str, uid: str, resource_version: str = "") -> None:
        if name == "first":
            raise errors.ForbiddenError(403, "Forbidden", "denied the request: first is protected")
        await plain(kind, namespace, name, uid, resource_version)

    monkeypatch.setattr(case.kube, "delete", protected)
    names = ("first", "second", "third")
    case.kube.objects |= {(CONFIG_MAP, "ns", name): {"metadata": {"name": name}} for name in names}
    plan = replace(PLAN, steps=(*PLAN.steps, *(gone(CONFIG_MAP, name, "uid") for name in names)))
    assert [failure.reason for failure in (await case.run(plan)).failures] == ["Rejected"]
    assert [name for kind, _, name in case.kube.objects if kind == CONFIG_MAP] == ["first"]


async def test_a_deletion_that_fails_is_said() -> None:
    case = Case()
    await case.run()
    less = planned(resource({"replicas": 1}))
    plan = replace(less, steps=(*less.steps, gone(BUDGET, "qwen", "uid-b"), gone(CLAIM, "qwen-store", "c")))
    case.kube.refuse = {CLAIM: errors.UnavailableError(429, "TooManyRequests", "later", 3.0)}
    applied = await case.run(plan)
    assert case.kube.writes[-1] == ("delete", "PodDisruptionBudget", "qwen")
    (failure,) = applied.failures
    assert (failure.reason, failure.retry_after) == ("ApiUnavailable", 3.0)
