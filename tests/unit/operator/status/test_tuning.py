"""Tuned, Warm, and status.tuning."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator.make import (
    Json,
    deployment,
    ended,
    hardware,
    observed,
    planned,
    pod,
    report,
    resource,
    time,
)
from tests.unit.operator.status.situations import condition, message, serving, status

from hipbmm_operator.pods.report import Progress, ServedFrom, Start, parse_start


def test_serving_warm() -> None:
    found = serving({"replicas": 2}, count=2)
    assert condition(found, "Ready") == ("True", "AllReplicasWarm")
    assert condition(found, "Progressing") == ("True", "RolloutComplete")
    assert (found["phase"], found["warm"], found["warmReplicas"]) == ("Running", "2/2", 2)
    assert found["tuning"]["progress"] == "204/204"
    assert found["cache"]["rows"] == 204


def test_serving_untuned_is_ready_and_says_so() -> None:
    found = serving(answer=report(state="Unsupported", reason="NoSolution", message="no solution", tuned=0))
    assert condition(found, "Ready") == ("True", "ServingUntuned")
    assert condition(found, "Tuned") == ("False", "NoSolution")
    assert condition(found, "Warm") == ("False", "ServingUntuned")
    assert found["warmReplicas"] == 0


def test_problems_that_turn_hipbmm_off_are_named() -> None:
    off = {"hipbmm": False, "unproven": ["M=1 N=256 K=512", "M=2 N=256 K=512\x1b[2J"]}
    found = serving(
        answer=report(state="Partial", reason="ProblemsUnproven", message="HIPBMM is off", tuned=202, **off)
    )
    assert condition(found, "Tuned") == ("False", "ProblemsUnproven")
    assert message(found, "Tuned") == "HIPBMM is off (M=1 N=256 K=512, M=2 N=256 K=512 [2J)"
    assert condition(found, "Ready") == ("True", "ServingUntuned")
    assert found["tuning"]["unproven"] == ["M=1 N=256 K=512", "M=2 N=256 K=512 [2J"]


def test_rows_that_no_plan_names_are_counted() -> None:
    assert serving(answer=report(unplanned=12))["tuning"]["unplanned"] == 12


def test_what_could_not_be_read_is_in_the_status() -> None:
    first = "planned from config.json: the image's vLLM died of exit(0): \x1b[2Jno licence"
    said = [first, *(f"note {number}" for number in range(20))]
    found = serving(answer=report(notes=said, plan={"source": "Config"}))["tuning"]
    assert found["planSource"] == "Config"
    assert found["notes"][0] == "planned from config.json: the image's vLLM died of exit(0):  [2Jno licence"
    assert found["notes"][1:] == [f"note {number}" for number in range(7)]


@pytest.mark.parametrize(
    "odd", [{"unproven": "x", "unplanned": "y"}, {"unproven": [1, None], "unplanned": -3}, {"new": {}}]
)
def test_what_a_newer_pod_says_is_harmless(odd: Json) -> None:
    found = serving(answer=report(**odd))
    assert condition(found, "Tuned") == ("True", "Tuned")
    assert found["tuning"]["unplanned"] == 0


def test_pods_of_different_stacks_are_not_tuned_as_one() -> None:
    of = resource({"replicas": 2})
    plan = planned(of, observed(pod(answer=report())))
    one = pod("a", revision=plan.revision.name, ready=True, answer=report())
    other = pod("b", revision=plan.revision.name, ready=True, answer=report(key="aaaaaaaaaaaaaaaa"))
    found = status({"replicas": 2}, one, other, live=deployment(plan))
    assert condition(found, "Tuned") == ("False", "MixedStacks")


MI300X = report(stack={"arch": "gfx942", "product": "MI300X", "partition": "SPX"})
MI355X = report(
    key="aaaaaaaaaaaaaaaa",
    stack={"arch": "gfx950", "product": "MI355X", "partition": "SPX"},
    problems=100,
    tuned=100,
    geomean="1.30",
)
POOL = hardware(product="MI300X,MI355X", kinds={"a": "MI300X/SPX/304", "b": "MI355X/SPX/256"})


def on(node: str, name: str, answer: Json | None, revision: str, **more: Any) -> Json:  # noqa: ANN401
    body = pod(name, revision=revision, ready=answer is not None, answer=answer, **more)
    body["spec"]["nodeName"] = node
    return body


def pool(*answers: tuple[str, Json | None], before: Json | None = None, **facts: Any) -> Json:  # noqa: ANN401
    """Three replicas are asked for of a pool of two kinds; pods are on these nodes and have answered so."""
    spec = {"replicas": 3}
    plan = planned(resource(spec), observed(pod(answer=report())))
    bodies = [
        on(node, f"p{number}", answer, plan.revision.name, warming=answer is None)
        for number, (node, answer) in enumerate(answers)
    ]
    return status(spec, *bodies, live=deployment(plan), before=before, hardware=POOL, **facts)


def test_each_stack_of_a_mixed_pool_is_shown_and_the_columns_have_the_sum() -> None:
    found = pool(("a", MI300X), ("a", MI300X | {"source": "Restored"}), ("b", MI355X))
    assert condition(found, "Tuned") == ("True", "Tuned")
    assert condition(found, "Ready") == ("True", "AllReplicasWarm")
    assert found["stacks"] == [
        {"key": "9f2c0a1b2c3d4e5f", "product": "MI300X", "partition": "SPX", "replicas": 2, "problems": 204,
         "tuned": 204, "warm": 2, "speedup": "1.11"},
        {"key": "aaaaaaaaaaaaaaaa", "product": "MI355X", "partition": "SPX", "replicas": 1, "problems": 100,
         "tuned": 100, "warm": 1, "speedup": "1.30"},
    ]  # fmt: skip
    assert (found["tuning"]["progress"], found["warm"]) == ("304/304", "3/3")
    assert found["tuning"]["geomeanSpeedup"] == "1.17"  # (1.11**204 * 1.30**100) ** (1 / 304)


def test_a_stack_that_is_not_complete_is_not_hidden_by_one_that_is() -> None:
    partial = MI355X | {"state": "Partial", "reason": "BudgetExceeded", "tuned": 60}
    found = pool(("a", MI300X), ("a", MI300X), ("b", partial))
    assert condition(found, "Tuned") == ("False", "BudgetExceeded")
    assert [(stack["tuned"], stack["warm"]) for stack in found["stacks"]] == [(204, 2), (60, 0)]
    assert (found["tuning"]["progress"], found["warm"]) == ("264/304", "2/3")


def test_a_new_kind_of_node_tunes_while_the_others_serve() -> None:
    found = pool(("a", MI300X), ("a", MI300X), ("b", None), progress=Progress("Tuning", 38, 100))
    assert condition(found, "Tuned") == ("False", "Tuning")
    assert [stack["replicas"] for stack in found["stacks"]] == [2]
    assert (found["readyReplicas"], found["warmReplicas"]) == (2, 2)
    assert found["tuning"]["progress"] == "38/100"


def test_the_speed_up_of_a_stack_outlives_the_pod_that_measured_it() -> None:
    before = pool(("a", MI300X), ("a", MI300X), ("b", MI355X))
    restored = {"source": "Restored", "reason": "Restored", "geomean": None}
    found = pool(("a", MI300X | restored), ("a", MI300X | restored), ("b", MI355X | restored), before=before)
    assert [stack["speedup"] for stack in found["stacks"]] == ["1.11", "1.30"]
    assert found["tuning"]["geomeanSpeedup"] == "1.17"


def test_a_pool_that_grows_kind_by_kind_says_so() -> None:
    spec = {"replicas": 6}
    plan = planned(resource(spec), observed(pod(answer=report())))
    bodies = [on("a", "p0", MI300X, plan.revision.name), on("a", "p1", MI300X, plan.revision.name)]
    live = deployment(plan)
    live["spec"]["replicas"] = 2
    held = replace(plan, replicas=2)
    found = status(spec, *bodies, live=live, plan=held, hardware=POOL)
    assert condition(found, "Progressing") == ("True", "HeldByStack")
    assert message(found, "Progressing") == "a replica on a new kind of node tunes before 4 more start"


def test_stacks_are_kept_while_no_pod_runs() -> None:
    before = pool(("a", MI300X), ("a", MI300X), ("b", MI355X))
    found = pool(before=before)
    assert [(stack["tuned"], stack["replicas"], stack["warm"]) for stack in found["stacks"]] == [
        (204, 0, 0),
        (100, 0, 0),
    ]


def test_tuning_shows_progress() -> None:
    of = resource()
    name = planned(of).revision.name
    live = deployment(planned(of))
    found = status(None, pod(revision=name, warming=True), live=live, progress=Progress("Tuning", 38, 204))
    assert condition(found, "Tuned") == ("False", "Tuning")
    assert (found["tuning"]["state"], found["tuning"]["progress"]) == ("Running", "38/204")
    assert (found["phase"], condition(found, "Ready")) == ("Tuning", ("False", "Tuning"))
    found = status(
        None, pod(revision=name, warming=True), live=live, progress=Progress("Tuning", 204, 204, verified=38)
    )
    assert found["tuning"]["progress"] == "verified 38/204"
    assert (found["tuning"]["tuned"], condition(found, "Tuned")) == (204, ("False", "Tuning"))


@pytest.mark.parametrize(
    ("progress", "tuned", "phase"),
    [
        (None, ("True", "Tuned"), "Starting"),
        (Progress("Loading", 0, 0), ("True", "Tuned"), "Starting"),
        (Progress("Tuning", 38, 204), ("False", "Tuning"), "Tuning"),
    ],
)
def test_a_pod_that_restores_what_another_tuned_is_not_tuning(
    progress: Progress | None, tuned: tuple[str, str], phase: str
) -> None:
    of = resource({"replicas": 2})
    name = planned(of).revision.name
    done, starting = pod("a", revision=name, answer=report()), pod("b", revision=name, warming=True)
    found = status({"replicas": 2}, done, starting, live=deployment(planned(of)), progress=progress)
    assert (condition(found, "Tuned"), found["phase"]) == (tuned, phase)


def test_a_resource_that_tunes_again_shows_the_progress_and_what_serves_meanwhile() -> None:
    was = planned(resource())
    change = {"tuning": {"retuneToken": "2"}}
    name = planned(resource(change)).revision.name
    old, new = (
        pod("old", revision=was.revision.name, ready=True, answer=report()),
        pod("new", revision=name, warming=True),
    )
    live = deployment(planned(resource(change)))
    found = status(change, old, new, live=live, progress=Progress("Tuning", 38, 204))
    assert (found["tuning"]["state"], found["tuning"]["progress"], found["warm"]) == ("Running", "38/204", "1/1")
    assert (found["tuning"]["key"], found["tuning"]["geomeanSpeedup"]) == ("9f2c0a1b2c3d4e5f", "1.11")
    assert (found["phase"], condition(found, "Ready")) == ("Updating", ("Unknown", "RollingOut"))


def test_how_a_tuner_of_before_ended_is_not_said_of_the_one_at_work() -> None:
    was = planned(resource())
    change = {"image": "vllm:2"}
    name = planned(resource(change)).revision.name
    crash = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": ended(1)}}
    old, new = pod("old", revision=was.revision.name, warm=crash), pod("new", revision=name, warming=True)
    live = deployment(planned(resource(change)))
    found = status(change, old, new, live=live, progress=Progress("Tuning", 38, 204))
    assert (condition(found, "Tuned"), found["tuning"]["state"]) == (("False", "Tuning"), "Running")
    assert "lastError" not in found["tuning"]
    assert [(failure["pod"], failure["reason"]) for failure in found["failures"]] == [("old", "TunerCrashed")]


def test_a_tuner_that_was_killed_once_and_tunes_on_is_said_to_tune() -> None:
    plan = planned(resource())
    state: Json = {"running": {"startedAt": time(900)}}
    again = {"state": state, "lastState": {"terminated": ended(137, reason="OOMKilled", seconds=60)}, "restartCount": 1}
    body = pod(revision=plan.revision.name, warm=again)
    found = status(None, body, live=deployment(plan), progress=Progress("Tuning", 38, 204))
    assert (found["phase"], condition(found, "Ready")) == ("Tuning", ("False", "Tuning"))
    assert condition(found, "Progressing") == ("True", "RollingOut")
    assert (found["tuning"]["state"], found["failures"]) == ("Running", [])


def test_a_resource_that_recovers_is_said_to_tune() -> None:
    """The pod of before crashes on while the repaired one tunes beside it."""
    was = planned(resource())
    change = {"server": {"args": ["--max-model-len", "8192"]}}
    name = planned(resource(change)).revision.name
    crash = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": ended(1)}}
    old = pod("old", revision=was.revision.name, answer=report(), server=crash)
    new = pod("new", revision=name, warming=True)
    live = deployment(planned(resource(change)))
    found = status(change, old, new, live=live, progress=Progress("Tuning", 41, 204))
    assert (found["phase"], condition(found, "Ready")) == ("Tuning", ("False", "Tuning"))
    assert condition(found, "Progressing") == ("True", "RollingOut")
    assert [failure["reason"] for failure in found["failures"]] == ["ServerCrashed"]


@pytest.mark.parametrize(
    "reason", ["Evicted", "Terminated", "NodeAffinity", "UnexpectedAdmissionError", "OutOfamd.com/gpu"]
)
def test_a_pod_that_is_only_kept_as_a_record_hides_nothing_of_its_successor(reason: str) -> None:
    """Evicted, or of a node that was shut down: Kubernetes keeps it until somebody deletes it."""
    name = planned(resource()).revision.name
    live = deployment(planned(resource()))
    dead = pod("dead", revision=name)
    dead["metadata"]["creationTimestamp"] = time(900)
    dead["status"] = {"phase": "Failed", "reason": reason, "message": "the node was low on resource"}
    found = status({}, dead, live=live)
    assert (found["phase"], condition(found, "Ready")[0]) == ("Failed", "False")
    successor = pod("new", revision=name, warming=True)
    found = status({}, dead, successor, live=live, progress=Progress("Tuning", 41, 204))
    assert (found["phase"], condition(found, "Ready"), found["failures"]) == ("Tuning", ("False", "Tuning"), [])
    assert condition(found, "Progressing") == ("True", "RollingOut")
    refused = pod("newest", revision=name)  # the node takes this one no more, either
    refused["metadata"]["creationTimestamp"] = time(5)
    refused["status"] = dead["status"]
    assert condition(status({}, successor, refused, live=live), "Progressing")[0] == "False"


def test_who_tuned_is_not_forgotten_when_the_tuner_is_gone() -> None:
    before = serving()
    restored = report(source="Restored", reason="Restored", seconds=0.4, geomean=None)
    after = serving(answer=restored, before=before)
    assert (after["tuning"]["source"], after["tuning"]["seconds"]) == ("Tuned", 48)
    assert after["tuning"]["geomeanSpeedup"] == "1.11"
    other = serving(answer=restored | {"key": "aaaaaaaaaaaaaaaa"}, before=before)
    assert other["tuning"]["source"] == "Restored"


@pytest.mark.parametrize("tuner", ["qwen-0", "qwen-9"])
def test_who_tuned_is_known_when_its_report_is_seen_together_with_those_of_others(tuner: str) -> None:
    """Whatever the pods' names; also after a status that saw only a pod that restored the rows."""
    of = resource({"replicas": 3})
    plan = planned(of, observed(pod(answer=report())))
    restored = report(source="Restored", reason="Restored", seconds=0.4, geomean=None)
    others = [pod(name, revision=plan.revision.name, ready=True, answer=restored) for name in ("qwen-1", "qwen-2")]
    alone = status({"replicas": 3}, *others, live=deployment(plan))
    assert alone["tuning"]["source"] == "Restored"
    bodies = [*others, pod(tuner, revision=plan.revision.name, ready=True, answer=report())]
    for before in (None, alone):
        found = status({"replicas": 3}, *bodies, live=deployment(plan), before=before)["tuning"]
        assert (found["source"], found["seconds"], found["geomeanSpeedup"]) == ("Tuned", 48, "1.11")


