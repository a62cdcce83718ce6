"""One reconcile of a profile against an API server in memory: recipe, program, preflight, mirror, Events."""

import base64
import hashlib
import json
from typing import Any

import pytest
from tests import stacks
from tests.unit.operator import make, mirror_objects
from tests.unit.operator.controller.profile_desk import KEY, MAP, PROGRAM, Desk, condition

from hipbmm_operator.controller.injection import read_program
from hipbmm_operator.controller.profiles import ProfileList
from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.namespaced_name import NamespacedName
from hipbmm_operator.telemetry import metrics
from hipbmm_operator.workqueue.queue import Backoff, Queue

Json = dict[str, Any]


async def test_a_new_profile_is_ready_with_program_and_recipe() -> None:
    desk = Desk()
    status = await desk.run()
    assert condition(status, "Ready") == ("True", "Injecting")
    stored = desk.kube.objects[kinds.CONFIG_MAP, "default", MAP]
    assert base64.b64decode(stored["binaryData"]["hipbmm_kernel.zip"]) == PROGRAM.data
    assert stored["immutable"] is True
    assert status["injection"]["kernel"] == {"configMap": MAP, "sha256": PROGRAM.sha256}
    assert status["injection"]["mirrors"] == ["qwen-profile-mirror", "of-a-deployment"]
    assert ("HipbmmProfile", "Normal", "Injecting") in desk.events()
    writes = list(desk.kube.writes)
    await desk.run()
    assert desk.kube.writes == writes


async def test_the_second_profile_owns_the_program_too() -> None:
    desk = Desk()
    await desk.run()
    desk.put(kinds.HIPBMM_PROFILE, {"metadata": {"name": "other"}, "spec": {}})
    await desk.list.refresh()
    await desk.reconcile(NamespacedName("default", "other"))
    owners = desk.kube.objects[kinds.CONFIG_MAP, "default", MAP]["metadata"]["ownerReferences"]
    assert [owner["name"] for owner in owners] == ["qwen", "other"]


@pytest.mark.parametrize(
    ("data", "immutable"), [("AAAA", True), (base64.b64encode(PROGRAM.data).decode(), False), ("no base64", True)]
)
async def test_a_program_that_was_changed_is_made_anew(data: str, immutable: bool) -> None:
    desk = Desk()
    body = {"metadata": {"name": MAP}, "binaryData": {"hipbmm_kernel.zip": data}, "immutable": immutable}
    desk.put(kinds.CONFIG_MAP, body)
    await desk.run()
    stored = desk.kube.objects[kinds.CONFIG_MAP, "default", MAP]
    assert base64.b64decode(stored["binaryData"]["hipbmm_kernel.zip"]) == PROGRAM.data


@pytest.mark.parametrize("immutable", [True, False])
async def test_a_pinned_program_is_never_deleted(*, immutable: bool) -> None:
    """Nobody else could bring it back."""
    data = b"an older program"
    pin = hashlib.sha256(data).hexdigest()
    name = f"hipbmm-kernel-{pin[:12]}"
    held = data + b" that was changed" if immutable else data
    desk = Desk({"pin": pin})
    binary = {"hipbmm_kernel.zip": base64.b64encode(held).decode()}
    desk.put(kinds.CONFIG_MAP, {"metadata": {"name": name}, "binaryData": binary, "immutable": immutable})
    status = await desk.run()
    assert condition(status, "Ready") == ("False", "KernelUnavailable")
    assert desk.kube.objects[kinds.CONFIG_MAP, "default", name]["binaryData"] == binary


async def test_an_operator_without_a_program_says_so() -> None:
    status = await Desk(program=read_program("/nowhere/kernel.zip")).run()
    assert condition(status, "Ready") == ("False", "KernelUnavailable")
    assert "injection" not in status


