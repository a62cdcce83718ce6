"""Whatever breaks of ours, the server of somebody else becomes Ready, plain or tuned, and says why: real faults."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.e2e import foreign
from tests.e2e.foreign import FLAGS, MODEL, Place, pod_spec, server, with_env
from tests.e2e.node_agent import NodeAgent

from demo.cluster import Cluster

pytestmark = pytest.mark.timeout(900)

Json = dict[str, Any]

GRACE_SECONDS = 30
"""Beyond its budget `hipbmm-warm` takes at most that."""
BUDGET_SECONDS = 10
LOAD_SECONDS = 300
"""What a simulated server may take on a busy machine."""
SLOW = {"budgetSeconds": BUDGET_SECONDS}
POISON = "HIPBMM_SIM_FAULTS=exit:on=explicit"
"""The server ends whenever it runs an index of the table."""
MOUNT = {"name": "between", "mountPath": "/between"}


def between(image: str, container: Json, text: str, name: str = "wait-for-leader") -> Json:
    """A pod with an init container of its author that runs a shell text between `hipbmm-warm` and the server."""
    init = {"name": name, "image": image, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", text]}
    container["volumeMounts"] = [*container["volumeMounts"], MOUNT]
    volumes = [{"name": "between", "emptyDir": {}}]
    return pod_spec(container, volumes=volumes, initContainers=[init | {"volumeMounts": [MOUNT]}])


def held(image: str, container: Json, name: str = "wait-for-leader") -> Json:
    """The same; it waits until `let_go`."""
    return between(image, container, "until [ -e /between/go ]; do sleep 0.2; done", name)


def let_go(place: Place, pod: Json, name: str = "wait-for-leader") -> None:
    """End that wait."""
    place.kubectl.run("exec", pod["metadata"]["name"], "-c", name, "--", "touch", "/between/go")


def poisoned(image: str, **changes: Any) -> Json:  # noqa: ANN401  # fields of a container
    """A server that crashes with the table, which `hipbmm-warm` does not see yet."""
    container = with_env(server(image, **changes), {"HIPBMM_SIM_FILE": "/between/env"})
    return between(image, container, f"echo {POISON} > /between/env")


def without_python(image: str) -> Json:
    """PATH has a shell and no python3, as in an image that calls it otherwise."""
    command = ["/usr/bin/python3", "-m", "vllm.entrypoints.cli.main", "serve"]
    container = with_env(server(image, command=command), {"PATH": "/between"})
    return between(image, container, "cp /bin/sh /usr/bin/tee /between/", "tools")


def limited(image: str) -> Json:
    """Memory for the server, and none to tune with."""
    container = server(image)
    container["resources"] = {"limits": {"amd.com/gpu": "1", "memory": "900Mi"}}
    return pod_spec(container)


Maker = Callable[[str], Json]
WAVE: dict[str, tuple[Json, Maker]] = {
    "hang": (SLOW, lambda image: pod_spec(with_env(server(image), {"HIPBMM_SIM_FAULTS": "hang:on=tune"}))),
    "no-python": (SLOW, without_python),
    "low-memory": (SLOW, limited),
    "no-solution": ({}, lambda image: pod_spec(with_env(server(image), {"HIPBMM_SIM_FAULTS": "no-solution"}))),
}
"""Profiles of their own: a profile injects nobody any more after three stuck pods."""
POISONED: dict[str, Maker] = {
    "poison-entrypoint": poisoned,
    "poison-command": lambda image: poisoned(image, command=["vllm", "serve"]),
}


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Place]:
    """A profile `good` with rows, and what needs no more than to be created broken."""
    if not cluster.simulated:
        pytest.skip("breaks things on purpose: only on our own cluster")
    with foreign.place(cluster, "e2e-any-faults") as found:
        found.profile("good")
        found.deploy("good", "good", pod_spec(server(found.image)))
        for name, (tuning, _) in WAVE.items():
            found.profile(name, tuning=tuning)
        found.ready("good")
        found.proved("good")
        found.becomes("good", "rows", lambda body: body["status"]["pods"]["warmProgress"] == "1/1")
        for name, (_, make) in WAVE.items():
            found.deploy(name, name, make(found.image))
        for name, make in POISONED.items():
            found.deploy(name, "good", make(found.image))
        yield found


def seconds_of_warm(pod: Json) -> float:
    """How long `hipbmm-warm` ran, as kubelet says."""
    ended = foreign.status_of(pod, foreign.WARM)["state"]["terminated"]
    began, end = (time.mktime(time.strptime(ended[key], "%Y-%m-%dT%H:%M:%SZ")) for key in ("startedAt", "finishedAt"))
    return end - began


def test_a_tuner_that_hangs_costs_the_budget_and_no_more(place: Place) -> None:
    """Case 16: hung past its deadline."""
    pod = place.ready("hang")
    assert seconds_of_warm(pod) <= BUDGET_SECONDS + GRACE_SECONDS
    assert foreign.restarts(pod)[foreign.WARM] == 0
    assert foreign.report(pod)["tuned"] < foreign.PROBLEMS
    assert place.counters(pod)["hipbmm_sim_lookup_misses_total"] == 0
    assert place.workload("hang", "hang", foreign.report(pod)["reason"])["message"]


def test_an_image_that_has_no_python3_of_that_name(place: Place) -> None:
    """Case 16: python3 renamed."""
    pod = place.ready("no-python")
    assert foreign.is_injected(pod)
    assert set(foreign.restarts(pod).values()) == {0}
    ended = foreign.status_of(pod, foreign.WARM)["state"]["terminated"]
    assert (ended["exitCode"], "no python3" in ended["message"]) == (0, True)
    log = place.kubectl.run("logs", pod["metadata"]["name"], "-c", "vllm")
    assert "Application startup complete" in log
    assert "AiterHipbMM" not in log
    place.becomes("no-python", "the image is refused", lambda body: states(body) == ["Refused"])


def states(body: Json) -> list[str]:
    """Of the trials in a profile's status."""
    return [each["state"] for each in body["status"].get("canaries", [])]


