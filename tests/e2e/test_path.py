"""The demo's claims, one test each, in the order in which a user meets them (one rollout serves them all)."""

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.audit import at_rest, writes_during
from tests.e2e.rollout import Rollout, workspace

from demo import any_pod, checks, install, next_steps, view, wait
from demo.cluster import Cluster

pytestmark = pytest.mark.timeout(3600)

OPERATOR_USER = "system:serviceaccount:hipbmm-system:hipbmm-operator"
SETTLED_WITHIN = 1800  # seconds; a simulated GPU computes on the CPU, which other tests may be using
RSS_LIMIT_KIB = 120 * 1024


@pytest.fixture(scope="module")
def rollout(cluster: Cluster) -> Iterator[Rollout]:
    with workspace(cluster, "e2e-path") as kubectl:
        name = install.example(cluster, kubectl)
        made = Rollout(cluster, kubectl, name)
        made.settle(SETTLED_WITHIN)
        yield made


def test_one_replica_tuned_and_the_other_restored(rollout: Rollout) -> None:
    reports = checks.reports(rollout.kubectl, rollout.name)
    assert len(reports) == 2
    assert sorted(r["source"] for r in reports.values()) == ["Restored", "Tuned"]
    assert all(r["tuned"] == r["problems"] == r["rows"] for r in reports.values())


def test_the_status_tells_what_the_pods_report(rollout: Rollout) -> None:
    status = rollout.resource()["status"]
    report = next(iter(checks.reports(rollout.kubectl, rollout.name).values()))
    assert status["tuning"]["key"] == report["key"]
    assert status["tuning"]["problems"] == report["problems"]
    assert status["tuning"]["stack"]["simulated"] is rollout.cluster.simulated
    assert status["hardware"]["arch"] == report["stack"]["arch"]


def test_a_completion_comes_back_through_the_service(rollout: Rollout) -> None:
    assert checks.completion(rollout.kubectl, rollout.name)["object"] == "text_completion"


def test_the_server_tuned_nothing_itself(rollout: Rollout) -> None:
    if not rollout.cluster.simulated:
        pytest.skip("counts the simulator's own look-ups")
    for pod in checks.pods(rollout.kubectl, rollout.name):
        program = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/metrics').read().decode())"
        text = rollout.kubectl.run("exec", pod["metadata"]["name"], "-c", "server", "--", "python3", "-c", program)
        samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("hipbmm_sim_"))
        # The table is in memory: AITER is handed each index, and looks none up.
        assert float(samples["hipbmm_sim_chosen_total"]) > 0
        assert float(samples["hipbmm_sim_lookup_hits_total"]) == 0
        assert float(samples["hipbmm_sim_lookup_misses_total"]) == 0


def test_the_calls_run_verified_indices_from_memory_and_the_sidecar_counts_them(rollout: Rollout) -> None:
    assert rollout.resource()["status"]["tuning"]["dispatch"] == "Memory"
    for pod in checks.pods(rollout.kubectl, rollout.name):
        name = pod["metadata"]["name"]
        counted = wait.until(f"{name} to have counted calls", functools.partial(calls, rollout, name), 600)
        assert counted["verified"] > 0
        wait.until(
            f"the sidecar of {name} to pass on who serves from memory", functools.partial(spoken, rollout, name), 600
        )


def spoken(rollout: Rollout, pod: str) -> bool:
    """Whether the log of the sidecar has the word of the server's processes, which the operator reads."""
    return "\nhipbmm harvest: dispatch Memory:" in rollout.kubectl.run("logs", pod, "-c", "harvest")


def calls(rollout: Rollout, pod: str) -> dict[str, float] | None:
    """Calls of rank 0 by result, as the sidecar shows them; None before the first are counted."""
    program = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9410/metrics').read().decode())"
    asked = rollout.kubectl.attempt("exec", pod, "-c", "server", "--", "python3", "-c", program)
    found = re.findall(r'^hipbmm_dispatch_calls_total{rank="0",result="(\w+)"} (\d+)$', asked.stdout, re.MULTILINE)
    return {result: float(count) for result, count in found} or None


def test_the_table_on_the_volume_is_aiters_csv(rollout: Rollout) -> None:
    lines = checks.table_csv(rollout.kubectl, rollout.name)
    assert len(lines) - 1 >= rollout.resource()["status"]["tuning"]["problems"]
    assert all(line.count(",") == 19 for line in lines)


