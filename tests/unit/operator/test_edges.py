"""Small pure parts: arguments, settings, errors, events, patches, the Lease."""

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.make import resource, typed

from hipbmm_operator import settings
from hipbmm_operator.api.resource import parse_spec
from hipbmm_operator.api.status import Condition
from hipbmm_operator.apply import events
from hipbmm_operator.apply.status_patch import lost, merge_patch, without
from hipbmm_operator.controller.leader_election import Sighting, may_take, record
from hipbmm_operator.kube import errors, names
from hipbmm_operator.kube.client import as_yaml
from hipbmm_operator.kube.kinds import SERVICE
from hipbmm_operator.plan import write_failure
from hipbmm_operator.plan.validation import check, unread
from hipbmm_operator.resources import server_args
from hipbmm_operator.status import transitions

Json = dict[str, Any]


def command(spec: Json) -> server_args.Command:
    return server_args.resolve(typed(resource(spec)))


@pytest.mark.parametrize(
    ("spec", "arguments", "gpus", "port"),
    [
        ({}, ["--tensor-parallel-size", "1", "--port", "8000"], 1, 8000),
        ({"parallelism": {"tensor": 4}}, ["--tensor-parallel-size", "4", "--port", "8000"], 4, 8000),
        (
            {"parallelism": {"tensor": 2, "pipeline": 2}},
            ["--tensor-parallel-size", "2", "--pipeline-parallel-size", "2", "--port", "8000"],
            4,
            8000,
        ),
        ({"server": {"args": ["--port=8000", "-tp", "1"]}}, ["--port=8000", "-tp", "1"], 1, 8000),
        (
            {"server": {"args": ["--tensor_parallel_size", "1"]}},
            ["--tensor_parallel_size", "1", "--port", "8000"],
            1,
            8000,
        ),
        (
            {"model": {"name": "m", "servedName": "s"}},
            ["--tensor-parallel-size", "1", "--served-model-name", "s", "--port", "8000"],
            1,
            8000,
        ),
    ],
)
def test_arguments_are_added_unless_given(spec: Json, arguments: list[str], gpus: int, port: int) -> None:
    found = command(spec)
    assert (list(found.arguments), found.gpus, found.port, found.problems) == (arguments, gpus, port, ())


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--tensor-parallel-size", "8"], "--tensor-parallel-size 8"),
        (["-tp=8"], "--tensor-parallel-size 8"),
        (["--port", "x"], "'x'"),
        (["--port"], "''"),
        (["--tensor-parallel-size", "-4"], "'-4'"),
    ],
)
def test_arguments_that_contradict_a_field_are_told(args: list[str], told: str) -> None:
    (problem,) = command({"server": {"args": args}}).problems
    assert told in problem


def test_arguments_are_passed_as_they_are() -> None:
    hostile = ["; rm -rf /", "$(id)", "`id`", "--host", "::"]
    assert list(command({"server": {"args": hostile}}).argv[3:8]) == hostile


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"name": "HIP_ONLINE_TUNING", "value": "0"}, ["ConflictingEnv"]),
        ({"name": "HIP_ONLINE_TUNING", "value": "1"}, []),
        ({"name": "VLLM_ROCM_USE_AITER", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}, ["ConflictingEnv"]),
        ({"name": "HIPBMM_TENSOR_PARALLEL", "value": "9"}, ["ConflictingEnv"]),
        ({"name": "HF_HOME", "value": "/x"}, []),
    ],
)
def test_contract_variables_of_the_user_are_told(entry: Json, told: list[str]) -> None:
    spec = typed(resource({"server": {"env": [entry]}}))
    assert [problem.reason for problem in check(spec, server_args.resolve(spec))] == told


