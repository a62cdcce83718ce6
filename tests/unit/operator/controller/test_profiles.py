"""One reconcile of a profile against an API server in memory: recipe, program, mirror, Events."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests import stacks
from tests.unit.operator import make, mirror_objects
from tests.unit.operator.controller.profile_harness import KEY, MAP, PROGRAM, Harness, condition

from hipbmm_operator.controller.injection import read_program
from hipbmm_operator.controller.profiles import ProfileList
from hipbmm_operator.kube import errors, kinds
from hipbmm_operator.kube.client import Page
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.telemetry import metrics
from hipbmm_operator.workqueue.queue import Backoff, Queue

Json = dict[str, Any]


async def test_a_new_profile_is_ready_with_program_and_recipe() -> None:
    harness = Harness()
    status = await harness.run()
    assert condition(status, "Ready") == ("True", "Injecting")
    stored = harness.kube.objects[kinds.CONFIG_MAP, "default", MAP]
    assert base64.b64decode(stored["binaryData"]["hipbmm_kernel.zip"]) == PROGRAM.data
    assert stored["immutable"] is True
    assert status["injection"]["kernel"] == {"configMap": MAP, "sha256": PROGRAM.sha256}
    assert status["injection"]["mirrors"] == ["qwen-profile-mirror", "of-a-deployment"]
    assert ("HipbmmProfile", "Normal", "Injecting") in harness.events()
    writes = list(harness.kube.writes)
    await harness.run()
    assert harness.kube.writes == writes


async def test_a_crd_that_drops_a_field_of_the_status_is_named_and_not_written_to_again_and_again() -> None:
    harness = Harness()
    harness.kube.drops = "admission"

    def writes() -> int:
        return sum(kind == "HipbmmProfile" for _, kind, _ in harness.kube.writes)

    await harness.run()
    status = await harness.run()
    assert condition(status, "ConfigValid") == ("False", "OutdatedCRD")
    assert "status.admission" in json.dumps(status["conditions"])
    assert condition(status, "Ready") == ("True", "Injecting")
    await harness.run()
    before = writes()
    for _ in range(3):
        harness.clock -= 90.0
        await harness.run()
    assert writes() == before
    harness.kube.drops = ""
    await harness.run()
    assert condition(await harness.run(), "ConfigValid") == ("True", "Valid")


async def test_the_second_profile_owns_the_program_too() -> None:
    harness = Harness()
    await harness.run()
    harness.put(kinds.HIPBMM_PROFILE, {"metadata": {"name": "other"}, "spec": {}})
    await harness.list.refresh()
    await harness.reconcile(NamespacedName("default", "other"))
    owners = harness.kube.objects[kinds.CONFIG_MAP, "default", MAP]["metadata"]["ownerReferences"]
    assert [owner["name"] for owner in owners] == ["qwen", "other"]


@pytest.mark.parametrize(
    ("data", "immutable"), [("AAAA", True), (base64.b64encode(PROGRAM.data).decode(), False), ("no base64", True)]
)
async def test_a_program_that_was_changed_is_made_anew(data: str, immutable: bool) -> None:
    harness = Harness()
    body = {"metadata": {"name": MAP}, "binaryData": {"hipbmm_kernel.zip": data}, "immutable": immutable}
    harness.put(kinds.CONFIG_MAP, body)
    await harness.run()
    stored = harness.kube.objects[kinds.CONFIG_MAP, "default", MAP]
    assert base64.b64decode(stored["binaryData"]["hipbmm_kernel.zip"]) == PROGRAM.data


@pytest.mark.parametrize("immutable", [True, False])
async def test_a_pinned_program_is_never_deleted(*, immutable: bool) -> None:
    """Nobody else could bring it back."""
    data = b"an older program"
    pin = hashlib.sha256(data).hexdigest()
    name = f"hipbmm-kernel-{pin[:12]}"
    held = data + b" that was changed" if immutable else data
    harness = Harness({"pin": pin})
    binary = {"hipbmm_kernel.zip": base64.b64encode(held).decode()}
    harness.put(kinds.CONFIG_MAP, {"metadata": {"name": name}, "binaryData": binary, "immutable": immutable})
    status = await harness.run()
    assert condition(status, "Ready") == ("False", "KernelUnavailable")
    assert harness.kube.objects[kinds.CONFIG_MAP, "default", name]["binaryData"] == binary


@pytest.mark.parametrize("verb", ["find", "create"])
async def test_a_program_that_the_namespace_refuses_is_the_reason(monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """A quota on ConfigMaps, a policy, a right that is missing."""
    harness = Harness()
    with monkeypatch.context() as patch:
        patch.setattr(harness.kube, verb, _refusing(getattr(harness.kube, verb)))
        status = await harness.run()
    assert condition(status, "Ready") == ("False", "KernelUnavailable")
    assert f"ConfigMap {MAP}: exceeded quota" in json.dumps(status["conditions"])
    assert condition(await harness.run(), "Ready") == ("True", "Injecting")


def _refusing(ask: Callable[..., Any]) -> Callable[..., Any]:
    async def answer(kind: Kind, *arguments: object) -> object:
        if kind == kinds.CONFIG_MAP:
            raise errors.ForbiddenError(403, "Forbidden", "exceeded quota")
        return await ask(kind, *arguments)

    return answer


async def test_an_operator_without_a_program_says_so() -> None:
    status = await Harness(program=read_program("/nowhere/kernel.zip")).run()
    assert condition(status, "Ready") == ("False", "KernelUnavailable")
    assert "injection" not in status


async def test_a_program_that_no_config_map_holds(tmp_path: Any) -> None:  # noqa: ANN401  # pytest's own
    path = tmp_path / "kernel.zip"
    path.write_bytes(b"x" * 1_000_000)
    assert "more than a ConfigMap can hold" in read_program(str(path)).problem


async def test_what_injects() -> None:
    harness = Harness()
    harness.kube.objects.pop((kinds.MUTATING_POLICY_BINDING, "", "hipbmm-injection-label"))
    assert condition(await harness.run(), "AdmissionReady") == ("False", "NoAdmission")
    harness.installed(kinds.MUTATING_WEBHOOK, "zz-hipbmm-injection")
    assert condition(await harness.run(), "AdmissionReady") == ("True", "WebhookInstalled")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kinds.MUTATING_POLICY_BINDING, "second-injection-label"),
        (kinds.MUTATING_WEBHOOK, "zz-second-injection"),
    ],
)
async def test_a_second_installation_says_so_in_the_words_of_the_first(kind: Kind, name: str) -> None:
    """Both write the same status: other words of each would be written for ever."""
    harness = Harness()
    harness.put(kinds.MUTATING_WEBHOOK, {"metadata": {"name": "zz-somebody-else"}}, "")
    assert "change the same pods" not in json.dumps(await harness.run())
    harness.installed(kind, name)
    assert "hipbmm-injection and second-injection change the same pods" in json.dumps(await harness.run())


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (None, "ClaimNotFound"),
        ({"phase": "Pending"}, "ClaimPending"),
        ({"phase": "Bound", "accessModes": ["ReadWriteOnce"]}, "AccessModeUnsupported"),
        ({"phase": "Bound", "accessModes": ["ReadWriteMany"]}, "Injecting"),
        ({"phase": "Bound", "accessModes": ["ReadWriteMany"], "deleted": True}, "ClaimTerminating"),
    ],
)
async def test_a_claim_that_pods_would_wait_for(status: Json | None, reason: str) -> None:
    harness = Harness({"cache": {"pvc": {"claimName": "rows"}}})
    if status is not None:
        deleted = {"deletionTimestamp": "2026-11-29T11:59:00Z"} if status.pop("deleted", False) else {}
        harness.put(kinds.CLAIM, {"metadata": {"name": "rows", **deleted}, "status": status})
    found = await harness.run()
    assert condition(found, "Ready")[1] == reason
    assert found["injection"]["claim"] == "rows"


async def test_rows_in_a_log_reach_the_mirror() -> None:
    harness = Harness()
    await harness.run()
    shard = mirror_objects.text(mirror_objects.line(1))
    name = mirror_objects.name_of(shard)
    text = mirror_objects.log(shard)
    harness.kube.logs["a", "hipbmm-warm"] = text
    harness.pod("a", injected=True, report=make.report(mirror={"shards": [name], "lines": text.count("\n")}))
    status = await harness.run()
    assert status["pods"] == {"matched": 1, "injected": 1, "progress": "1/1", "warm": 1, "warmProgress": "1/1"}
    assert [each["state"] for each in status["canaries"]] == ["Proved"]
    assert list(harness.kube.objects[kinds.CONFIG_MAP, "default", "qwen-profile-mirror"]["binaryData"]) == [
        f"{name}.gz"
    ]
    reads = harness.kube.reads.count(("log", "a/hipbmm-warm"))
    await harness.run()
    assert harness.kube.reads.count(("log", "a/hipbmm-warm")) == reads


def tuned(harness: Harness) -> str:
    """A pod whose log has rows; the key of the rows in the mirror."""
    shard = mirror_objects.text(mirror_objects.line(1))
    name, text = mirror_objects.name_of(shard), mirror_objects.log(shard)
    harness.kube.logs["a", "hipbmm-warm"] = text
    harness.pod("a", injected=True, report=make.report(mirror={"shards": [name], "lines": text.count("\n")}))
    return f"{name}.gz"


async def test_rows_that_the_namespace_refuses_are_kept_later(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    await harness.run()
    key = tuned(harness)
    with monkeypatch.context() as patch:
        patch.setattr(harness.kube, "create", _refusing(harness.kube.create))
        await harness.run()
        status = await harness.run()
    assert condition(status, "Ready") == ("True", "Injecting")
    assert "are not kept: ConfigMap qwen-profile-mirror: exceeded quota" in json.dumps(status["conditions"])
    await harness.run()
    assert list(harness.kube.objects[kinds.CONFIG_MAP, "default", "qwen-profile-mirror"]["binaryData"]) == [key]
    assert "not kept" not in json.dumps(await harness.run())


async def test_what_was_read_of_pods_and_profiles_that_are_gone_is_not_remembered() -> None:
    harness = Harness()
    await harness.run()
    tuned(harness)
    await harness.run()
    remembered = harness.reconcile.objects._read
    assert [len(names) for names in remembered.values()] == [1]
    harness.kube.objects.pop((kinds.POD, "default", "a"))
    await harness.run()
    assert [len(names) for names in remembered.values()] == [0]
    harness.put(kinds.HIPBMM_PROFILE, {"metadata": {"name": "qwen", "uid": "another"}, "spec": {}})
    await harness.run()
    assert list(remembered) == ["another"]


async def test_what_production_asked_for_reaches_the_mirror() -> None:
    harness = Harness()
    await harness.run()
    harness.pod("a", injected=True, report=make.report())
    body = harness.kube.objects[kinds.POD, "default", "a"]
    up = {"name": "hipbmm-harvest", "state": {"running": {}}, "ready": True}
    body["status"]["initContainerStatuses"].append(up)
    origin = f"demand.{body['metadata']['uid']}"
    asked = mirror_objects.text("7,256,512,0,99", origin=origin, kind="demand", number=1)
    name = mirror_objects.name_of(asked, origin, 1)
    harness.kube.logs["a", "hipbmm-harvest"] = mirror_objects.log(asked, names=[name])
    await harness.run()
    assert list(harness.kube.objects[kinds.CONFIG_MAP, "default", "qwen-profile-mirror"]["binaryData"]) == [
        f"{name}.gz"
    ]
    reads, writes = harness.kube.reads.count(("log", "a/hipbmm-harvest")), list(harness.kube.writes)
    await harness.run()
    assert harness.kube.reads.count(("log", "a/hipbmm-harvest")) == reads
    assert harness.kube.writes == writes


async def test_a_trial_is_proved_by_its_log() -> None:
    harness = Harness()
    await harness.run()
    harness.pod("a", injected=True)
    assert [each["state"] for each in (await harness.run())["canaries"]] == ["Testing"]
    pod = harness.kube.objects[kinds.POD, "default", "a"]
    pod["status"]["initContainerStatuses"][0]["state"] = {"running": {}}
    harness.kube.logs["a", "hipbmm-warm"] = "hipbmm progress phase=Tuning tuned=1 problems=9\n"
    assert [each["state"] for each in (await harness.run())["canaries"]] == ["Proved"]


async def test_an_owner_hears_of_its_pods() -> None:
    harness = Harness()
    await harness.run()
    harness.put(kinds.DEPLOYMENT, {"metadata": {"name": "vllm"}, "spec": {}})
    harness.pod("a", injected=True, report=make.report())
    await harness.run()
    assert ("Deployment", "Normal", "Injected") in harness.events()
    harness.pod("b", injected=False)
    await harness.run()
    assert ("Deployment", "Warning", "NotInjected") in harness.events()


async def test_a_suspended_profile_has_no_pods_that_are_plain_against_its_will() -> None:
    def shown() -> Json:
        samples = next(each for each in metrics.PROFILES.collect() if each.name == "hipbmm_profile_pods").samples
        return {each.labels["state"]: each.value for each in samples if each.labels["name"] == "qwen"}

    harness = Harness()
    harness.pod("old", injected=False)
    await harness.run()
    assert shown() == {"injected": 0, "plain": 1, "warm": 0}
    harness.kube.objects[kinds.HIPBMM_PROFILE, "default", "qwen"]["spec"] = {"suspend": True}
    await harness.run()
    assert shown() == {"injected": 0, "suspended": 1, "warm": 0}
    metrics.PROFILES.withdraw(KEY)


async def test_a_profile_whose_name_is_too_long_for_a_label_still_has_the_pods_that_it_chooses() -> None:
    harness = Harness()
    key = NamespacedName("default", "q" * 64)
    spec = {"match": {"podLabels": {"app": "vllm"}}}
    harness.put(kinds.HIPBMM_PROFILE, {"metadata": {"name": key.name}, "spec": spec})
    harness.put(kinds.NAMESPACE, {"metadata": {"name": "default", "labels": {"hipbmm.io/injection": "enabled"}}}, "")
    pod = stacks.pod("deployment")
    pod["metadata"] |= {"name": "p", "labels": {"app": "vllm"}}
    harness.put(kinds.POD, pod)
    await harness.list.refresh()
    await harness.reconcile(key)
    assert harness.kube.objects[kinds.HIPBMM_PROFILE, "default", key.name]["status"]["pods"]["matched"] == 1
    metrics.PROFILES.withdraw(key)


async def test_a_namespace_that_cannot_be_listed_hides_no_other() -> None:
    harness = Harness()
    kube: Any = harness.kube
    queue = Queue(Backoff(1.0, 1.0, lambda: 1.0), lambda: 0.0)
    profiles = ProfileList(kube, ("b", "default"), queue)
    harness.put(kinds.HIPBMM_PROFILE, {"metadata": {"name": "theirs"}, "spec": {}}, "b")
    await profiles.refresh()
    harness.kube.hidden = "b"
    harness.put(kinds.HIPBMM_PROFILE, {"metadata": {"name": "new"}, "spec": {}})
    await profiles.refresh()
    assert sorted(each["metadata"]["name"] for each in profiles.of("default")) == ["new", "qwen"]
    # What was known of it stays: its profiles are not gone.
    assert [each["metadata"]["name"] for each in profiles.of("b")] == ["theirs"]


async def test_an_older_list_of_profiles_never_replaces_a_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes long, beside that of a reconcile which has just written."""
    harness = Harness()
    taken, goes_on = asyncio.Event(), asyncio.Event()
    plain = harness.kube.pages

    async def late(*asked: Any, **more: Any) -> AsyncIterator[Page]:  # noqa: ANN401
        pages = [page async for page in plain(*asked, **more)]
        if not taken.is_set():
            taken.set()
            await goes_on.wait()
        for page in pages:
            yield page

    monkeypatch.setattr(harness.kube, "pages", late)
    older = asyncio.create_task(harness.list.refresh())
    await taken.wait()
    harness.kube.objects[kinds.HIPBMM_PROFILE, *KEY]["spec"] = {"suspend": True}
    newer = asyncio.create_task(harness.list.refresh())
    await asyncio.sleep(0)
    goes_on.set()
    await asyncio.gather(older, newer)
    found = harness.list.get(KEY)
    assert found is not None
    assert found["spec"] == {"suspend": True}


async def test_a_profile_that_is_gone_is_forgotten() -> None:
    harness = Harness()
    await harness.run()
    harness.kube.objects.pop((kinds.HIPBMM_PROFILE, "default", "qwen"))
    await harness.list.refresh()
    assert (await harness.reconcile(KEY)).again is None
    assert list(harness.list.of("default")) == []
