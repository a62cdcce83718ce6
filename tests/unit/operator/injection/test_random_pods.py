"""What holds for each pod, whatever its author and other injectors have put together."""

import copy
from typing import Any

import jsonpatch
from hypothesis import given
from tests import stacks
from tests.pods import pods, recipes, stored

from hipbmm_operator.injection import patch, spelling

Json = dict[str, Any]


def injected(pod: Json, profile: Json) -> Json:
    done: Json = stored(jsonpatch.apply_patch(pod, patch.operations(pod, profile)))
    return done


def without_ours(pod: Json) -> Json:
    """What is left when all that we may add is taken away."""
    body = copy.deepcopy(pod)
    spec = body["spec"]
    spec["initContainers"] = [c for c in spec.get("initContainers", []) if c["name"] not in spelling.CONTAINERS]
    spec["volumes"] = [v for v in spec.get("volumes", []) if v["name"] not in spelling.VOLUMES]
    for each in spec["containers"]:
        ours = [m for m in each.get("volumeMounts", []) if m["name"] == spelling.HOME_VOLUME]
        each["volumeMounts"] = [m for m in each.get("volumeMounts", []) if m not in ours]
        if ours:
            command, env = each.get("command", []), each.get("env", [])
            each["command"] = command[4:]
            each["env"] = [
                e for e in env if e.get("valueFrom", {}).get("fileKeyRef", {}).get("volumeName") != "hipbmm-home"
            ]
    done: Json = stored(body)
    return done


@given(pods(), recipes())
def test_all_that_is_the_author_s_stays_and_another_pass_changes_nothing(pod: Json, recipe: Json) -> None:
    profile = stacks.profile(**recipe)
    once = injected(pod, profile)
    if patch.why_plain(pod, profile):
        assert once == pod
        return
    ours = [each["name"] for each in once["spec"]["initContainers"] if each["name"] in spelling.CONTAINERS]
    assert ours in ([spelling.WARM], [spelling.WARM, spelling.HARVEST])
    assert injected(once, profile) == once
    if "entrypoint" not in recipe:
        assert without_ours(once) == pod


@given(pods(), recipes(), recipes())
def test_a_later_recipe_replaces_an_earlier_one(pod: Json, before: Json, after: Json) -> None:
    """Nothing of the earlier one is left: as admission makes a pod of a copy of an injected one."""
    newer = {"configMap": "hipbmm-kernel-newer", "sha256": "f" * 64}
    one, other = (stacks.profile(**each) for each in ({**before, "entrypoint": None}, {**after, "kernel": newer}))
    if patch.why_plain(pod, other) in ("", "Canary"):
        assert injected(injected(pod, one), other) == injected(pod, other)
