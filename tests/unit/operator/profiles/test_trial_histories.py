"""Trials over whole histories: pods come and go, the operator reconciles now and then and knows only what is stored."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.profiles.test_trials import BAD_WARM, BORN, KERNEL, pod, reported

from hipbmm_operator.api.profile_status import Canary, Trip
from hipbmm_operator.pods.pod import Container, Ended
from hipbmm_operator.profiles import trials
from hipbmm_operator.profiles.pods import ForeignPod

GOOD, BAD = "good:1", "bad:1"
"""In the one the program runs, in the other one it cannot even be started."""
_KILLED = Container("warm", ended=Ended(137, "Error", "", None, None))
_STOPPED = Container("warm", ended=Ended(0, "Completed", "", None, None))


@dataclass
class World:
    """The pods, and the status of their profile; the operator itself remembers nothing."""

    pods: list[ForeignPod] = field(default_factory=list)
    canaries: list[Canary] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    tripped: Trip | None = None
    seconds: int = 0

    def create(self, image: str) -> None:
        plain = self.tripped is not None or image in self.held
        name = f"p{len(self.pods)}-{self.seconds}"
        self.pods.append(pod(name, image=image, injected=not plain, age=-self.seconds))

    def change(self, index: int, what: str) -> None:
        """What happens to a pod."""
        if not self.pods:
            return
        at = index % len(self.pods)
        found = self.pods[at]
        if what == "gone":
            del self.pods[at]
        elif what in ("deleted", "evicted"):
            self.pods[at] = _cut_short(found, deleting=what == "deleted")
        elif found.pod.live and found.injected:
            self.pods[at] = _further(found, what)

    def reconcile(self) -> None:
        """The operator's turn."""
        self.tripped = trials.trip(self.tripped, self.pods, 1, KERNEL)
        self.canaries = trials.canaries(self.canaries, self.pods, KERNEL, ())
        self.held = trials.held(self.canaries, self.pods, BORN + timedelta(seconds=self.seconds))


def _cut_short(found: ForeignPod, *, deleting: bool) -> ForeignPod:
    """Its `warm` ends with it, killed or in good order; what it has reported stays."""
    warm = found.pod.container("warm")
    ends = {"warm": _STOPPED if deleting else _KILLED} if warm.running else {}
    state = {"deleting": True} if deleting else {"phase": "Failed", "reason": "Evicted"}
    return replace(found, pod=replace(found.pod, containers={**found.pod.containers, **ends}, **state))


def _further(found: ForeignPod, what: str) -> ForeignPod:
    if found.image == BAD:
        containers = {"warm": BAD_WARM} if what != "waits" else {}
    elif what == "fails":  # for a while: what the node says has nothing to do with the image
        containers = {"warm": Container("warm", waiting="RunContainerError", waiting_message="no space left on device")}
    elif what == "reports":
        return reported(replace(found, pod=replace(found.pod, containers={"warm": _STOPPED})))
    else:
        containers = {"warm": Container("warm", running=True)} if what == "runs" else {}
    return replace(found, pod=replace(found.pod, containers=containers))


STEPS = st.one_of(
    st.tuples(st.just("create"), st.sampled_from([GOOD, BAD])),
    st.tuples(st.just("change"), st.integers(0, 7), st.sampled_from(["runs", "reports", "deleted", "evicted", "gone"])),
    st.tuples(st.just("reconcile")),
    st.tuples(st.just("edit"), st.lists(st.sampled_from([GOOD, BAD]), max_size=2, unique=True)),
)


def run(steps: list[tuple[object, ...]]) -> World:
    world = World()
    for kind, *rest in steps:
        world.seconds += 5
        if kind == "create":
            world.create(str(rest[0]))
        elif kind == "change":
            world.change(int(str(rest[0])), str(rest[1]))
        elif kind == "edit":  # by hand
            images = [str(each) for each in rest[0]]  # type: ignore[attr-defined]  # a list
            world.canaries = [Canary(image=image, kernel=KERNEL, state="Testing", pod="x") for image in images]
        else:
            world.reconcile()
        check(world, reconciled=kind == "reconcile")
    return world


def check(world: World, *, reconciled: bool) -> None:
    states = {each.image: each.state for each in world.canaries}
    assert states.get(GOOD) != "Refused"
    assert states.get(BAD) != "Proved"
    stuck = [each for each in world.pods if trials.stuck(each)]
    assert {each.image for each in stuck} <= {BAD}
    if reconciled:
        assert BAD in world.held or not stuck, "the next pod would be stuck as well"
        assert world.tripped is not None or len(stuck) < trials.STUCK_PODS


@given(st.lists(STEPS, max_size=40))
def test_whatever_happens_to_pods_an_image_is_judged_by_what_the_program_did(steps: list[tuple[object, ...]]) -> None:
    world = run(steps)
    # All that were let in go on; then the next one of the good image is injected, and its image is proved.
    for index, each in enumerate(world.pods):
        if each.image == GOOD:
            world.change(index, "reports")
    world.seconds += 3600
    world.reconcile()
    if world.tripped is not None:
        return
    assert GOOD not in world.held
    world.create(GOOD)
    assert world.pods[-1].injected
    world.change(len(world.pods) - 1, "reports")
    world.reconcile()
    assert {each.image: each.state for each in world.canaries}[GOOD] == "Proved"


@given(st.lists(st.sampled_from(["runs", "fails", "waits"]), max_size=6))
def test_what_a_node_could_not_do_for_a_while_refuses_no_image_for_ever(states: list[str]) -> None:
    world = World()
    world.create(GOOD)
    for what in (*states, "reports"):
        world.change(0, what)
        world.reconcile()
    assert [(each.image, each.state) for each in world.canaries] == [(GOOD, "Proved")]
    assert world.held == []


def test_a_stuck_pod_is_no_proof_of_a_refused_image() -> None:
    """Its `warm` was killed, and what started it again reports that."""
    killed = Ended(137, "OOMKilled", "", None, None)
    again = reported(pod("a", Container("warm", restarts=1, last=killed, ended=_STOPPED.ended)))
    refused = [Canary(image="i:1", kernel=KERNEL, state="Refused", pod="a")]
    assert trials.canaries(refused, [again], KERNEL, ()) == refused
