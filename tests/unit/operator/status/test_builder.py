"""The whole status: what is true, in which words, and that it stays still when nothing changes."""

import copy
from datetime import timedelta

import pytest
from tests.unit.operator.make import (
    NOW,
    Json,
    deployment,
    ended,
    hardware,
    observed,
    planned,
    pod,
    report,
    resource,
    time,
    typed,
)
from tests.unit.operator.status.situations import condition, message, serving, status

from hipbmm_operator.api.conditions import TYPES, Finding, true
from hipbmm_operator.api.reasons import Foreign
from hipbmm_operator.observe.observed import Note
from hipbmm_operator.plan.validation import Problem
from hipbmm_operator.status.builder import Situation, build


def test_all_conditions_are_always_there_in_the_same_order() -> None:
    for found in (status(), serving()):
        assert tuple(entry["type"] for entry in found["conditions"]) == TYPES


def test_a_new_resource_knows_nothing_yet() -> None:
    found = status()
    assert condition(found, "Ready") == ("Unknown", "Pending")
    assert condition(found, "Progressing") == ("Unknown", "Pending")
    assert condition(found, "Tuned") == ("Unknown", "Pending")
    assert condition(found, "Available") == ("Unknown", "Pending")
    assert condition(found, "StorageReady") == ("Unknown", "Creating")
    assert found["phase"] == "Pending"


@pytest.mark.parametrize(
    ("spec", "url"),
    [
        ({}, "http://qwen.ns.svc"),
        ({"service": {"port": 8080}}, "http://qwen.ns.svc:8080"),
        ({"server": {"args": ["--ssl-keyfile", "k", "--ssl-certfile", "c"]}}, "https://qwen.ns.svc:80"),
    ],
)
def test_clients_find_the_server(spec: Json, url: str) -> None:
    assert status(spec)["service"] == {"name": "qwen", "url": url}


def test_times_move_only_with_the_status_of_a_condition() -> None:
    before = serving()
    for entry in before["conditions"]:
        entry["lastTransitionTime"] = time(3600)
    assert serving(before=before) == before
    worse = serving(answer=report(state="Partial", reason="BudgetExhausted"), before=before)
    moved = {e["type"] for e in worse["conditions"] if e["lastTransitionTime"] == time()}
    assert moved == {"Tuned", "Warm"}


def test_the_status_does_not_depend_on_the_time_at_rest() -> None:
    of = resource()
    now = observed(hardware=hardware())
    plan = planned(of, now)
    first = build(Situation(of, typed(of), (), now, plan), NOW)
    later = resource(status=copy.deepcopy(first))
    assert build(Situation(later, typed(later), (), now, plan), NOW + timedelta(days=1)) == first


def test_a_problem_of_the_spec_is_fatal_or_only_reported() -> None:
    reported = serving(problems=(Problem("ConflictingEnv", "HIP_ONLINE_TUNING=0"),))
    assert condition(reported, "ConfigValid") == ("False", "ConflictingEnv")
    assert condition(reported, "Ready")[0] == "True"
    assert "Stalled" not in {entry["type"] for entry in reported["conditions"]}
    fatal = serving(problems=(Problem("ConflictingArgs", "x", fatal=True),))
    assert condition(fatal, "Stalled") == ("True", "ConflictingArgs")
    assert condition(fatal, "Ready") == ("False", "ConflictingArgs")
    assert fatal["phase"] == "Degraded"


def test_a_spec_that_cannot_be_used_is_reported_as_every_other_failed_change() -> None:
    """The pods of before serve on, and the counts are theirs."""
    was = planned(resource({"replicas": 2}), observed(pod(answer=report())))
    bodies = [pod(f"qwen-{n}", revision=was.revision.name, ready=True, answer=report()) for n in range(2)]
    before = serving({"replicas": 2}, count=2)
    of = resource({"server": {"args": ["--port", "x"]}}, generation=2, status=before)
    problem = Problem("ConflictingArgs", "--port is 'x'", fatal=True)
    now = observed(*bodies, live=deployment(was), hardware=hardware())
    found = build(Situation(of, typed(of), (problem,), now, None), NOW)
    assert condition(found, "Progressing") == condition(found, "Ready") == ("False", "ConflictingArgs")
    assert message(found, "Progressing") == "--port is 'x'; the previous revision still serves"
    assert condition(found, "Available") == ("True", "MinimumReplicasAvailable")
    assert message(found, "Available") == "2 of 2 replicas serve"
    assert (found["phase"], found["warm"]) == ("Degraded", "2/2")
    assert [found[part] for part in ("service", "cache")] == [before[part] for part in ("service", "cache")]