def test_a_tuner_that_hangs_is_reported() -> None:
    name = planned(resource()).revision.name
    seen = Progress("Tuning", 38, 204)
    found = status(
        None, pod(revision=name, warming=True), live=deployment(planned(resource())), progress=seen, stalled=True
    )
    assert condition(found, "Tuned") == ("False", "TunerStalled")
    assert condition(found, "Ready") == ("False", "TunerStalled")
    assert found["tuning"]["state"] == "Running"


@pytest.mark.parametrize(("phase", "words"), [("Improving", "faster kernels"), ("Checking", "table in memory")])
def test_a_tuner_says_what_it_does_when_all_problems_are_done(phase: str, words: str) -> None:
    of = resource({"replicas": 2})
    name = planned(of).revision.name
    pods = [pod("a", revision=name, answer=report()), pod("b", revision=name, warming=True)]
    found = status({"replicas": 2}, *pods, live=deployment(planned(of)), progress=Progress(phase, 204, 204))
    assert condition(found, "Tuned") == ("False", "Tuning")
    assert message(found, "Tuned").startswith("204 of 204 matrix shapes tuned; ")
    assert words in message(found, "Tuned")


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("NoTable", "ServingWithoutTable"),
        ("NoHipbmm", "ServingWithoutHipbmm"),
        ("NoAiter", "ServingWithoutAiter"),
        ("Tuned", None),
    ],
)
def test_a_server_that_crashed_with_its_table_serves_without_and_is_not_warm(mode: str, reason: str | None) -> None:
    start = Start(mode, "the server ended 2 times soon after its start" if reason else "")
    found = serving({"replicas": 2}, count=2, starts={"uid-qwen-1": start})
    assert condition(found, "Tuned") == ("True", "Tuned")
    if reason is None:
        assert condition(found, "Warm") == ("True", "AllReplicasWarm")
        return
    assert condition(found, "Warm") == ("False", reason)
    assert condition(found, "Ready") == ("True", "ServingUntuned")
    assert "qwen-1" in message(found, "Ready")
    assert "ended 2 times" in message(found, "Ready")
    assert (found["warmReplicas"], found["warm"]) == (1, "1/2")


