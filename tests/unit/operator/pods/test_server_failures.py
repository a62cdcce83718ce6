"""Failures of the server in a pod: how it ended, and that it is not ready."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.operator.make import NOW, Json, ended, pod, report
from tests.unit.operator.pods.failing import none, only

from hipbmm_operator.observe import parse
from hipbmm_operator.pods.failures import next_change, of_pods


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (ended(1), "ServerCrashed"),
        (ended(137, reason="OOMKilled"), "OOMKilled"),
        (ended(137, seconds=1790), "StartupDeadlineExceeded"),
        (ended(143, seconds=1800), "StartupDeadlineExceeded"),
        (ended(137, seconds=30), "ServerCrashed"),
    ],
)
def test_a_server_that_ended(last: Json, reason: str) -> None:
    crashing = {
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": last},
        "restartCount": 2,
    }
    assert only(pod(answer=report(), since=7200, server=crashing)).reason == reason
    again = {"state": {"running": {}}, "lastState": {"terminated": last}, "restartCount": 2, "ready": False}
    assert only(pod(answer=report(), since=7200, server=again)).reason == reason
    recovered = again | {"ready": True, "started": True}
    assert none(pod(answer=report(), ready=True, server=recovered))


def test_a_server_that_had_served_did_not_exceed_its_time_to_start() -> None:
    """Killed for its liveness after hours; and one of a spec that says no time any more."""
    killed = {"state": {"running": {}}, "lastState": {"terminated": ended(137, seconds=7200)}, "restartCount": 1}
    assert only(pod(answer=report(), since=5, server=killed)).reason == "ServerCrashed"
    never = pod(answer=report(), since=9000, server=killed)
    assert only(never).reason == "StartupDeadlineExceeded"
    next_run = replace(parse.pod(never), not_ready_since=NOW + timedelta(minutes=5))  # it has started, and is not ready
    assert [each.reason for each in of_pods([next_run], 1800, NOW)] == ["StartupDeadlineExceeded"]
    (found,) = of_pods([parse.pod(never)], math.inf, NOW)
    assert found.reason == "ServerCrashed"


@pytest.mark.parametrize(
    ("state", "restarts", "fails"),
    [
        ({"state": {"waiting": {"reason": "CrashLoopBackOff"}}}, 1, True),
        ({"state": {"running": {}}, "ready": False}, 2, True),
        ({"state": {"running": {}}, "ready": True, "started": True}, 5, False),
        ({"state": {"running": {}}, "ready": False}, 1, False),  # its node was started again
    ],
)
def test_a_server_that_ends_well_again_and_again_does_not_serve(state: Json, restarts: int, *, fails: bool) -> None:
    body = pod(answer=report(), server={**state, "lastState": {"terminated": ended(0)}, "restartCount": restarts})
    if not fails:
        assert none(body)
        return
    found = only(body)
    assert (found.reason, found.exit_code, found.message) == ("ServerCrashed", 0, "exit code 0 (Completed)")


def test_a_server_that_never_answers_after_it_started() -> None:
    hung = {"state": {"running": {}}, "started": True, "ready": False}
    assert only(pod(answer=report(), server=hung, since=31)).reason == "NotReady"
    assert none(pod(answer=report(), server=hung, since=29))


@pytest.mark.parametrize(
    ("message", "named", "allowed"),
    [
        ("containers with unready status: [istio-proxy]", "istio-proxy", 120),
        ('the status of pod readiness gate "target-health" is not "True", but False', "target-health", 120),
        ("", "node-1", 30),
    ],
)
def test_a_pod_that_is_not_ready_though_its_server_is(message: str, named: str, allowed: int) -> None:
    """By what others add to the pod, or because its node is lost: then its containers are as they were last seen."""
    up = {"state": {"running": {}}, "started": True, "ready": True}
    for since, fails in ((allowed + 1, True), (allowed - 1, False)):
        body = pod(answer=report(), server=up, since=since)
        body["status"]["conditions"][0]["message"] = message
        assert next_change(parse.pod(body), NOW) == (None if fails else 1)
        found = [(each.reason, named in each.message) for each in of_pods([parse.pod(body)], 1800, NOW)]
        assert found == ([("NotReady", True)] if fails else [])
    broken = {"state": {"terminated": ended(1)}}
    assert only(pod(answer=report(), server=up, since=31, proxy=broken)).reason == "ContainerFailed"


def test_the_last_lines_of_a_crashed_server_are_shown() -> None:
    log = "\x1b[31mINFO\x1b[0m loading\nValueError: unrecognized arguments: --max-num-seq\x00s\n"
    failure = only(pod(answer=report(), server={"state": {"terminated": ended(1, log)}}))
    assert failure.message == "exit code 1: INFO loading\nValueError: unrecognized arguments: --max-num-seq s"