def test_a_crd_that_is_older_than_the_operator() -> None:
    found = serving(dropped="status.cache.mirror")
    assert condition(found, "ConfigValid") == ("False", "OutdatedCRD")
    assert condition(found, "Ready") == ("True", "AllReplicasWarm")


def test_a_pool_of_several_architectures_is_compatible_and_reported() -> None:
    mixed = hardware(true("HardwareCompatible", "MixedArchitectures", "gfx942,gfx950"), arch="gfx942,gfx950", nodes=2)
    found = status(hardware=mixed)
    assert condition(found, "HardwareCompatible") == ("True", "MixedArchitectures")
    assert (message(found, "HardwareCompatible"), found["hardware"]["arch"]) == ("gfx942,gfx950", "gfx942,gfx950")
    assert condition(status(hardware=None), "HardwareCompatible") == ("Unknown", "NodesNotReadable")


def test_image_back_off_keeps_the_cause_that_was_reported_before() -> None:
    def found(reason: str, message: str, before: Json | None = None) -> Json:
        state = {"state": {"waiting": {"reason": reason, "message": message}}}
        return status(None, pod(warm=state), live=deployment(planned(resource())), before=before)

    first = found("ErrImagePull", "manifest unknown")
    second = found("ImagePullBackOff", 'Back-off pulling image "vllm:1"', first)
    assert second == first


def test_a_pull_secret_that_is_missing() -> None:
    name = planned(resource()).revision.name
    event = Note("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (regcred)")
    refused = {"state": {"waiting": {"reason": "ErrImagePull", "message": "401 Unauthorized"}}}
    live, notes = deployment(planned(resource())), {"uid-qwen-1": event}
    first = status(None, pod(revision=name, warm=refused), live=live, notes=notes)
    assert condition(first, "Progressing") == ("False", "PullSecretNotFound")
    assert "regcred" in first["failures"][0]["message"]
    assert "401" in first["failures"][0]["message"]
    silent = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": ""}}}
    second = status(None, pod(revision=name, warm=silent), live=live, notes=notes, before=first)
    assert second == first