def test_the_status_says_where_rows_are_found() -> None:
    found = serving(answer=report(dispatch="Memory", dispatchReason=""))
    assert found["tuning"]["dispatch"] == "Memory"
    assert "dispatchReason" not in found["tuning"]
    assert condition(found, "Warm") == ("True", "AllReplicasWarm")


@pytest.mark.parametrize("asked", ["Auto", "Memory"])
def test_a_pod_that_reads_the_file_says_why(asked: str) -> None:
    why = {"dispatch": "File", "dispatchReason": "VLLM_PLUGINS leaves hipbmm_dispatch out"}
    found = serving({"server": {"dispatch": asked}}, answer=report(**why))
    assert (found["tuning"]["dispatch"], found["tuning"]["dispatchReason"]) == tuple(why.values())
    expected = "ServingFromFile" if asked == "Memory" else "AllReplicasWarm"
    assert condition(found, "Warm") == ("True", expected)
    assert condition(found, "Ready") == ("True", "AllReplicasWarm")
    assert ("from the file: VLLM_PLUGINS" in message(found, "Warm")) is (asked == "Memory")


def test_what_exec_found_broken_counts_more_than_what_warm_said() -> None:
    log = "hipbmm exec: start 2 of the server, mode Tuned\nhipbmm exec: dispatch File: /hipbmm/dispatch/table: cut\n"
    start = parse_start(log)
    assert start == Start("Tuned", "", "/hipbmm/dispatch/table: cut")
    plan = planned(resource(), observed(pod(answer=report())))
    one = pod("a", revision=plan.revision.name, ready=True, answer=report(dispatch="Memory"))
    found = status(None, one, live=deployment(plan), starts={"uid-a": start})
    assert (found["tuning"]["dispatch"], found["tuning"]["dispatchReason"]) == ("File", start.from_file)