def test_scaling_to_four_starts_warm_without_torch(rollout: Rollout) -> None:
    tuners = checks.tuners(rollout.kubectl, rollout.name)
    rollout.kubectl.run("scale", "hipbmmdeployment", rollout.name, "--replicas=4")
    rollout.settle(SETTLED_WITHIN)
    assert len(tuners) == 1
    assert checks.tuners(rollout.kubectl, rollout.name) == tuners
    assert len(checks.restored_fast(rollout.kubectl, rollout.name, tuners[0])) == 3


def test_nothing_is_written_while_nothing_changes(rollout: Rollout, audit_log: str) -> None:
    log = Path(audit_log)

    def rolled_out() -> bool | None:
        """Pods are available some time after they are ready, and the status tells that."""
        return view.condition(rollout.resource(), "Progressing").get("reason") == "RolloutComplete" or None

    wait.until("the end of the rollout", rolled_out, 600)
    wait.until("the last write", lambda: at_rest(log, OPERATOR_USER) or None, 600)

    def minute() -> list[str] | None:
        """The writes of a minute in which no pod changed: one whose probe failed on a busy machine is worth a write."""
        before = versions(rollout)
        found = writes_during(log, OPERATOR_USER, 60)
        return found if versions(rollout) == before else None

    assert wait.until("a minute in which no pod changes", minute, 1200) == []


def versions(rollout: Rollout) -> dict[str, str]:
    """The pods of the resource, by resourceVersion."""
    found = (pod["metadata"] for pod in checks.pods(rollout.kubectl, rollout.name))
    return {about["name"]: about["resourceVersion"] for about in found}


def test_the_operator_stays_small(rollout: Rollout) -> None:
    system = rollout.kubectl.within(install.SYSTEM)
    text = system.run(
        "exec", "deployment/hipbmm-operator", "--", "python", "-c", "print(open('/proc/1/status').read())"
    )
    rss = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))
    assert rss <= RSS_LIMIT_KIB


def test_deleting_with_the_operator_stopped_leaves_only_the_claim(rollout: Rollout) -> None:
    system = rollout.kubectl.within(install.SYSTEM)
    system.run("scale", "deployment/hipbmm-operator", "--replicas=0")
    wait.until("the operator is gone", lambda: not system.items("pods") or None, 480)
    try:
        rollout.kubectl.run("delete", "hipbmmdeployment", rollout.name)
        assert checks.only_the_claim_stays(rollout.kubectl, rollout.name).startswith("persistentvolumeclaim/")
    finally:
        system.run("scale", "deployment/hipbmm-operator", "--replicas=1")
        system.run("rollout", "status", "deployment/hipbmm-operator", "--timeout=600s", timeout=620)


def test_the_commands_that_the_demo_prints_work_and_restore_from_the_claim_that_stayed(rollout: Rollout) -> None:
    bash = shutil.which("bash")
    assert bash
    next_steps.MANIFEST.parent.mkdir(parents=True, exist_ok=True)
    next_steps.MANIFEST.write_text(install.manifest(rollout.cluster)[1])
    printed = next_steps.commands(rollout.cluster, rollout.kubectl.namespace)
    script = "\n".join(command.line for command in printed if not command.removes)
    done = subprocess.run([bash, "-euxc", script], capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rollout.settle(SETTLED_WITHIN)
    reports = checks.reports(rollout.kubectl, rollout.name).values()
    assert {r["source"] for r in reports} == {"Restored"}


def test_one_label_on_a_deployment_of_somebody_else_restores_the_rows(rollout: Rollout) -> None:
    if not rollout.cluster.simulated:
        pytest.skip("its server has a config.json and no weights")
    claim = rollout.resource()["status"]["cache"]["claimName"]
    any_pod.apply_profile(rollout.kubectl, claim)
    rollout.kubectl.apply(any_pod.known_model(rollout.cluster))
    pod = any_pod.ready(rollout.kubectl, any_pod.KNOWN)
    assert any_pod.restored(rollout.kubectl, pod)["rows"] == rollout.resource()["status"]["tuning"]["problems"]
    assert any_pod.columns(rollout.kubectl, "1/1")