def test_a_secret_value_is_never_in_a_problem() -> None:
    entry = {"name": "HIP_ONLINE_TUNING", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    spec = typed(resource({"server": {"env": [entry]}}))
    (problem,) = check(spec, server_args.resolve(spec))
    assert "(from a reference)" in problem.message


def test_a_mount_without_a_volume() -> None:
    mounts = [{"name": "nope", "mountPath": "/x"}]
    spec = typed(resource({"podTemplate": {"spec": {"containers": [{"name": "server", "volumeMounts": mounts}]}}}))
    (problem,) = check(spec, server_args.resolve(spec))
    assert (problem.reason, problem.fatal) == ("InvalidSpec", True)
    assert "'nope'" in problem.message


def test_a_spec_that_an_older_crd_let_through_names_field_and_value() -> None:
    found = parse_spec({"image": "x", "model": {"name": "m"}, "tuning": {"policy": "Maybe"}, "unknown": 1})
    assert isinstance(found, str)
    assert "spec.tuning.policy" in found
    assert "'Maybe'" in found


def test_unknown_fields_of_a_newer_crd_are_ignored() -> None:
    assert not isinstance(parse_spec({"image": "x", "model": {"name": "m"}, "future": {"a": 1}}), str)


def test_settings_come_from_the_environment() -> None:
    found = settings.parse({"HIPBMM_NAMESPACES": "a, b,", "HIPBMM_WORKERS": "3", "HIPBMM_RESYNC_SECONDS": "1.5"})
    assert (found.namespaces, found.workers, found.resync_seconds) == (("a", "b"), 3, 1.5)


@pytest.mark.parametrize(
    "environ",
    [
        {"HIPBMM_WORKERS": "many"},
        {"HIPBMM_RESYNC_SECONDS": "-1"},
        {"HIPBMM_LEASE_SECONDS": "10"},
        {"HIPBMM_REQUEST_SECONDS": "20"},
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(environ: dict[str, str]) -> None:
    with pytest.raises(settings.SettingsError, match="HIPBMM_"):
        settings.parse(environ)


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (404, "NotFound", errors.NotFoundError),
        (409, "AlreadyExists", errors.AlreadyExistsError),
        (409, "Conflict", errors.ConflictError),
        (403, "Forbidden", errors.ForbiddenError),
        (422, "Invalid", errors.InvalidError),
        (429, "TooManyRequests", errors.UnavailableError),
        (500, "InternalError", errors.UnavailableError),
        (418, "", errors.UnavailableError),
    ],
)
def test_every_status_has_a_class(status: int, reason: str, kind: type[errors.ApiError]) -> None:
    error = errors.from_status(status, {"reason": reason, "message": "m"}, "3")
    assert type(error) is kind
    assert error.retry_after == 3.0


@pytest.mark.parametrize("text", [None, "", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "inf", "nan"])
def test_a_retry_after_that_is_no_time_is_ignored(text: str | None) -> None:
    assert errors.seconds(text) is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.ForbiddenError(403, "Forbidden", 'pods "x" is forbidden: exceeded quota: q'), "QuotaExceeded"),
        (
            errors.ForbiddenError(403, "Forbidden", "unable to create: namespace is being terminated"),
            "NamespaceTerminating",
        ),
        (errors.ForbiddenError(403, "Forbidden", 'User "x" cannot patch resource'), "Forbidden"),
        (errors.InvalidError(422, "Invalid", "bad"), "Rejected"),
        (write_failure.NameConflictError(SERVICE, "qwen"), "NameConflict"),
        (errors.ConflictError(409, "Conflict", "x"), "Conflict"),
        (errors.UnavailableError(0, "TimeoutError", "x"), "ApiUnavailable"),
    ],
)
def test_every_error_has_a_reason(error: errors.ApiError, reason: str) -> None:
    assert write_failure.reason_of(error) == reason


def conditions(**states: tuple[str, str]) -> list[Condition]:
    more = {"message": "m", "lastTransitionTime": "2026-11-23T12:00:00Z", "observedGeneration": 1}
    return [
        Condition.model_validate({"type": kind, "status": status, "reason": reason, **more})
        for kind, (status, reason) in states.items()
    ]


def told(before: list[Condition], after: list[Condition]) -> list[tuple[str, str]]:
    return [(found.type, found.reason) for found in transitions.transitions(before, after)]


def test_events_tell_transitions_only() -> None:
    tuning = conditions(Tuned=("False", "Tuning"), Ready=("False", "Tuning"))
    done = conditions(Tuned=("True", "Tuned"), Ready=("True", "AllReplicasWarm"))
    assert told([], tuning) == [("Normal", "Tuning")]
    assert told(tuning, tuning) == []
    assert told(tuning, done) == [("Normal", "Tuned")]
    assert told(conditions(Tuned=("True", "Tuned"), Ready=("False", "NotEnoughReplicas")), done) == [
        ("Normal", "AllReplicasWarm")
    ]
    assert told(done, done) == []


def test_one_cause_is_told_once() -> None:
    same = ("False", "ImageNotFound")
    failing = conditions(Progressing=same, Available=same, Ready=same)
    assert told([], failing) == [("Warning", "ImageNotFound")]


def test_pods_that_wait_for_storage_are_no_second_cause() -> None:
    failing = conditions(StorageReady=("False", "ProvisioningFailed"), Progressing=("False", "StorageNotReady"))
    assert told([], failing) == [("Warning", "ProvisioningFailed")]


def test_a_claim_that_waits_for_its_volume_is_no_event_nor_is_that_it_got_it() -> None:
    serving = ("True", "ServingUntuned")
    waiting = conditions(
        StorageReady=("False", "ClaimPending"), Progressing=("False", "StorageNotReady"), Ready=serving
    )
    bound = conditions(StorageReady=("True", "Bound"), Progressing=("True", "RollingOut"), Ready=serving)
    assert told(conditions(Ready=serving), waiting) == told(waiting, bound) == []


