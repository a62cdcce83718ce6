"""The Deployment, beside what others have written into it."""

import copy

import pytest
from tests.unit.operator.make import Json, deployment, observed, planned, resource

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.writes import Step

RESTARTED = "kubectl.kubernetes.io/restartedAt"


def steps(spec: Json, live: Json | None) -> list[Step]:
    return [step for step in planned(resource(spec), observed(live=live)).steps if step.kind == kinds.DEPLOYMENT]


def test_figures_of_somebody_else_are_taken_away_before_a_deployment_recreates_its_pods() -> None:
    """The API server refuses both, and server-side apply leaves what another manager owns."""
    spec, live = {"rollout": {"strategy": "Recreate"}}, deployment(planned(resource()))
    first, then = steps(spec, live)
    assert (first.mode, first.body["metadata"]) == ("merge", {"name": "qwen", "uid": "uid-d"})
    assert first.body["spec"] == {"strategy": {"type": "Recreate", "rollingUpdate": None}}
    assert (then.mode, then.body["spec"]["strategy"]) == ("apply", {"type": "Recreate"})
    foreign = copy.deepcopy(live)
    foreign["metadata"]["ownerReferences"] = [{"uid": "another"}]
    for given, seen in (
        (spec, foreign),
        (spec, deployment(planned(resource(spec)))),
        ({}, live),
        (spec, None),
    ):
        assert [step.mode for step in steps(given, seen)] == ["apply"]


@pytest.mark.parametrize(
    ("asked", "done", "kept"),
    [
        ("2026-11-29T10:00:00Z", "2026-11-29T11:30:00+01:00", "2026-11-29T11:30:00+01:00"),
        ("2026-11-29T10:00:00Z", "2026-11-29T10:30:00+01:00", "2026-11-29T10:00:00Z"),
        ("again", "2026-11-29T10:00:00Z", "2026-11-29T10:00:00Z"),
        ("again", "once more", "again"),
        ("2026-11-29T10:00:00Z", None, "2026-11-29T10:00:00Z"),
        (None, "2026-11-29T10:00:00Z", None),
    ],
)
def test_of_two_restarts_the_later_counts(asked: str | None, done: str | None, kept: str | None) -> None:
    """That of the spec, and that of `kubectl rollout restart`, whose annotation is nobody else's to undo."""
    spec = {"podTemplate": {"metadata": {"annotations": {RESTARTED: asked}}}} if asked else {}
    live = deployment(planned(resource(spec)))
    annotations = live["spec"]["template"]["metadata"]["annotations"]
    annotations.pop(RESTARTED, None)
    annotations |= {RESTARTED: done} if done else {}
    (step,) = steps(spec, live)
    assert step.body["spec"]["template"]["metadata"]["annotations"].get(RESTARTED) == kept