def test_too_little_memory_to_tune_with_ends_no_container(place: Place) -> None:
    """Case 16: OOM does not happen, because what would need the memory is not started."""
    pod = place.ready("low-memory")
    assert set(foreign.restarts(pod).values()) == {0}
    assert "too few" in json.dumps(foreign.report(pod)["notes"])
    assert foreign.report(pod)["tuned"] == 0
    assert place.counters(pod)["hipbmm_sim_lookup_misses_total"] == 0


def test_a_stack_without_solutions_is_off_at_the_first_start(place: Place) -> None:
    """Case 18: what gfx950 is today: hipBLASLt has no solution for any problem."""
    pod = place.ready("no-solution")
    assert set(foreign.restarts(pod).values()) == {0}
    assert foreign.report(pod)["hipbmm"] is False
    place.serves_plain(pod)


@pytest.mark.parametrize("name", POISONED)
def test_a_table_that_crashes_the_server_is_gone_after_two_starts(place: Place, name: str) -> None:
    """Case 18: at most four starts, then the server serves without it."""
    pod = place.ready(name)
    assert foreign.report(pod)["state"] == "Complete"
    assert foreign.restarts(pod)[foreign.WARM] == 0
    assert foreign.restarts(pod)["vllm"] == 2
    assert place.counters(pod)["hipbmm_sim_chosen_total"] == 0
    assert place.counters(place.ready("good"))["hipbmm_sim_chosen_total"] > 0