def test_recovery_is_told() -> None:
    """Where nothing else says so: a resource that becomes ready tells that."""
    starting, serving = ("False", "NotEnoughReplicas"), ("True", "ServingUntuned")
    failed, well = ("False", "ProvisioningFailed"), ("True", "Bound")
    for ready, expected in ((starting, []), (serving, [("Normal", "Bound")])):
        before, after = (conditions(StorageReady=state, Ready=ready) for state in (failed, well))
        assert told(before, after) == expected


def test_the_same_transition_has_the_same_event() -> None:
    owner = resource().owner
    (one,) = transitions.transitions([], conditions(Tuned=("False", "NoSolution")))
    assert events.build(owner, one) == events.build(owner, one)
    assert len(events.build(owner, one)["metadata"]["name"]) <= 253


JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
OBJECT = st.dictionaries(st.text(max_size=3), JSON, max_size=4)


def patched(target: Json, patch: Json) -> Json:
    """RFC 7386."""
    out = copy.deepcopy(target)
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict):
            inner = out.get(key)
            out[key] = patched(inner if isinstance(inner, dict) else {}, value)
        else:
            out[key] = value
    return out


@given(OBJECT, OBJECT)
def test_a_merge_patch_turns_one_into_the_other(before: Json, after: Json) -> None:
    assert patched(before, merge_patch(before, after)) == after


@given(OBJECT)
def test_equal_objects_need_no_patch(value: Json) -> None:
    assert merge_patch(value, copy.deepcopy(value)) == {}


def lease(holder: str = "other", renewed: str = "t1", seconds: int = 30) -> Json:
    return {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": seconds, "leaseTransitions": 1}


def test_a_lease_is_taken_when_it_is_ours_or_free() -> None:
    assert may_take(lease("me"), None, "me", 0.0)
    assert may_take(lease(""), None, "me", 0.0)
    assert may_take({}, None, "me", 0.0)


def test_a_silent_holder_is_waited_for_by_our_own_clock() -> None:
    spec = lease()
    seen = Sighting(record(spec), 100.0)
    assert not may_take(spec, seen, "me", 130.0)
    assert may_take(spec, seen, "me", 130.1)
    assert not may_take(lease(renewed="t2"), seen, "me", 1000.0)
    assert not may_take(spec, None, "me", 1000.0)


@given(
    st.dictionaries(st.sampled_from(["holderIdentity", "renewTime", "leaseDurationSeconds", "leaseTransitions"]), JSON)
)
def test_a_malformed_lease_is_no_crash(spec: Json) -> None:
    may_take(spec, Sighting(record(spec), 0.0), "me", 1e9)


def test_the_selector_of_pods_never_changes_with_the_spec() -> None:
    assert names.selector_labels("qwen") == {
        "hipbmm.io/deployment": "qwen",
        "app.kubernetes.io/component": "server",
    }


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({}, []),
        ({"quantum": {"gates": 3}}, ["spec.quantum"]),
        ({"model": {"name": "m", "adapter": "x"}}, ["spec.model.adapter"]),
        (
            {"server": {"env": [{"name": "A", "value": "1"}, {"name": "B", "secret": True}]}},
            ["spec.server.env[1].secret"],
        ),
        ({"service": {"annotations": {"anything": "goes"}}}, []),
    ],
)
def test_fields_of_a_newer_crd_are_named(spec: Json, fields: list[str]) -> None:
    of = resource(spec)
    found = unread(of.raw_spec, typed(of))
    assert [problem.reason for problem in found] == (["UnknownField"] if fields else [])
    assert all(field in found[0].message for field in fields)
    assert not any(problem.fatal for problem in found)


def test_what_an_older_crd_dropped_is_named() -> None:
    status = {"a": 1, "b": {"c": 2, "d": {}}, "e": [{"f": 1}]}
    assert lost(status, status) == ""
    assert lost(status, {"a": 1, "b": {"d": {}}, "e": []}) == "status.b.c"
    assert lost(status, {}) == "status.a"


def test_a_refused_field_of_the_status_stays_as_it_was() -> None:
    refusal = '"qwen" is invalid: [status.phase: Unsupported value: "X", status.tuning.state: Unsupported value: "Y"]'
    status = {"phase": "X", "replicas": 2, "tuning": {"state": "Y"}, "conditions": []}
    before = {"phase": "Starting", "replicas": 1}
    assert without(status, before, refusal) == {"phase": "Starting", "replicas": 2, "conditions": []}
    assert without(status, {}, refusal) == {"phase": "Pending", "replicas": 2, "conditions": []}
    assert without(status, before, "something else") == status


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
    )
)
def test_what_is_sent_as_yaml_reads_as_it_was(value: object) -> None:
    text = as_yaml({"data": value})
    assert yaml.safe_load(text) == json.loads(text) == {"data": value}
