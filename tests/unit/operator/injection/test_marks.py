"""A pod that nobody has changed since its injection is left in one step; any other one is injected anew."""

import copy
from typing import Any

import jsonpatch
import pytest
from tests import stacks
from tests.cluster import shapes, unusual
from tests.pods import stored

from hipbmm_operator.injection import marks, patch, spelling

Json = dict[str, Any]


def injected(pod: Json, profile: Json) -> Json:
    done: Json = jsonpatch.apply_patch(pod, patch.operations(pod, profile))
    return done


def settled(pod: Json, profile: Json) -> bool:
    return bool(marks.SETTLED.run({"object": pod, "params": profile}))


def with_token(pod: Json) -> Json:
    """What the API server's ServiceAccount does with each container that has nothing at the path."""
    body = copy.deepcopy(pod)
    mount = {"name": "kube-api-access-x", "mountPath": spelling.TOKEN, "readOnly": True}
    for each in [*body["spec"]["containers"], *body["spec"].get("initContainers", [])]:
        if spelling.TOKEN not in [m["mountPath"] for m in each.setdefault("volumeMounts", [])]:
            each["volumeMounts"].append(mount)
    return body


def waits(pod: Json) -> bool:
    """What comes after `hipbmm-warm` there may have another place after each change of the pod."""
    names = [each["name"] for each in pod["spec"].get("initContainers", [])]
    return any(name.startswith(("wait-", "istio-init", "istio-validation", "linkerd-init")) for name in names)


@pytest.mark.parametrize("stack", stacks.STACKS)
def test_an_injected_pod_is_settled(stack: str) -> None:
    pod = with_token(stacks.asking(stack))
    assert not settled(pod, stacks.profile())
    once = injected(pod, stacks.profile())
    assert with_token(once) == once
    assert settled(once, stacks.profile()) != waits(pod)


@pytest.mark.parametrize("change", shapes.INJECTED + unusual.INJECTED, ids=lambda change: change.__name__)
def test_an_injected_pod_of_any_shape_is_the_same_after_another_pass(change: shapes.Change) -> None:
    for stack in ("deployment", "deployment-args"):
        once = injected(shapes.changed(stacks.asking(stack), change), stacks.profile())
        assert spelling.WARM in [each["name"] for each in once["spec"]["initContainers"]]
        assert injected(once, stacks.profile()) == once


def _server(pod: Json) -> Json:
    found: Json = pod["spec"]["containers"][0]
    return found


def another_image(pod: Json) -> None:
    _server(pod)["image"] = "mirror.example/vllm:1"


def other_arguments(pod: Json) -> None:
    _server(pod)["args"] = [*_server(pod).get("args", []), "--more"]


def no_image_pull(pod: Json) -> None:
    _server(pod)["imagePullPolicy"] = "Never"


def more_memory(pod: Json) -> None:
    _server(pod)["resources"]["limits"]["memory"] = "99Gi"


def secrets_as_variables(pod: Json) -> None:
    _server(pod)["envFrom"] = [{"secretRef": {"name": "mine"}}]


def a_user(pod: Json) -> None:
    _server(pod)["securityContext"] = {"runAsUser": 7}


def a_variable_behind(pod: Json) -> None:
    _server(pod)["env"] = [*_server(pod).get("env", []), {"name": "LATE", "value": "1"}]


def a_variable_in_front(pod: Json) -> None:
    _server(pod)["env"] = [{"name": "EARLY", "value": "1"}, *_server(pod).get("env", [])]


def a_mount(pod: Json) -> None:
    pod["spec"].setdefault("volumes", []).append({"name": "late", "emptyDir": {}})
    _server(pod).setdefault("volumeMounts", []).append({"name": "late", "mountPath": "/late"})


def an_init_container(pod: Json) -> None:
    pod["spec"].setdefault("initContainers", []).append({"name": "late", "image": "x"})


def a_network_that_ends(pod: Json) -> None:
    pod["spec"].setdefault("initContainers", []).insert(0, {"name": "istio-init", "image": "x"})


def a_command_around(pod: Json) -> None:
    if "command" in _server(pod):
        _server(pod)["command"] = ["/vault/vault-env", *_server(pod)["command"]]


CHANGES = (
    another_image,
    other_arguments,
    no_image_pull,
    more_memory,
    secrets_as_variables,
    a_user,
    a_variable_behind,
    a_variable_in_front,
    a_mount,
    an_init_container,
    a_network_that_ends,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("stack", ["deployment", "deployment-args"])
def test_what_others_change_meanwhile_reaches_warm(stack: str, change: shapes.Change) -> None:
    """The pod is that of an author who wrote the change, but for the order of what ours and the change both append."""
    late = shapes.changed(injected(stacks.asking(stack), stacks.profile()), change)
    assert not settled(late, stacks.profile())
    assert injected(late, stacks.profile()) == injected(shapes.changed(stacks.asking(stack), change), stacks.profile())


def test_a_command_that_others_put_in_front_is_run_by_warm_too() -> None:
    late = shapes.changed(injected(stacks.asking("deployment"), stacks.profile()), a_command_around)
    (warm,) = (
        each for each in injected(late, stacks.profile())["spec"]["initContainers"] if each["name"] == spelling.WARM
    )
    assert "/vault/vault-env" in warm["command"]


@pytest.mark.parametrize(
    "recipe",
    [
        {"kernel": {"configMap": "newer", "sha256": "f" * 64}},
        {"env": [{"name": "HIPBMM_BUDGET_SECONDS", "value": "5"}]},
    ],
)
def test_another_recipe_is_taken_over(recipe: Json) -> None:
    pod = stacks.asking("deployment")
    once = injected(pod, stacks.profile())
    assert injected(once, stacks.profile(**recipe)) == injected(pod, stacks.profile(**recipe))


@pytest.mark.parametrize("stack", stacks.STACKS)
def test_nothing_is_left_in_a_pod_that_meanwhile_has_an_image_under_trial(stack: str) -> None:
    """Else `hipbmm-warm` would have the image that it had before, which nobody may be able to pull."""
    swapped = "mirror.example/vllm:1"

    def swap(pod: Json) -> None:
        for each in pod["spec"]["containers"]:
            each["image"] = swapped

    def swap_all(pod: Json) -> None:
        swap(pod)
        for each in pod["spec"].get("initContainers", []):
            each["image"] = swapped

    held = stacks.profile(heldImages=[swapped])
    for change in (swap, swap_all):
        late = injected(shapes.changed(injected(stacks.asking(stack), held), change), held)
        plain = shapes.changed(stacks.asking(stack), change)
        assert stored(late) == stored(plain)
        assert patch.why_plain(late, held) == "Canary"


@pytest.mark.parametrize("modes", [["Wrap"], ["EnvFile"], ["Wrap", "EnvFile"]])
@pytest.mark.parametrize("stack", stacks.STACKS)
def test_nothing_is_left_of_another_recipe_while_the_image_is_under_trial(stack: str, modes: list[str]) -> None:
    """Also where the recipe of now could not start such a server: one without a command, where only that is wrapped."""
    pod = stacks.asking(stack)
    once = injected(pod, stacks.profile())
    held = stacks.profile(heldImages=[each["image"] for each in once["spec"]["containers"]], modes=modes)
    assert stored(injected(once, held)) == stored(pod)