async def test_a_program_that_no_config_map_holds(tmp_path: Any) -> None:  # noqa: ANN401  # pytest's own
    path = tmp_path / "kernel.zip"
    path.write_bytes(b"x" * 1_000_000)
    assert "more than a ConfigMap can hold" in read_program(str(path)).problem


async def test_what_injects() -> None:
    desk = Desk()
    desk.kube.objects.pop((kinds.MUTATING_POLICY_BINDING, "", "hipbmm-injection-label"))
    assert condition(await desk.run(), "AdmissionReady") == ("False", "NoAdmission")
    desk.installed(kinds.MUTATING_WEBHOOK, "zz-hipbmm-injection")
    assert condition(await desk.run(), "AdmissionReady") == ("True", "WebhookInstalled")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kinds.MUTATING_POLICY_BINDING, "second-injection-label"),
        (kinds.MUTATING_WEBHOOK, "zz-second-injection"),
    ],
)
async def test_a_second_installation_says_so_in_the_words_of_the_first(kind: Kind, name: str) -> None:
    """Both write the same status: other words of each would be written for ever."""
    desk = Desk()
    desk.put(kinds.MUTATING_WEBHOOK, {"metadata": {"name": "zz-somebody-else"}}, "")
    assert "change the same pods" not in json.dumps(await desk.run())
    desk.installed(kind, name)
    assert "hipbmm-injection and second-injection change the same pods" in json.dumps(await desk.run())


@pytest.mark.parametrize(
    ("server", "kubelets", "modes"),
    [
        ("v1.37.2", ["v1.37.2", "v1.35.0"], ["Wrap", "EnvFile"]),
        ("v1.37.2", ["v1.37.2", "v1.34.9"], ["Wrap"]),
        ("v1.34.1-gke.3", ["v1.35.0"], ["Wrap"]),
        ("unknown", [], ["Wrap"]),
        ("v1.35.0+k3s1", [], ["Wrap", "EnvFile"]),
    ],
)
async def test_variables_from_files_need_new_nodes(server: str, kubelets: list[str], modes: list[str]) -> None:
    desk = Desk()
    desk.kube.server = server
    for number, version in enumerate(kubelets):
        status = {"nodeInfo": {"kubeletVersion": version}}
        desk.put(kinds.NODE, {"metadata": {"name": f"n{number}"}, "status": status}, "")
    assert (await desk.run())["injection"]["modes"] == modes


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (None, "ClaimNotFound"),
        ({"phase": "Pending"}, "ClaimPending"),
        ({"phase": "Bound", "accessModes": ["ReadWriteOnce"]}, "AccessModeUnsupported"),
        ({"phase": "Bound", "accessModes": ["ReadWriteMany"]}, "Injecting"),
    ],
)
async def test_a_claim_that_pods_would_wait_for(status: Json | None, reason: str) -> None:
    desk = Desk({"cache": {"pvc": {"claimName": "rows"}}})
    if status is not None:
        desk.put(kinds.CLAIM, {"metadata": {"name": "rows"}, "status": status})
    found = await desk.run()
    assert condition(found, "Ready")[1] == reason
    assert found["injection"]["claim"] == "rows"


def _inits(pod: Json) -> list[str]:
    return [each["name"] for each in pod["spec"].get("initContainers") or []]


async def test_preflight_names_what_refuses_an_injected_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    monkeypatch.setattr(desk.kube, "refuses", lambda pod: "no init containers" if _inits(pod) else "")
    status = await desk.run()
    assert condition(status, "Ready") == ("False", "PreflightRefused")
    assert "no init containers" in str(status["conditions"])


async def test_preflight_leaves_out_a_sidecar_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    monkeypatch.setattr(desk.kube, "refuses", lambda pod: "too small" if "hipbmm-harvest" in _inits(pod) else "")
    status = await desk.run()
    assert condition(status, "Ready") == ("True", "Injecting")
    assert "harvest" not in status["injection"]