def test_a_warm_that_is_killed_is_not_run_again(place: Place, agent: NodeAgent) -> None:
    """Case 16: SIGKILL, as the OOM killer sends it: counted once, the second run ends at once, the server is plain."""
    place.profile("killed")
    place.deploy("killed", "killed", pod_spec(with_env(server(place.image), {"HIPBMM_SIM_FAULTS": "hang:on=tune"})))
    name = place.pod("killed")["metadata"]["name"]

    def at_work() -> Json | None:
        log = place.kubectl.attempt("logs", name, "-c", foreign.WARM).stdout
        return place.pod("killed") if "phase=Tuning" in log else None

    agent.kill(place.until("warm tunes", at_work), foreign.WARM)
    killed_at = time.monotonic()
    pod = place.ready("killed")
    assert time.monotonic() - killed_at < LOAD_SECONDS
    assert foreign.restarts(pod)[foreign.WARM] == 1
    assert "ended before it was done" in foreign.report(pod)["message"]
    place.serves_plain(pod)
    place.remove("killed")


def test_a_volume_without_room(place: Place, agent: NodeAgent) -> None:
    """Case 16: full emptyDir, in both ways of starting a server."""
    for name, changes in (("full", {}), ("full-command", {"command": ["vllm", "serve"]})):
        place.deploy(name, "good", held(place.image, server(place.image, **changes), "hold"))
        pod = place.pod(name, "hold runs", lambda found: "running" in foreign.status_of(found, "hold").get("state", {}))
        assert [each["name"] for each in pod["spec"]["initContainers"]][:2] == ["hold", foreign.WARM]
        with agent.full(pod):
            let_go(place, pod, "hold")
            pod = place.ready(name)
            assert set(foreign.restarts(pod).values()) == {0}
            place.serves_plain(pod)
            reason = place.workload("good", name, "KernelMissing")
            assert "No space left" in reason["message"]
            place.remove(name)


def test_an_env_file_that_somebody_breaks_heals_when_it_is_whole(place: Place, agent: NodeAgent) -> None:
    """Case 17: kubelet refuses garbage, the status has its words, and a whole file is enough: no pod is made anew."""
    place.deploy("garbage", "good", held(place.image, server(place.image)))

    def waits(found: Json) -> bool:
        return "running" in foreign.status_of(found, "wait-for-leader").get("state", {})

    pod = place.pod("garbage", "warm is done", waits)
    whole = agent.read(pod, "env")
    assert "HIPBMM_DISPATCH_TABLE='/hipbmm/dispatch/table'" in whole
    agent.write(pod, "env", "VLLM_ROCM_USE_AITER=1 and no quotes\n")
    let_go(place, pod)
    assert "env file" in place.workload("good", "garbage", "Stuck")["message"]
    agent.write(pod, "env", whole)
    found = place.ready("garbage")
    assert found["metadata"]["uid"] == pod["metadata"]["uid"]
    assert set(foreign.restarts(found).values()) == {0}
    place.serves_tuned(found)
    place.remove("garbage")
    place.becomes("good", "no image is held", lambda body: not body["status"]["injection"].get("heldImages"))


def test_an_env_file_is_there_whenever_warm_is_killed(place: Place, agent: NodeAgent) -> None:
    """Case 17: a file of half a write beside it does not count."""
    place.deploy("half", "good", held(place.image, server(place.image)))

    def waits(found: Json) -> bool:
        return "running" in foreign.status_of(found, "wait-for-leader").get("state", {})

    pod = place.pod("half", "warm is done", waits)
    agent.write(pod, "env.new", "VLLM_ROCM_USE_AI")
    agent.write(pod, "env", "")
    let_go(place, pod)
    place.serves_plain(place.ready("half"))
    place.remove("half")


def test_arguments_that_vllm_refuses_are_the_author_s_affair(place: Place) -> None:
    """Case 16: a server that cannot start crashes as it would without us, and no pod is called stuck for it."""
    place.deploy("typo", "good", pod_spec(server(place.image, args=[MODEL, *FLAGS, "--max-num-sequences", "4"])))
    pod = place.pod("typo", "a crash", lambda found: foreign.restarts(found).get("vllm", 0) > 0)
    ended = foreign.status_of(pod, "vllm")["lastState"]["terminated"]
    assert ended["exitCode"] == 2
    assert foreign.restarts(pod)[foreign.WARM] == 0
    assert place.status("good").get("tripped") is None
    place.remove("typo")
