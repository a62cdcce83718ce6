"""The tuner crashes, hangs, is killed, runs out of time, or finds no solution, in a real pod."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.badday import SMALL_CONFIG, Case, Wave, config_map, faults, furnish, tuned_alone
from tests.e2e.rollout import workspace

from demo.cluster import Cluster

pytestmark = pytest.mark.timeout(900)

Json = dict[str, Any]

LITTLE_MEMORY: Json = {"podTemplate": {"spec": {"containers": [{"name": "server"}]}}}
LITTLE_MEMORY["podTemplate"]["spec"]["containers"][0]["resources"] = {
    "limits": {"memory": "40Mi"},
    "requests": {"memory": "40Mi"},
}


def tuned_again(name: str) -> Json:
    """A problem that is vetoed stays so for all who share the store, until a new token asks for it again."""
    return {"tuning": {"retuneToken": f"{name}-again"}}


HOSTILE = SMALL_CONFIG | {"hidden_size": -4096}

CASES = [
    # What ends every child that meets it, whatever the index: HIPBMM is off for it.
    Case(
        "exits",
        "Tuned",
        "ProblemsUnproven",
        "1 failed",
        tuned_alone("exits", faults("exit:M=2,N=1024,K=512"), verify=False),
        mended=tuned_again("exits"),
        serves=None,
    ),
    Case(
        "hangs",
        "Tuned",
        "ProblemsUnproven",
        "1 failed",
        tuned_alone("hangs", faults("hang:M=2,N=1024,K=512", ("HIPBMM_PROBLEM_SECONDS", "20")), verify=False),
        mended=tuned_again("hangs"),
        serves=None,
    ),
    # On cgroup v1 the kernel kills the largest process only, which is the tuner's child; on v2 all of the container.
    Case("killed", "Tuned", "TunerOutOfMemory", "memory limit", tuned_alone("killed", LITTLE_MEMORY), serves=None),
    Case(
        "no-time",
        "Tuned",
        "BudgetExhausted",
        "within the budget",
        tuned_alone("no-time", {"tuning": {"budgetSeconds": 1}}),
        serves=True,
    ),
    Case(
        "no-solution",
        "Tuned",
        "NoSolution",
        "no solution",
        tuned_alone("no-solution", faults("no-solution")),
        serves=True,
    ),
    Case(
        "other-stack",
        "Tuned",
        "StackMismatch",
        "228",
        tuned_alone("other-stack", faults("", ("HIPBMM_SIM_CU", "228"))),
        serves=True,
    ),
    Case(
        "no-config",
        "ConfigValid",
        "ConfigMissing",
        "config.json",
        {"model": {"name": "tests/none", "configMapRef": None}},
    ),
    Case(
        "hostile-config",
        "ConfigValid",
        "ConfigInvalid",
        "hidden_size",
        {"model": {"configMapRef": {"name": "hostile"}}},
        arrange=lambda kubectl: config_map(kubectl, "hostile", HOSTILE),
    ),
]


@pytest.fixture(scope="module")
def wave(cluster: Cluster) -> Iterator[Wave]:
    if not cluster.simulated:
        pytest.skip("breaks things on purpose: only on our own cluster")
    with workspace(cluster, "e2e-tuner") as kubectl:
        furnish(kubectl)
        found = Wave(cluster, kubectl, CASES, seed=False)
        found.start()
        yield found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_shows(wave: Wave, case: Case) -> None:
    wave.shows(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_heals(wave: Wave, case: Case) -> None:
    wave.heals(case)
