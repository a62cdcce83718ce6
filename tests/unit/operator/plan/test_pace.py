"""No warm replica is replaced by one that serves worse, unless the spec says so."""

from dataclasses import replace

import pytest
from tests.unit.operator.make import Json, deployment, planned, pod, report
from tests.unit.operator.plan.test_spare_room import Rollout
from tests.unit.operator.status.situations import condition, message, status

from hipbmm_operator.pods.report import Start

LONGEST = 2_147_483_647
UNTUNED = report(state="NoPlan", reason="ConfigInvalid", message="config.json: not JSON", problems=0, tuned=0)
CRASHED = Start("NoHipbmm", "the server ended 3 times, also without the table")
SETTLED, DEADLINE = 10, 4200


def new(rollout: Rollout, answer: Json | None = None, *, ready: bool = True, restarts: int = 0) -> Json:
    """The first pod of the new template."""
    body = rollout.labelled(pod("new", revision=rollout.revision, answer=answer, ready=ready), "new")
    next(each for each in body["status"]["containerStatuses"] if each["name"] == "server")["restartCount"] = restarts
    return body


def of_another(answer: Json | None) -> Json:
    """A pod of a revision that is not wanted any more."""
    return Rollout.labelled(pod("new", revision="between", answer=answer, ready=answer is not None), "new")


def times(rollout: Rollout, *pods: Json, start: Start | None = None) -> tuple[int, int]:
    """`minReadySeconds` and `progressDeadlineSeconds` of the Deployment as it is written."""
    seen = rollout.seen(*pods)
    seen = replace(seen, facts=replace(seen.facts, starts={"uid-new": start} if start else {}))
    spec = deployment(planned(rollout.resource, seen))["spec"]
    return spec["minReadySeconds"], spec["progressDeadlineSeconds"]


@pytest.mark.parametrize("restart", [False, True])
def test_warm_pods_wait_for_a_new_one_that_is_as_warm(*, restart: bool) -> None:
    """From the write of the new template on: also an operator that goes away then leaves them."""
    rollout = Rollout(restart=restart)
    for pods in ([new(rollout, ready=False)], [new(rollout, report(), ready=False)]):
        assert times(rollout, *pods) == (DEADLINE - 1, DEADLINE)
    assert restart or times(rollout) == (DEADLINE - 1, DEADLINE)
    assert times(rollout, new(rollout, report())) == (SETTLED, DEADLINE)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("ready", [False, True])
def test_one_without_a_complete_table_takes_the_place_of_none(*, ready: bool, restart: bool) -> None:
    rollout = Rollout(restart=restart)
    for state in ("Partial", "Unsupported", "NoPlan", "Failed"):
        answer = report(state=state, reason="Because")
        assert times(rollout, new(rollout, answer, ready=ready)) == (LONGEST - 1, LONGEST)


@pytest.mark.parametrize("mode", ["NoTable", "NoHipbmm", "NoAiter"])
def test_one_that_only_runs_without_hipbmm_takes_the_place_of_none(mode: str) -> None:
    rollout = Rollout()
    crashed = new(rollout, report(), restarts=3)
    assert times(rollout, crashed) == (DEADLINE - 1, DEADLINE), "its log is not read yet"
    assert times(rollout, crashed, start=Start(mode, "it crashed")) == (LONGEST - 1, LONGEST)
    assert times(rollout, crashed, start=Start("Tuned")) == (SETTLED, DEADLINE)


def test_the_spec_can_let_warm_replicas_go() -> None:
    off = {"server": {"env": [{"name": "VLLM_ROCM_USE_AITER_LINEAR_HIPBMM", "value": "0"}]}}
    for spec in ({"rollout": {"untuned": "Replace"}}, {"tuning": {"enabled": False}}, off):
        rollout = Rollout(after=spec)
        assert times(rollout, new(rollout, report(state="Disabled", reason="TuningDisabled"))) == (SETTLED, DEADLINE)


@pytest.mark.parametrize("state", ["NoPlan", "Unsupported", "Partial", "Failed"])
def test_a_spec_without_tuning_lets_them_go_whatever_the_new_pod_says(state: str) -> None:
    """A change to a model, or to a GPU, that HIPBMM does nothing for."""
    rollout = Rollout(after={"tuning": {"enabled": False}})
    worse = new(rollout, report(state=state, reason="NoEligibleLinears"))
    assert times(rollout, worse) == (SETTLED, DEADLINE)
    assert times(rollout, worse, start=Start("NoAiter", "it crashed")) == (LONGEST - 1, LONGEST)


def test_replicas_that_were_no_better_are_replaced() -> None:
    rollout = Rollout()
    rollout.old = [
        rollout.labelled(pod(f"old-{n}", revision="before", answer=UNTUNED, ready=True), "old") for n in (1, 2)
    ]
    assert times(rollout, new(rollout, UNTUNED)) == (SETTLED, DEADLINE)


def test_a_return_to_the_warm_revision_is_no_rollout_of_something_worse() -> None:
    """Kubernetes names the template in between as the newest until the rollout is complete."""
    for between in ([], [of_another(UNTUNED)], [of_another(None)]):
        assert times(Rollout(restart=True), *between) == (SETTLED, DEADLINE)


def test_the_status_says_why_and_what_to_do() -> None:
    rollout = Rollout()
    worse = new(rollout, UNTUNED)
    spec, plan = rollout.resource.raw_spec, rollout.plan(worse)
    found = status(spec, *rollout.old, worse, live=rollout.live, plan=plan)
    assert condition(found, "Progressing") == ("False", "HeldUntuned")
    assert condition(found, "Stalled") == ("True", "HeldUntuned")
    for part in ("new", "ConfigInvalid", "config.json: not JSON", "spec.rollout.untuned"):
        assert part in message(found, "Progressing")
    assert condition(found, "Ready") == ("False", "ServingPreviousRevision")
    assert condition(found, "Available")[0] == "True"
    assert found["phase"] == "Degraded"