def test_a_pod_that_failed_is_reported_until_another_serves_in_its_place() -> None:
    name = planned(resource()).revision.name
    gone = pod("gone", revision=name)
    gone["status"] |= {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory"}
    alone = status(None, gone, live=deployment(planned(resource())))
    assert [failure["reason"] for failure in alone["failures"]] == ["Evicted"]
    after = pod("after", revision=name, ready=True, answer=report())
    after["metadata"]["creationTimestamp"] = time(30)
    assert status(None, gone, after, live=deployment(planned(resource())))["failures"] == []


def test_at_most_five_failures_are_reported() -> None:
    bad = {"state": {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}}
    found = status(None, *(pod(f"qwen-{n}", warm=bad) for n in range(9)), live=deployment(planned(resource())))
    assert len(found["failures"]) == 5


def test_a_pod_whose_volume_cannot_be_mounted() -> None:
    plan = planned(resource())
    note = Note("FailedMount", 'configmap "qwen-config" not found')
    waits = pod(revision=plan.revision.name, payload={"state": {"waiting": {"reason": "PodInitializing"}}})
    found = status(None, waits, live=deployment(plan), notes={"uid-qwen-1": note})
    assert condition(found, "Progressing") == ("False", "FailedMount")
    assert found["failures"][0]["message"] == 'configmap "qwen-config" not found'


def test_a_quota_on_devices_is_a_quota() -> None:
    name = planned(resource()).revision.name
    note = Note("FailedResourceClaimCreation", "create ResourceClaim: forbidden: exceeded quota: q, requested: x=1")
    found = status(None, pod(revision=name), live=deployment(planned(resource())), notes={"uid-qwen-1": note})
    assert condition(found, "Progressing") == condition(found, "Ready") == ("False", "QuotaExceeded")


@pytest.mark.parametrize(
    "reason",
    [
        "FailedMount",
        "FailedAttachVolume",
        "FailedMapVolume",
        "FailedCreatePodSandBox",
        "FailedCreatePodContainer",
        "FailedResourceClaimCreation",
    ],
)
def test_what_only_an_event_says(reason: str) -> None:
    name = planned(resource()).revision.name
    live = deployment(planned(resource()))
    found = status(None, pod(revision=name), live=live, notes={"uid-qwen-1": Note(reason, "because")})
    assert condition(found, "Progressing") == ("False", reason)
    assert message(found, "Progressing") == "qwen-1: because"


def waits_for_a_scheduler(age: float) -> tuple[Json, Json]:
    plan = planned(resource())
    body = pod(revision=plan.revision.name)
    body["metadata"]["creationTimestamp"] = time(age)
    body["spec"], body["status"] = {"schedulerName": "my-scheduler"}, {"phase": "Pending"}
    return body, deployment(plan)


def test_a_pod_that_no_scheduler_looks_at() -> None:
    body, live = waits_for_a_scheduler(119)
    assert condition(status(None, body, live=live), "Progressing") == ("True", "RollingOut")
    body, live = waits_for_a_scheduler(121)
    found = status(None, body, live=live)
    assert condition(found, "Progressing") == condition(found, "Ready") == ("False", "SchedulerNotResponding")
    assert "my-scheduler" in message(found, "Progressing")
    assert found["phase"] == "Pending"


def test_a_scheduler_that_writes_events_only() -> None:
    body, live = waits_for_a_scheduler(500)
    found = status(None, body, live=live, notes={"uid-qwen-1": Note("FailedScheduling", "8 Insufficient amd.com/gpu")})
    assert condition(found, "Progressing") == condition(found, "Ready") == ("False", "InsufficientGPU")
    assert found["phase"] == "Pending"


@pytest.mark.parametrize("reason", ["NoMatchingNodes", "LabelsMissing", "UnknownAMD", "PartitionMismatch"])
@pytest.mark.parametrize(
    ("words", "scheduler"),
    [
        ("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", "NoMatchingNodes"),
        # The nodes of the control plane have a taint in most clusters, and the scheduler names it first.
        ("1 node(s) had untolerated taint(s), 2 node(s) didn't match Pod's node affinity.", "UntoleratedTaint"),
        ("1 node(s) were unschedulable, 2 node(s) didn't match Pod's node affinity/selector.", "NodesCordoned"),
    ],
)
def test_ready_names_the_nodes_where_the_scheduler_says_only_that_none_matches(
    reason: str, words: str, scheduler: str
) -> None:
    plan = planned(resource())
    waits = pod(revision=plan.revision.name, unschedulable=words, since=60)
    none = hardware(Finding("HardwareCompatible", "False", Foreign(reason), "no node fits: node-1"), nodes=0)
    found = status(None, waits, live=deployment(plan), hardware=none)
    assert (condition(found, "Ready"), message(found, "Ready")) == (("False", reason), "no node fits: node-1")
    own = status(None, waits, live=deployment(plan))
    assert (condition(own, "Ready"), message(own, "Ready").endswith(words)) == (("False", scheduler), True)


@pytest.mark.parametrize("reason", ["ConfigMissing", "ConfigInvalid"])
def test_a_server_that_crashes_is_the_cause_and_not_that_nothing_was_planned(reason: str) -> None:
    plan = planned(resource())
    answer = report(state="NoPlan", reason=reason, message="no config.json")
    starts = pod(revision=plan.revision.name, answer=answer)
    assert condition(status(None, starts, live=deployment(plan)), "Ready") == ("False", reason)
    crash = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": ended(2)}}
    found = status(None, pod(revision=plan.revision.name, answer=answer, server=crash), live=deployment(plan))
    assert condition(found, "ConfigValid") == ("False", reason)
    assert condition(found, "Ready") == ("False", "ServerCrashed")


def test_a_claim_of_the_users_that_is_not_bound_is_named() -> None:
    spec = {"model": {"name": "/models/m", "volume": {"claimName": "weights"}}}
    told = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    plan = planned(resource(spec))
    waits = pod(revision=plan.revision.name, unschedulable=told, since=60)
    found = status(spec, waits, live=deployment(plan))
    assert condition(found, "Progressing") == ("False", "StorageNotReady")
    assert "weights" in message(found, "Progressing")