async def test_preflight_tries_the_sidecar_beside_a_server_of_the_name_that_the_spec_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk({"container": "main"})
    monkeypatch.setattr(desk.kube, "refuses", lambda pod: "too small" if "hipbmm-harvest" in _inits(pod) else "")
    status = await desk.run()
    assert condition(status, "Ready") == ("True", "Injecting")
    assert "harvest" not in status["injection"]
    assert "harvest" in (await Desk({"container": "main"}).run())["injection"]


async def test_where_pods_share_a_quota_none_gets_a_sidecar() -> None:
    desk = Desk()
    desk.put(kinds.RESOURCE_QUOTA, {"metadata": {"name": "q"}, "spec": {}})
    assert "harvest" not in (await desk.run())["injection"]


async def test_preflight_of_a_namespace_that_refuses_all_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    monkeypatch.setattr(desk.kube, "refuses", lambda _: "quota exceeded")
    status = await desk.run()
    assert condition(status, "PreflightPassed") == ("Unknown", "PreflightUnknown")
    assert condition(status, "Ready") == ("True", "Injecting")
    assert "harvest" not in status["injection"]


async def test_preflight_tries_the_pods_that_are_there_and_can_be_left_out() -> None:
    desk = Desk()
    desk.pod("old", injected=False)
    await desk.run()
    images = {body["spec"]["containers"][0]["image"] for body in desk.kube.dry_runs}
    assert images == {"localhost/hipbmm/preflight:1", "registry.example/vllm-openai-rocm:v0.23.0"}
    assert all(body["metadata"]["annotations"] == {"hipbmm.io/skip": "true"} for body in desk.kube.dry_runs)
    without = Desk({"preflight": False})
    await without.run()
    assert without.kube.dry_runs == []


async def test_rows_in_a_log_reach_the_mirror() -> None:
    desk = Desk()
    await desk.run()
    shard = mirror_objects.text(mirror_objects.line(1))
    name = mirror_objects.name_of(shard)
    text = mirror_objects.log(shard)
    desk.kube.logs["a", "hipbmm-warm"] = text
    desk.pod("a", injected=True, report=make.report(mirror={"shards": [name], "lines": text.count("\n")}))
    status = await desk.run()
    assert status["pods"] == {"matched": 1, "injected": 1, "progress": "1/1", "warm": 1, "warmProgress": "1/1"}
    assert [each["state"] for each in status["canaries"]] == ["Proved"]
    assert list(desk.kube.objects[kinds.CONFIG_MAP, "default", "qwen-profile-mirror"]["binaryData"]) == [f"{name}.gz"]
    reads = desk.kube.reads.count(("log", "a/hipbmm-warm"))
    await desk.run()
    assert desk.kube.reads.count(("log", "a/hipbmm-warm")) == reads


async def test_what_production_asked_for_reaches_the_mirror() -> None:
    desk = Desk()
    await desk.run()
    desk.pod("a", injected=True, report=make.report())
    body = desk.kube.objects[kinds.POD, "default", "a"]
    up = {"name": "hipbmm-harvest", "state": {"running": {}}, "ready": True}
    body["status"]["initContainerStatuses"].append(up)
    origin = f"demand.{body['metadata']['uid']}"
    asked = mirror_objects.text("7,256,512,0,99", origin=origin, kind="demand", number=1)
    name = mirror_objects.name_of(asked, origin, 1)
    desk.kube.logs["a", "hipbmm-harvest"] = mirror_objects.log(asked, names=[name])
    await desk.run()
    assert list(desk.kube.objects[kinds.CONFIG_MAP, "default", "qwen-profile-mirror"]["binaryData"]) == [f"{name}.gz"]
    reads, writes = desk.kube.reads.count(("log", "a/hipbmm-harvest")), list(desk.kube.writes)
    await desk.run()
    assert desk.kube.reads.count(("log", "a/hipbmm-harvest")) == reads
    assert desk.kube.writes == writes