@pytest.mark.parametrize("asked", ["Auto", "Memory"])
def test_what_the_processes_say_counts_most(asked: str) -> None:
    spec = {"replicas": 2, "server": {"dispatch": asked}}
    served = {
        "uid-qwen-0": ServedFrom("Memory"),
        "uid-qwen-1": ServedFrom("File", "another stack: arch gfx950 (1 of 8 processes)"),
    }
    answer = report(dispatch="Memory")
    found = serving(spec, answer=answer, count=2, served_from=served)
    assert (found["tuning"]["dispatch"], found["tuning"]["dispatchReason"]) == (
        "File",
        served["uid-qwen-1"].reason,
    )
    assert condition(found, "Warm") == ("True", "ServingFromFile")
    assert "qwen-1 from the file: another stack" in message(found, "Warm")
    assert condition(found, "Ready") == ("True", "AllReplicasWarm")
    good = serving(spec, answer=answer, count=2, served_from=dict.fromkeys(served, ServedFrom("Memory")))
    assert (good["tuning"]["dispatch"], "dispatchReason" in good["tuning"]) == ("Memory", False)
    assert condition(good, "Warm") == ("True", "AllReplicasWarm")
    both = serving(spec, answer=answer, count=2, served_from=dict.fromkeys(served, ServedFrom("File", "torn")))
    assert "qwen-0 and 1 more from the file: torn" in message(both, "Warm")
