"""Trials of images, and the trip after three stuck pods."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests import stacks

from hipbmm_operator.api.profile_status import MAX_IMAGE, MAX_IMAGES, Canary, Trip
from hipbmm_operator.pods.pod import Container, Ended, Pod
from hipbmm_operator.pods.report import Report
from hipbmm_operator.profiles import trials
from hipbmm_operator.profiles.pods import ForeignPod, Workload

KERNEL = "a" * 64
BORN = datetime(2026, 11, 29, tzinfo=UTC)
BAD_WARM = Container("warm", waiting="RunContainerError", waiting_message='"sh": not found')


def backing_off(name: str, message: str) -> Container:
    """Between two tries to start it."""
    last = Ended(128, "StartError", message, None, None)
    return Container(name, waiting="CrashLoopBackOff", waiting_message="back-off 10s", restarts=1, last=last)


def pod(
    name: str, *containers: Container, image: str = "i:1", injected: bool = True, ready: bool = False, age: int = 0
) -> ForeignPod:
    return ForeignPod(
        pod=Pod(
            name=name,
            uid=f"uid-{name}",
            namespace="default",
            revision="",
            template_hash="",
            node="",
            phase="Pending",
            reason="",
            message="",
            deleting=False,
            ready=ready,
            created=BORN - timedelta(seconds=age),
            unschedulable=None,
            unschedulable_since=None,
            containers={each.name: each for each in containers},
        ),
        body=stacks.asking("deployment"),
        image=image,
        workload=Workload("Deployment", "d", namespace="models"),
        injected=injected,
        kernel=KERNEL if injected else "",
    )


def reported(found: ForeignPod, reason: str = "Tuned") -> ForeignPod:
    body = Report(state="Complete" if reason == "Tuned" else "Failed", reason=reason)  # type: ignore[arg-type]  # of a pod
    return replace(found, pod=replace(found.pod, report=body))


def failed(found: ForeignPod) -> ForeignPod:
    return replace(found, pod=replace(found.pod, phase="Failed", reason="UnexpectedAdmissionError"))


def test_the_oldest_injected_pod_tries_its_image() -> None:
    found = trials.canaries([], [pod("b"), pod("a", age=5), pod("c", image="i:2")], KERNEL, ())
    assert [(each.image, each.pod, each.state) for each in found] == [
        ("i:1", "a", "Testing"),
        ("i:2", "c", "Testing"),
    ]
    assert trials.held(found, [], BORN) == []
    assert trials.held(found, [pod("a"), pod("c", image="i:2")], BORN) == ["i:1", "i:2"]


def test_a_plain_pod_tries_nothing() -> None:
    assert trials.canaries([], [pod("a", injected=False)], KERNEL, ()) == []


TESTING = [Canary(image="i:1", kernel=KERNEL, state="Testing", pod="a")]


def test_a_report_or_progress_proves_an_image() -> None:
    assert trials.canaries(TESTING, [reported(pod("a"))], KERNEL, ())[0].state == "Proved"
    assert trials.canaries(TESTING, [pod("a")], KERNEL, {"uid-a"})[0].state == "Proved"
    proving = [reported(pod("a"))]
    assert trials.held(trials.canaries(TESTING, proving, KERNEL, ()), proving, BORN) == []


RUNS = Container("warm", running=True)
NO_SECRET = Container("warm", waiting="CreateContainerConfigError", waiting_message='secret "hf" not found')
BEHIND = Container("warm", waiting="PodInitializing")


@pytest.mark.parametrize(
    ("container", "held"),
    [
        (None, False),  # no node: GPUs miss, or a queue holds it
        (NO_SECRET, False),
        (Container("warm", waiting="ImagePullBackOff"), False),
        (BEHIND, False),  # a volume misses, or another container downloads a model
        (RUNS, True),
        (Container("warm", waiting="CrashLoopBackOff", restarts=1), True),
    ],
)
def test_a_pod_that_waits_holds_its_image_for_a_minute_and_one_that_tries_until_its_end(
    container: Container | None, *, held: bool
) -> None:
    there = [pod("a", *([container] if container else []))]
    young, old = BORN + timedelta(seconds=59), BORN + timedelta(seconds=61)
    assert trials.held(TESTING, there, young) == ["i:1"]
    assert trials.held(TESTING, there, old) == (["i:1"] if held else [])


def test_another_pod_is_the_trial_in_the_place_of_one_that_waits() -> None:
    waits, runs = pod("a", age=600), pod("b", RUNS)
    found = trials.canaries(TESTING, [waits, runs], KERNEL, ())
    assert [(each.pod, each.state) for each in found] == [("b", "Testing")]
    late = BORN + timedelta(hours=1)
    assert trials.held(found, [waits, runs], late) == ["i:1"]
    found = trials.canaries(found, [waits, runs], KERNEL, {"uid-b"})
    assert [(each.pod, each.state) for each in found] == [("b", "Proved")]


def test_a_trial_that_has_shown_it_decides_also_when_an_older_pod_begins() -> None:
    """The older one may have begun since the log of the trial was asked for, and may hang."""
    trial, begins = pod("b", RUNS), pod("a", RUNS, age=600)
    before = trials.canaries(TESTING, [trial, pod("a", age=600)], KERNEL, ())
    assert [(each.pod, each.state) for each in before] == [("b", "Testing")]
    for found, at_work in ((trial, {"uid-b"}), (reported(trial), set[str]())):
        (decided,) = trials.canaries(before, [found, begins], KERNEL, at_work)
        assert (decided.pod, decided.state) == ("b", "Proved")


@pytest.mark.parametrize(("code", "reason"), [(255, "Unknown"), (137, "ContainerStatusUnknown")])
def test_a_node_that_was_down_says_nothing_about_the_program(code: int, reason: str) -> None:
    """Of the pods that were tuning on it those with restartPolicy Never have failed, and the others begin anew."""
    end = Ended(code, reason, "", None, None)
    begins = [pod(name, Container("warm", running=True, restarts=1, last=end)) for name in "abc"]
    dead = [pod(name, Container("warm", ended=end)) for name in "abc"]
    dead = [replace(each, pod=replace(each.pod, phase="Failed", reason="")) for each in dead]
    assert trials.trip(None, begins, 1, KERNEL) is trials.trip(None, dead, 1, KERNEL) is None
    assert [each.state for each in trials.canaries(TESTING, begins, KERNEL, ())] == ["Testing"]
    assert trials.canaries(TESTING, dead, KERNEL, ()) == []


def test_pods_that_all_wait_are_let_in_one_by_one_and_always_again() -> None:
    """A Deployment of which a new pod is made every ten seconds, where no GPU is free for two hours."""
    there: list[ForeignPod] = []
    for second in range(0, 7200, 10):
        known = trials.canaries([], there, KERNEL, ())
        if "i:1" not in trials.held(known, there, BORN + timedelta(seconds=second)):
            there.append(pod(f"p{second:04}", age=-second))
    born = [int(each.pod.name[1:]) for each in there]
    assert born[:4] == [0, 60, 180, 360]
    assert len(born) < 20
    assert born[-1] > 7200 - 660


def test_a_stuck_pod_holds_an_image_that_others_have_proved_until_it_is_gone() -> None:
    """The only pod of a workload is deleted: what takes its place would be stuck as well, and there are never three."""
    proved = [Canary(image="i:1", kernel=KERNEL, state="Proved", pod="a")]
    well, bad = reported(pod("a")), pod("b", BAD_WARM)
    deleted = replace(bad, pod=replace(bad.pod, deleting=True))
    for there in (bad, deleted):
        assert trials.canaries(proved, [well, there], KERNEL, ()) == proved
        assert trials.held(proved, [well, there], BORN) == ["i:1"]
    other = replace(bad, kernel="b" * 64)
    for pods in ([well], [well, other], [replace(bad, injected=False)], [pod("b", BAD_WARM, image="i:2")]):
        assert trials.held(proved, pods, BORN) == []


def test_a_container_that_cannot_be_started_holds_its_image_between_two_tries_as_well() -> None:
    """Kubernetes says RunContainerError for a second, and CrashLoopBackOff for up to five minutes."""
    proved = [Canary(image="i:1", kernel=KERNEL, state="Proved", pod="a")]
    failing = backing_off("warm", '"sh": not found')
    assert trials.stuck(pod("b", failing)) == trials.stuck(pod("b", BAD_WARM))
    server = backing_off("server", "mkdir /hipbmm: read-only file system")
    for each in (failing, server):
        assert trials.held(proved, [pod("b", each)], BORN) == ["i:1"]
    crashed = replace(failing, last=Ended(1, "Error", "", None, None))
    for each in (crashed, backing_off("server", 'exec: "vllm": not found')):
        assert trials.held(proved, [pod("b", each)], BORN) == []


def test_an_image_without_a_report_is_refused() -> None:
    silent = Container("warm", ended=Ended(0, "Completed", "no python3", None, None))
    assert trials.canaries(TESTING, [pod("a", silent)], KERNEL, ())[0].state == "Refused"
    assert trials.canaries(TESTING, [pod("a", BAD_WARM)], KERNEL, ())[0].state == "Refused"


def test_a_trial_whose_pod_is_gone_is_tried_again() -> None:
    assert trials.canaries(TESTING, [], KERNEL, ()) == []
    assert trials.canaries(TESTING, [pod("b")], KERNEL, ())[0].pod == "b"


def test_a_trial_whose_pod_died_before_it_started_is_tried_again() -> None:
    dead = failed(pod("a"))
    assert trials.canaries(TESTING, [dead], KERNEL, ()) == []
    assert trials.canaries(TESTING, [dead, pod("b")], KERNEL, ())[0].pod == "b"


def test_a_pod_that_died_after_its_trial_has_shown_something() -> None:
    crashed = pod("a", Container("warm", ended=Ended(139, "Error", "", None, None)))
    crashed = replace(crashed, pod=replace(crashed.pod, phase="Failed"))
    assert trials.canaries(TESTING, [crashed], KERNEL, ())[0].state == "Refused"
    assert trials.canaries(TESTING, [failed(reported(pod("a")))], KERNEL, ())[0].state == "Proved"


@pytest.mark.parametrize("reason", ["KernelMissing", "KernelMismatch"])
def test_a_pod_without_the_program_has_shown_nothing(reason: str) -> None:
    without = reported(pod("a", age=5), reason)
    assert trials.canaries(TESTING, [without], KERNEL, ()) == []
    assert [each.pod for each in trials.canaries(TESTING, [without, pod("b")], KERNEL, ())] == ["b"]


def test_more_images_than_are_kept_settle() -> None:
    many = [reported(pod(f"p{n:02}", image=f"i:{n}", age=n)) for n in range(20)]
    first = trials.canaries([], many, KERNEL, ())
    assert len(first) == MAX_IMAGES
    assert trials.canaries(first, many, KERNEL, ()) == first


def test_an_image_whose_name_no_status_holds_is_no_trial() -> None:
    longest = "i" * MAX_IMAGE
    found = trials.canaries([], [pod("a", image=f"{longest}i"), pod("b", image=longest)], KERNEL, ())
    assert [each.image for each in found] == [longest]


def test_images_without_pods_make_room() -> None:
    gone = [Canary(image=f"g:{n}", kernel=KERNEL, state="Proved", pod="x") for n in range(MAX_IMAGES)]
    few = [reported(pod(f"p{n}", image=f"i:{n}")) for n in range(3)]
    first = trials.canaries(gone, few, KERNEL, ())
    assert [each.image for each in first[-3:]] == ["i:0", "i:1", "i:2"]
    assert len(first) == MAX_IMAGES
    assert trials.canaries(first, few, KERNEL, ()) == first


def test_another_program_is_another_trial() -> None:
    proved = [Canary(image="i:1", kernel="b" * 64, state="Proved", pod="a")]
    assert trials.canaries(proved, [], KERNEL, ()) == []


def test_a_verdict_outlives_its_pod() -> None:
    proved = [Canary(image="i:1", kernel=KERNEL, state="Proved", pod="a")]
    assert trials.canaries(proved, [], KERNEL, ()) == proved


@pytest.mark.parametrize(
    ("container", "words"),
    [
        (BAD_WARM, "hipbmm-warm: RunContainerError"),
        (
            Container("warm", restarts=2, last=Ended(137, "OOMKilled", "", None, None)),
            "hipbmm-warm ended with 137 (OOMKilled), 2 times",
        ),
        (
            Container("server", waiting="CreateContainerConfigError", waiting_message="couldn't parse env file"),
            "server: CreateContainerConfigError",
        ),
        (
            Container(
                "server",
                waiting="CreateContainerConfigError",
                waiting_message='cannot find the volume "hipbmm-home" referenced by FileKeyRef',
            ),
            "server: CreateContainerConfigError",
        ),
        (
            Container("server", waiting="CreateContainerError", waiting_message="mkdir /hipbmm: read-only file system"),
            "server: CreateContainerError",
        ),
        (
            Container("warm", waiting="CrashLoopBackOff", waiting_message="restarting failed container=hipbmm-warm"),
            "hipbmm-warm: CrashLoopBackOff",
        ),
        (  # no pod is ready whose sidecar is not
            Container("harvest", waiting="CrashLoopBackOff", waiting_message="failed container=hipbmm-harvest"),
            "hipbmm-harvest: CrashLoopBackOff",
        ),
        (Container("harvest", waiting="RunContainerError", waiting_message="no"), "hipbmm-harvest: RunContainerError"),
    ],
)
def test_what_a_pod_is_stuck_in(container: Container, words: str) -> None:
    assert trials.stuck(pod("a", container)).startswith(words)


@pytest.mark.parametrize(
    "container",
    [
        Container("warm", running=True),
        Container("warm", restarts=1, last=Ended(0, "Completed", "", None, None)),
        Container("server", waiting="CreateContainerConfigError", waiting_message='secret "hf" not found'),
        Container("server", waiting="CrashLoopBackOff", restarts=7),
        backing_off("server", 'exec: "vllm": not found'),
        *(
            Container(name, waiting="CreateContainerConfigError", waiting_message=message)
            for name in ("warm", "server", "another")
            for message in (
                'secret "hf" not found',
                'secret "hipbmm-hf-token" not found',
                'configmap "hipbmm-store" not found',
                "couldn't find key hipbmm in Secret models/hipbmm-hf-token",
                'container has runAsNonRoot and image will run as root (pod: "hipbmm-demo_models(uid)")',
            )
        ),
        *(
            Container(name, waiting="CreateContainerError", waiting_message=message)
            for name in ("warm", "server")
            for message in ("context deadline exceeded", 'name "x_hipbmm-demo_models_0" is reserved for "9f2e"')
        ),
        *(
            Container("server", waiting=waiting, waiting_message=message, restarts=7)
            for waiting, message in (
                ("CrashLoopBackOff", "back-off 5m0s restarting failed container=vllm pod=hipbmm-demo-7d9f_hipbmm(uid)"),
                ("CrashLoopBackOff", "back-off 5m0s restarting failed container=vllm pod=q-7d9f_hipbmm-home(uid)"),
                ("RunContainerError", 'exec: "/hipbmm-demo/start.sh": no such file in pod hipbmm-home-1'),
            )
        ),
    ],
)
def test_what_is_not_because_of_us(container: Container) -> None:
    assert trials.stuck(pod("a", container)) == ""
    assert trials.trip(None, [pod(str(n), container) for n in range(5)], 1, KERNEL) is None


def test_the_third_stuck_pod_ends_it() -> None:
    pods = [pod(f"p{n}", BAD_WARM) for n in range(3)]
    assert trials.trip(None, pods[:2], 1, KERNEL) is None
    tripped = trials.trip(None, pods, 1, KERNEL)
    assert tripped is not None
    assert tripped.pods == ["p0", "p1", "p2"]
    assert '"sh": not found' in tripped.message
    assert trials.trip(tripped, [], 1, KERNEL) == tripped
    assert trials.trip(tripped, [], 2, KERNEL) is None
    assert trials.trip(tripped, [], 1, "b" * 64) is None


@pytest.mark.parametrize(
    ("code", "reason", "ends"), [(137, "", True), (137, "Evicted", False), (143, "NodeShutdown", False), (0, "", False)]
)
def test_pods_that_are_not_started_again_and_fail_because_of_us_end_it(code: int, reason: str, *, ends: bool) -> None:
    """Of a Job, or of KubeRay with its autoscaler: restartPolicy Never, and an init container that fails ends it."""
    killed = Container("warm", ended=Ended(code, "OOMKilled", "", None, None))
    found = [pod(f"p{n}", killed) for n in range(3)]
    dead = [replace(each, pod=replace(each.pod, phase="Failed", reason=reason)) for each in found]
    tripped = trials.trip(None, dead, 1, KERNEL)
    assert (tripped is not None) is ends
    if tripped is not None:
        assert "hipbmm-warm ended with 137 (OOMKilled), and the pod with it" in tripped.message


CRASHING = Container("server", restarts=3, last=Ended(1, "Error", "", None, None))


def test_servers_that_crash_only_when_injected_end_it() -> None:
    crashed = [pod(f"p{n}", CRASHING) for n in range(3)]
    well = pod("plain", Container("server", ready=True), injected=False, ready=True)
    ill = pod("ill", CRASHING, injected=False)
    assert isinstance(trials.trip(None, [*crashed, well], 1, KERNEL), Trip)
    assert trials.trip(None, crashed, 1, KERNEL) is None
    assert trials.trip(None, [*crashed, well, ill], 1, KERNEL) is None
    other = replace(well, workload=Workload("Deployment", "another model"))
    assert trials.trip(None, [*crashed, other], 1, KERNEL) is None, "the image is the same, the arguments are not"