async def test_a_trial_is_proved_by_its_log() -> None:
    desk = Desk()
    await desk.run()
    desk.pod("a", injected=True)
    assert [each["state"] for each in (await desk.run())["canaries"]] == ["Testing"]
    pod = desk.kube.objects[kinds.POD, "default", "a"]
    pod["status"]["initContainerStatuses"][0]["state"] = {"running": {}}
    desk.kube.logs["a", "hipbmm-warm"] = "hipbmm progress phase=Tuning tuned=1 problems=9\n"
    assert [each["state"] for each in (await desk.run())["canaries"]] == ["Proved"]


async def test_an_owner_hears_of_its_pods() -> None:
    desk = Desk()
    await desk.run()
    desk.put(kinds.DEPLOYMENT, {"metadata": {"name": "vllm"}, "spec": {}})
    desk.pod("a", injected=True, report=make.report())
    await desk.run()
    assert ("Deployment", "Normal", "Injected") in desk.events()
    desk.pod("b", injected=False)
    await desk.run()
    assert ("Deployment", "Warning", "NotInjected") in desk.events()


async def test_a_suspended_profile_has_no_pods_that_are_plain_against_its_will() -> None:
    def shown() -> Json:
        samples = next(each for each in metrics.PROFILES.collect() if each.name == "hipbmm_profile_pods").samples
        return {each.labels["state"]: each.value for each in samples if each.labels["name"] == "qwen"}

    desk = Desk()
    desk.pod("old", injected=False)
    await desk.run()
    assert shown() == {"injected": 0, "plain": 1, "warm": 0}
    desk.kube.objects[kinds.HIPBMM_PROFILE, "default", "qwen"]["spec"] = {"suspend": True}
    await desk.run()
    assert shown() == {"injected": 0, "suspended": 1, "warm": 0}
    metrics.PROFILES.withdraw(KEY)


async def test_a_profile_whose_name_is_too_long_for_a_label_still_has_the_pods_that_it_chooses() -> None:
    desk = Desk()
    key = NamespacedName("default", "q" * 64)
    spec = {"match": {"podLabels": {"app": "vllm"}}}
    desk.put(kinds.HIPBMM_PROFILE, {"metadata": {"name": key.name}, "spec": spec})
    desk.put(kinds.NAMESPACE, {"metadata": {"name": "default", "labels": {"hipbmm.io/injection": "enabled"}}}, "")
    pod = stacks.pod("deployment")
    pod["metadata"] |= {"name": "p", "labels": {"app": "vllm"}}
    desk.put(kinds.POD, pod)
    await desk.list.refresh()
    await desk.reconcile(key)
    assert desk.kube.objects[kinds.HIPBMM_PROFILE, "default", key.name]["status"]["pods"]["matched"] == 1
    metrics.PROFILES.withdraw(key)


async def test_a_namespace_that_cannot_be_listed_hides_no_other() -> None:
    desk = Desk()
    kube: Any = desk.kube
    queue = Queue(Backoff(1.0, 1.0, lambda: 1.0), lambda: 0.0)
    profiles = ProfileList(kube, ("b", "default"), queue)
    desk.put(kinds.HIPBMM_PROFILE, {"metadata": {"name": "theirs"}, "spec": {}}, "b")
    await profiles.refresh()
    desk.kube.hidden = "b"
    desk.put(kinds.HIPBMM_PROFILE, {"metadata": {"name": "new"}, "spec": {}})
    await profiles.refresh()
    assert sorted(each["metadata"]["name"] for each in profiles.of("default")) == ["new", "qwen"]
    # What was known of it stays: its profiles are not gone.
    assert [each["metadata"]["name"] for each in profiles.of("b")] == ["theirs"]


async def test_a_profile_that_is_gone_is_forgotten() -> None:
    desk = Desk()
    await desk.run()
    desk.kube.objects.pop((kinds.HIPBMM_PROFILE, "default", "qwen"))
    await desk.list.refresh()
    assert (await desk.reconcile(KEY)).again is None
    assert list(desk.list.of("default")) == []
