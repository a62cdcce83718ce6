"""What a profile's preflight tries against an API server in memory, and what it leaves out then."""

from typing import Any

import pytest
from tests.unit.operator.controller.profile_harness import Harness, condition

from hipbmm_operator.kube import errors, kinds
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import NamespacedName

Json = dict[str, Any]


def _inits(pod: Json) -> list[str]:
    return [each["name"] for each in pod["spec"].get("initContainers") or []]


async def test_preflight_names_what_refuses_an_injected_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    monkeypatch.setattr(harness.kube, "refuses", lambda pod: "no init containers" if _inits(pod) else "")
    status = await harness.run()
    assert condition(status, "Ready") == ("False", "PreflightRefused")
    assert "no init containers" in str(status["conditions"])


async def test_preflight_leaves_out_a_sidecar_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    monkeypatch.setattr(harness.kube, "refuses", lambda pod: "too small" if "hipbmm-harvest" in _inits(pod) else "")
    status = await harness.run()
    assert condition(status, "Ready") == ("True", "Injecting")
    assert "harvest" not in status["injection"]


async def test_preflight_tries_the_sidecar_beside_a_server_of_the_name_that_the_spec_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = Harness({"container": "main"})
    monkeypatch.setattr(harness.kube, "refuses", lambda pod: "too small" if "hipbmm-harvest" in _inits(pod) else "")
    status = await harness.run()
    assert condition(status, "Ready") == ("True", "Injecting")
    assert "harvest" not in status["injection"]
    assert "harvest" in (await Harness({"container": "main"}).run())["injection"]


@pytest.mark.parametrize(
    ("kind", "spec", "sidecar"),
    [
        (kinds.RESOURCE_QUOTA, {}, False),
        (kinds.LIMIT_RANGE, {"limits": [{"type": "Container"}, {"type": "Pod", "max": {"cpu": "8"}}]}, False),
        (kinds.LIMIT_RANGE, {"limits": [{"type": "Container", "max": {"cpu": "8"}}]}, True),
    ],
)
async def test_where_a_pod_may_have_all_that_is_allowed_none_gets_a_sidecar(
    kind: Kind, spec: Json, *, sidecar: bool
) -> None:
    harness = Harness()
    harness.put(kind, {"metadata": {"name": "q"}, "spec": spec})
    assert ("harvest" in (await harness.run())["injection"]) is sidecar


async def test_preflight_of_a_namespace_that_refuses_all_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    monkeypatch.setattr(harness.kube, "refuses", lambda _: "quota exceeded")
    status = await harness.run()
    assert condition(status, "PreflightPassed") == ("Unknown", "PreflightUnknown")
    assert condition(status, "Ready") == ("True", "Injecting")
    assert "harvest" not in status["injection"]


@pytest.mark.parametrize(
    ("status", "plain_too", "passed"), [(500, True, "PreflightUnknown"), (500, False, None), (503, True, None)]
)
async def test_a_webhook_of_somebody_else_that_cannot_be_called_keeps_no_profile_without_a_status(
    status: int, plain_too: bool, passed: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def try_create(_: Kind, pod: Json) -> None:
        if plain_too or _inits(pod):
            raise errors.UnavailableError(status, "InternalError", 'failed calling webhook "p.example": no endpoints')

    harness = Harness()
    monkeypatch.setattr(harness.kube, "try_create", try_create)
    if passed is None:
        with pytest.raises(errors.UnavailableError):
            await harness.run()
        return
    found = await harness.run()
    assert condition(found, "PreflightPassed") == ("Unknown", passed)
    assert condition(found, "Ready") == ("True", "Injecting")


async def test_preflight_tries_the_pods_that_are_there_and_can_be_left_out() -> None:
    harness = Harness()
    harness.pod("old", injected=False)
    await harness.run()
    images = {body["spec"]["containers"][0]["image"] for body in harness.kube.dry_runs}
    assert images == {"localhost/hipbmm/preflight:1", "registry.example/vllm-openai-rocm:v0.23.0"}
    assert all(body["metadata"]["annotations"] == {"hipbmm.io/skip": "true"} for body in harness.kube.dry_runs)
    without = Harness({"preflight": False})
    await without.run()
    assert without.kube.dry_runs == []


@pytest.mark.parametrize(
    ("words", "at", "ready"),
    [
        ('Error creating: admission webhook "x" denied the request: hipbmm-warm has no owner', "11:50", False),
        ("create Pod vllm-0 in StatefulSet vllm failed error: volume hipbmm-home is not allowed", "11:41", False),
        ('Error creating: admission webhook "x" denied the request: hipbmm-warm has no owner', "11:39", True),
        ("Error creating: exceeded quota: gpus, requested: requests.amd.com/gpu=8", "11:59", True),
        ('Error creating: pods "hipbmm-warm-7c9d-x2k" is forbidden: quota', "11:59", True),
        ('Error creating: violates PodSecurity "restricted:v1": x (containers "hipbmm-warm", "vllm")', "11:59", True),
    ],
)
async def test_a_pod_that_is_refused_because_of_us_is_plain_next(words: str, at: str, *, ready: bool) -> None:
    """By a webhook that no dry run has met: there is no pod to count, only what its controller says."""
    harness = Harness()
    event = {"reason": "FailedCreate", "message": words, "lastTimestamp": f"2026-11-29T{at}:00Z"}
    harness.put(kinds.EVENT, {"metadata": {"name": "e"}, **event})
    status = await harness.run()
    assert condition(status, "Ready") == (("True", "Injecting") if ready else ("False", "PreflightRefused"))
    assert (words in str(status["conditions"])) is not ready


async def test_events_are_listed_once_for_all_profiles_of_a_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API server reads each Event of the namespace for each list."""
    harness, listed = Harness(), []
    pages = harness.kube.pages

    def counted(kind: Kind, *of: Any, **more: Any) -> Any:  # noqa: ANN401  # passed on
        listed.append(kind)
        return pages(kind, *of, **more)

    monkeypatch.setattr(harness.kube, "pages", counted)
    for name in ("one", "two"):
        harness.put(kinds.HIPBMM_PROFILE, {"metadata": {"name": name}, "spec": {}})
    await harness.run()
    for name in ("one", "two"):
        await harness.reconcile(NamespacedName("default", name))
    assert listed.count(kinds.EVENT) == 1
