"""The status of a profile: what speaks against it, and what is said of workloads."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests import stacks
from tests.cluster import kstatus
from tests.unit.operator.profiles.test_trials import BAD_WARM, KERNEL, failed, pod, reported

from hipbmm_operator.api.reasons import Foreign
from hipbmm_operator.pods.pod import Container, Ended
from hipbmm_operator.pods.report import Report, ServedFrom
from hipbmm_operator.profiles import facts as values
from hipbmm_operator.profiles import report
from hipbmm_operator.profiles.facts import Admission, Facts, Kernel, Preflight

Json = dict[str, Any]
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
FACTS = Facts(
    kernel=Kernel(KERNEL, "hipbmm-kernel-aaaa"), admission=Admission("Policy"), preflight=Preflight(harvest=True)
)


def profile(spec: Json | None = None, status: Json | None = None) -> values.Profile:
    metadata = {"name": "qwen", "namespace": "default", "uid": "u", "generation": 3}
    return values.parse({"metadata": metadata, "spec": spec or {}, "status": status or {}})


def ready(status: Json) -> tuple[str, str]:
    found = next(each for each in status["conditions"] if each["type"] == "Ready")
    return found["status"], found["reason"]


def test_nothing_speaks_against_it() -> None:
    status = report.build(profile(), FACTS, NOW)
    assert ready(status) == ("True", "Injecting")
    assert status["injection"]["ready"] is True
    assert status["injection"]["env"] == [
        {"name": "HIPBMM_BUDGET_SECONDS", "value": "180"},
        {"name": "HIPBMM_MIRROR_LOG", "value": "1"},
        {"name": "HIPBMM_PROFILE", "value": "qwen"},
    ]
    assert status["injection"]["modes"] == ["Wrap"]


@pytest.mark.parametrize(
    ("spec", "change", "reason"),
    [
        ({"tuning": {"budgetSeconds": 0}}, {}, "InvalidSpec"),
        ({}, {"rivals": ("other",)}, "Conflict"),
        ({}, {"kernel": Kernel(problem="gone")}, "KernelUnavailable"),
        ({}, {"claim": ("ClaimNotFound", "no claim")}, "ClaimNotFound"),
        ({}, {"preflight": Preflight("no init containers")}, "PreflightRefused"),
    ],
)
def test_what_speaks_against_it(spec: Json, change: Json, reason: str) -> None:
    first = report.build(profile(), FACTS, NOW)
    status = report.build(profile(spec, first), replace(FACTS, **change), NOW)
    assert ready(status) == ("False", reason)
    assert status["injection"]["ready"] is False
    # What the cluster may still mend is in progress; what only a change of a profile ends has failed.
    failed = reason in ("InvalidSpec", "Conflict")
    assert kstatus.compute({"metadata": {"generation": 3}, "status": status}) == ("Failed" if failed else "InProgress")


@pytest.mark.parametrize(
    "key", ["a b", "a,b", "x in (y),app", "!app", "-x", "x-", "a/b/c", "/x", "a..b/c", "é", "", "x" * 64]
)
def test_a_key_that_no_label_has_is_named(key: str) -> None:
    """The API server takes it in the spec, and refuses each list of pods with it."""
    found = profile({"match": {"podLabels": {key: "x"}}})
    assert isinstance(found.spec, str)
    assert "spec.match.podLabels" in found.spec


@pytest.mark.parametrize("key", ["app", "a.b-c.io/d_E.f", "x" * 63])
def test_a_key_that_labels_have_is_taken(key: str) -> None:
    assert not isinstance(profile({"match": {"podLabels": {key: ""}}}).spec, str)


@pytest.mark.parametrize("enabled", [False, True])
@pytest.mark.parametrize("labels", [{}, {"app": "vllm"}])
def test_labels_that_choose_nothing_for_lack_of_a_label_of_the_namespace(
    labels: dict[str, str], *, enabled: bool
) -> None:
    status = report.build(profile({"match": {"podLabels": labels}}), replace(FACTS, enabled=enabled), NOW)
    (said,) = [each.get("message", "") for each in status["conditions"] if each["type"] == "Ready"]
    assert ready(status) == ("True", "Injecting")
    assert ("hipbmm.io/injection: enabled" in said) == (bool(labels) and not enabled)


def test_a_profile_that_somebody_suspends_is_done_and_injects_nothing() -> None:
    first = report.build(profile(), FACTS, NOW)
    status = report.build(profile({"suspend": True}, first), FACTS, NOW)
    assert ready(status) == ("True", "Suspended")
    assert status["injection"]["ready"] is False
    assert kstatus.compute({"metadata": {"generation": 3}, "status": status}) == "Current"


def test_an_invalid_field_is_named_with_its_value() -> None:
    status = report.build(profile({"tuning": {"budgetSeconds": 0}}), FACTS, NOW)
    message = next(each["message"] for each in status["conditions"] if each["type"] == "ConfigValid")
    assert "spec.tuning.budgetSeconds" in message
    assert "0" in message


def test_without_admission_the_recipe_is_there_and_the_profile_not_ready() -> None:
    status = report.build(profile(), replace(FACTS, admission=Admission()), NOW)
    assert ready(status) == ("False", "NoAdmission")
    assert status["injection"]["ready"] is True
    assert status["admission"] == "None"
    hooked = report.build(profile(), replace(FACTS, admission=Admission("Webhook")), NOW)
    assert ("AdmissionReady", "WebhookInstalled") in {(each["type"], each["reason"]) for each in hooked["conditions"]}


def test_several_installations_that_inject_are_named() -> None:
    def said(*names: str) -> tuple[str, str, str]:
        status = report.build(profile(), replace(FACTS, admission=Admission("Policy", names)), NOW)
        assert ready(status) == ("True", "Injecting")
        (found,) = [each for each in status["conditions"] if each["type"] == "AdmissionReady"]
        return found["status"], found["reason"], found["message"]

    assert said("one") == ("True", "PolicyInstalled", "a MutatingAdmissionPolicy injects pods")
    state, reason, message = said("one", "two")
    assert (state, reason) == ("True", "PolicyInstalled")
    assert "one and two change the same pods, each pod once: uninstall all but one" in message


def test_what_preflight_says() -> None:
    def reason(spec: Json, found: Preflight) -> str:
        status = report.build(profile(spec), replace(FACTS, preflight=found), NOW)
        return str(next(each["reason"] for each in status["conditions"] if each["type"] == "PreflightPassed"))

    assert reason({}, Preflight()) == "PreflightDone"
    assert reason({}, Preflight(unknown="a plain pod is refused as well")) == "PreflightUnknown"
    assert reason({"preflight": False}, Preflight()) == "PreflightOff"


def test_the_sidecar_only_where_it_was_admitted_and_wanted() -> None:
    assert "harvest" in report.build(profile(), FACTS, NOW)["injection"]
    assert "harvest" not in report.build(profile({"harvest": "Never"}), FACTS, NOW)["injection"]
    assert "harvest" not in report.build(profile(), replace(FACTS, preflight=Preflight()), NOW)["injection"]


def test_all_settings_reach_the_program() -> None:
    spec = {
        "model": {"name": "m", "tensorParallel": 4, "configMapRef": {"name": "c"}},
        "tuning": {"enabled": False, "verify": False, "search": "Exhaustive", "retuneToken": "t", "tokens": [8, 1]}
        | {"linears": [{"n": 1, "k": 2}], "budgetSeconds": 60},
        "cache": {"mirror": "Never", "pvc": {"claimName": "rows"}},
        "entrypoint": ["vllm", "serve"],
        "container": "main",
    }
    recipe = report.build(profile(spec), FACTS, NOW)["injection"]
    assert {each["name"]: each["value"] for each in recipe["env"]} == {
        "HIPBMM_PROFILE": "qwen",
        "HIPBMM_BUDGET_SECONDS": "60",
        "HIPBMM_TUNE": "0",
        "HIPBMM_VERIFY": "0",
        "HIPBMM_SEARCH": "Exhaustive",
        "HIPBMM_RETUNE_TOKEN": "t",
        "HIPBMM_MODEL": "m",
        "HIPBMM_TENSOR_PARALLEL": "4",
        "HIPBMM_MODEL_CONFIG": "/hipbmm/model-config/config.json",
        "HIPBMM_LINEARS": '[{"n": 1, "k": 2, "bias": false}]',
        "HIPBMM_TOKENS": "[1, 8]",
    }
    assert (recipe["claim"], recipe["modelConfig"], recipe["container"]) == ("rows", "c", "main")
    assert recipe["entrypoint"] == ["vllm", "serve"]


def test_pods_are_counted_and_a_plain_one_says_how_to_bring_it_in() -> None:
    plain = pod("old", injected=False)
    pods = (reported(pod("a", ready=True)), pod("b", BAD_WARM), plain)
    status = report.build(profile(), replace(FACTS, pods=pods), NOW)
    assert status["pods"] == {"matched": 3, "injected": 2, "progress": "2/3", "warm": 1, "warmProgress": "1/2"}
    found = status["workloads"][0]
    # The image is held while its first pod tries it.
    assert (found["kind"], found["name"], found["notInjected"]) == ("Deployment", "d", 1)
    assert found["reason"] == "Predates"
    assert "kubectl -n models rollout restart deployment/d" in found["message"]


def test_pods_that_skip_the_profile_and_pods_that_ended_are_not_counted() -> None:
    skips, plain = pod("s", injected=False), pod("old", injected=False)
    skips.body["metadata"]["annotations"] = {"hipbmm.io/skip": "true"}
    ended = (failed(pod("e", injected=False)), failed(pod("f")))
    status = report.build(profile(), replace(FACTS, pods=(reported(pod("a", ready=True)), skips, *ended)), NOW)
    assert (status["pods"]["matched"], status["pods"]["injected"]) == (1, 1)
    assert next(each["message"] for each in status["conditions"] if each["type"] == "Ready") == ""
    status = report.build(profile(), replace(FACTS, pods=(pod("a"), skips, plain, *ended)), NOW)
    assert status["pods"]["progress"] == "1/2"
    assert "; 1 of 2 are plain" in next(each["message"] for each in status["conditions"] if each["type"] == "Ready")


def test_a_stuck_pod_is_named() -> None:
    status = report.build(profile(), replace(FACTS, pods=(pod("b", BAD_WARM),)), NOW)
    assert status["workloads"][0]["reason"] == "Stuck"
    assert "b: hipbmm-warm: RunContainerError" in status["workloads"][0]["message"]


def test_a_stuck_pod_is_named_where_it_keeps_others_of_its_workload_plain() -> None:
    image = pod("x").body["spec"]["containers"][0]["image"]
    pods = (pod("b", BAD_WARM, image=image), pod("c", image=image, injected=False))
    (entry,) = report.build(profile(), replace(FACTS, pods=pods), NOW)["workloads"]
    assert entry["reason"] == "Canary"
    assert entry["message"].endswith("; b is stuck: delete it")


def test_why_nothing_was_planned_says_what_was_found_of_the_server() -> None:
    unread = reported(pod("a"), "ConfigMissing")
    said = Report(
        "NoPlan", Foreign("ConfigMissing"), "no model is named", notes=("server: ScriptFile: /start.sh", "plan")
    )
    facts = replace(FACTS, pods=(replace(unread, pod=replace(unread.pod, report=said)),))
    (entry,) = report.build(profile(), facts, NOW)["workloads"]
    assert (entry["reason"], entry["message"]) == (
        "ConfigMissing",
        "a: no model is named (server: ScriptFile: /start.sh)",
    )


def test_a_warm_that_has_left_no_report_is_named() -> None:
    silent = pod("a", Container("warm", ended=Ended(0, "Completed", "", None, None)))
    (entry,) = report.build(profile(), replace(FACTS, pods=(silent,)), NOW)["workloads"]
    assert (entry["reason"], entry["warm"]) == ("TunerFailed", 0)


def test_three_stuck_pods_suspend_it() -> None:
    pods = tuple(pod(f"p{n}", BAD_WARM) for n in range(3))
    first = report.build(profile(), replace(FACTS, pods=pods), NOW)
    assert ready(first) == ("False", "Suspended")
    again = report.build(profile(status=first), FACTS, NOW)
    assert ready(again) == ("False", "Suspended")
    body = {"metadata": {"generation": 3}, "status": again}
    assert kstatus.compute(body) == "Failed"
    body["metadata"] = {"generation": 4}
    assert kstatus.compute(body) == "InProgress"
    changed = profile(status=again)
    newer = replace(changed, meta=replace(changed.meta, generation=4))
    assert kstatus.compute(body | {"status": report.build(newer, FACTS, NOW)}) == "Current", "a new spec is a new try"


def test_rivals_are_profiles_whose_labels_can_meet() -> None:
    def body(**labels: str) -> Json:
        return {"spec": {"match": {"podLabels": labels}}}

    others = {"same": body(a="1"), "wider": body(b="2"), "apart": body(a="2"), "named": {"spec": {}}}
    assert values.rivals(body(a="1"), others) == ("same", "wider")
    assert values.rivals({"spec": {}}, others) == ()
    for each in ("same", "wider"):
        others[each]["spec"]["suspend"] = True
    assert values.rivals(body(a="1"), others) == (), "as where one profile takes the place of another"
    suspended = {"spec": {**body(a="1")["spec"], "suspend": True}}
    assert values.rivals(suspended, {"other": body(a="1")}) == ()


def test_a_status_of_its_own_is_read_back() -> None:
    status = report.build(profile(), replace(FACTS, pods=(reported(pod("a", ready=True)),)), NOW)
    assert report.build(profile(status=status), replace(FACTS, pods=(reported(pod("a", ready=True)),)), NOW) == status


@pytest.mark.parametrize("stack", stacks.STACKS)
def test_the_recipe_is_what_admission_reads(stack: str) -> None:
    from hipbmm_operator.injection import patch  # noqa: PLC0415  # beside what it is about

    status = report.build(profile(), replace(FACTS, env_files=True), NOW)
    made = {"metadata": {"name": "qwen"}, "status": status}
    assert patch.operations(stacks.asking(stack), made)


def test_a_pod_whose_server_says_that_it_has_no_table_in_memory_is_named() -> None:
    pods = (reported(pod("a", ready=True)), reported(pod("b", ready=True)))
    served_from = {"uid-a": ServedFrom("Memory"), "uid-b": ServedFrom("File", "another stack: gfx950")}
    status = report.build(profile(), replace(FACTS, pods=pods, served_from=served_from), NOW)
    assert (status["tuning"]["dispatch"], status["tuning"]["dispatchReason"]) == ("File", "another stack: gfx950")
    found = status["workloads"][0]
    assert (found["reason"], found["message"]) == ("ServingFromFile", "b: another stack: gfx950")
    good = report.build(profile(), replace(FACTS, pods=pods, served_from={"uid-a": ServedFrom("Memory")}), NOW)
    assert good["workloads"][0]["reason"] == ""
