"""Problems of a spec that the schema accepts."""

from typing import Any

import pytest
from tests.unit.operator.make import planned, resource, typed

from hipbmm_operator.kube.kinds import SERVICE
from hipbmm_operator.plan.validation import check, unread
from hipbmm_operator.resources import server_args

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("entry", "reported"),
    [
        ({"name": "HIP_ONLINE_TUNING", "value": "0"}, ["ConflictingEnv"]),
        ({"name": "HIP_ONLINE_TUNING", "value": "1"}, []),
        ({"name": "VLLM_ROCM_USE_AITER", "value": "True"}, []),
        ({"name": "VLLM_ROCM_USE_AITER", "value": "yes"}, ["ConflictingEnv"]),
        ({"name": "VLLM_ROCM_USE_AITER", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}, ["ConflictingEnv"]),
        ({"name": "HIPBMM_TENSOR_PARALLEL", "value": "9"}, ["ConflictingEnv"]),
        ({"name": "HF_HOME", "value": "/x"}, []),
    ],
)
def test_contract_variables_of_the_user_are_reported(entry: Json, reported: list[str]) -> None:
    spec = typed(resource({"server": {"env": [entry]}}))
    assert [problem.reason for problem in check(spec, server_args.resolve(spec))] == reported


@pytest.mark.parametrize("dispatch", ["Auto", "Memory", "File"])
@pytest.mark.parametrize("plugins", ["lora_filesystem_resolver", "", "hipbmm_dispatch,other"])
def test_plugins_of_the_user_that_leave_out_what_memory_needs_are_reported(dispatch: str, plugins: str) -> None:
    env = [{"name": "VLLM_PLUGINS", "value": plugins}]
    spec = typed(resource({"server": {"env": env, "dispatch": dispatch}}))
    left_out = dispatch == "Memory" and "hipbmm" not in plugins
    assert [problem.reason for problem in check(spec, server_args.resolve(spec))] == ["ConflictingEnv"] * left_out


@pytest.mark.parametrize("port", [9410, 9411])
@pytest.mark.parametrize("harvest", [True, False])
@pytest.mark.parametrize("enabled", [True, False])
def test_the_ports_of_the_service_differ_or_the_spec_is_refused(port: int, *, harvest: bool, enabled: bool) -> None:
    """Kubernetes refuses a Service with one port twice, in words that name no field of ours."""
    of = resource({"service": {"port": port, "monitor": {"enabled": enabled}}, "tuning": {"harvest": harvest}})
    spec = typed(of)
    problems = check(spec, server_args.resolve(spec))
    (step,) = [step for step in planned(of).steps if step.kind == SERVICE]
    ports = [each["port"] for each in step.body["spec"]["ports"]]
    assert [each.fatal for each in problems] == [True] * (len(ports) - len(set(ports)))
    assert all("spec.service.port: 9410" in each.message for each in problems)


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
