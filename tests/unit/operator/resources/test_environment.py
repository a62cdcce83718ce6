"""Environment of the pod's containers: what the operator sets, and what of it a user has set."""

import pytest

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.pods import contract
from hipbmm_operator.resources import environment
from hipbmm_operator.resources.server_args import resolve


def of_server(*env: Json, **security: object) -> dict[str, str]:
    spec = Spec.model_validate(
        {
            "image": "localhost/image:1",
            "model": {"name": "Qwen/Qwen3-32B"},
            "server": {"env": list(env)},
            "podTemplate": {"spec": {"securityContext": security}} if security else {},
        }
    )
    return {entry["name"]: entry.get("value", "") for entry in environment.of_server(spec, resolve(spec))}


def test_the_flags_of_a_user_win_and_are_named_so_that_the_server_can_get_its_own_environment_back() -> None:
    assert contract.FLAGS.items() <= of_server().items()
    assert "HIPBMM_USER_FLAGS" not in of_server()
    found = of_server({"name": "VLLM_ROCM_USE_AITER", "value": "1"}, {"name": "HIP_ONLINE_TUNING", "value": "0"})
    assert found["HIP_ONLINE_TUNING"] == "0"
    assert found["HIPBMM_USER_FLAGS"] == "HIP_ONLINE_TUNING,VLLM_ROCM_USE_AITER"


@pytest.mark.parametrize("security", [{}, {"runAsUser": 2000}, {"runAsNonRoot": True}])
def test_who_may_write_where_is_asked_in_the_container_and_not_read_from_the_spec(security: dict[str, object]) -> None:
    assert "AITER_JIT_DIR" not in of_server(**security)


def test_warm_knows_its_node_so_that_two_pods_of_one_sick_node_do_not_confirm_each_other() -> None:
    spec = Spec.model_validate({"image": "vllm:v1", "model": {"name": "Qwen/Qwen3-32B-FP8-dynamic"}})
    (entry,) = [e for e in environment.of_warm(spec, resolve(spec)) if e["name"] == "HIPBMM_NODE_NAME"]
    assert entry["valueFrom"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}


@pytest.mark.parametrize("dispatch", ["Auto", "Memory", "File"])
def test_how_rows_are_found_is_named_only_where_it_is_not_the_default(dispatch: str) -> None:
    base = {"image": "vllm:v1", "model": {"name": "Qwen/Qwen3-32B-FP8-dynamic"}}
    spec = Spec.model_validate({**base, "server": {"dispatch": dispatch}})
    command = resolve(spec)
    for entries in (environment.of_warm(spec, command), environment.of_server(spec, command)):
        set_here = {entry["name"]: entry.get("value") for entry in entries}
        assert set_here.get("HIPBMM_DISPATCH", "Auto") == dispatch
        assert ("HIPBMM_DISPATCH" in set_here) is (dispatch != "Auto")


@pytest.mark.parametrize(("server", "wanted"), [({"plugin": True}, "1"), ({"plugin": False}, None), ({}, None)])
def test_the_plugin_is_asked_for_in_the_plan_and_in_the_server(server: Json, wanted: str | None) -> None:
    spec = Spec.model_validate({"image": "vllm:v0.22.0", "model": {"name": "org/model"}, "server": server})
    for entries in (environment.of_warm(spec, resolve(spec)), environment.of_server(spec, resolve(spec))):
        assert {entry["name"]: entry.get("value") for entry in entries}.get("HIPBMM_PLUGIN") == wanted
