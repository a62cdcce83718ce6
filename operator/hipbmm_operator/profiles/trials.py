"""Trials of images, and the trip after which a profile injects no more. Pure.

The first pod of an image in which a kernel program begins tries it; until it has shown that the program runs, other
new pods of the image are plain. A pod that waits (for a GPU, a Secret, a download) shows nothing about the program, so
another one may try in its place. Three pods that are stuck because of us end it for all images.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from hipbmm_operator.api.profile_status import MAX_IMAGE, MAX_IMAGES, Canary, Trip
from hipbmm_operator.injection import spelling
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.pod import Container, Pod
from hipbmm_operator.profiles.pods import ForeignPod

STUCK_PODS = 3
_TURN, _TURNS = timedelta(minutes=1), 10
"""So long after the last pod of an image, for each that waits, the next one may try: no wait holds an image for ever,
and the more there are the fewer come, as all may get their nodes at once."""
_NOT_MADE = frozenset({"RunContainerError", "CreateContainerError", "CreateContainerConfigError"})
_BACK_OFF = "CrashLoopBackOff"
_WAITING = _NOT_MADE | {_BACK_OFF}
_NOT_STARTED = frozenset({"StartError", "ContainerCannotRun"})
"""What containerd and Docker say of a container that could not be started."""
_CRASHES = 2
_NAMES_OURS = re.compile(
    rf"(?<![\w.-])(?:{'|'.join((*spelling.VOLUMES, *spelling.CONTAINERS, spelling.HOME))})(?![\w.-])|\benv file\b"
)
"""Something of ours: a Secret of the user's, a pod or a namespace may be called `hipbmm-demo`."""
_WITHOUT_US = re.compile(
    r'(?:secret|configmap) "[^"]*" not found|couldn\'t find key \S+ in (?:secret|configmap) |run as non-root'
    r"|runasnonroot|deadline exceeded|is reserved for",
    re.IGNORECASE,
)
"""What `hipbmm-warm` shares with the server that it is a copy of, and what a slow node says of any container: the plain
pod would wait as well."""
_NO_PROGRAM = frozenset({"KernelMissing", "KernelMismatch"})
"""What the shell text says of a pod in which the program was not run."""
_NODE_LOST = frozenset({"Unknown", "ContainerStatusUnknown"})
"""What containerd (exit code 255) and the kubelet (137) say of a container that ended while its node was down."""


def stuck(found: ForeignPod) -> str:
    """What an injected pod is stuck in, or failed by, because of us, in the words of Kubernetes; "" when it is not."""
    pod, warm = found.pod, found.pod.container(contract.WARM)
    if not found.injected or _cut_short(found) or pod.phase == "Succeeded":
        return ""
    for container in _containers(pod):
        if container.waiting in _WAITING and _because_of_us(container):
            return f"{_shown(container.name)}: {container.waiting}: {container.waiting_message}"[:300]
    failed = pod.phase == "Failed"  # with restartPolicy Never
    last = warm.ended if failed else warm.last if warm.restarts else None
    if last is not None and last.exit_code and last.reason not in _NODE_LOST:
        times = "and the pod with it" if failed else f"{warm.restarts} times"
        return f"hipbmm-warm ended with {last.exit_code} ({last.reason}), {times}"
    return ""


def _containers(pod: Pod) -> Iterator[Container]:
    """Kubernetes says that one could not be started for a moment, and then only that it waits for the next try."""
    for each in pod.containers.values():
        if each.waiting == _BACK_OFF and each.last is not None and each.last.reason in _NOT_STARTED:
            yield replace(each, waiting="RunContainerError", waiting_message=each.last.message)
        else:
            yield each


def _cut_short(found: ForeignPod) -> bool:
    """Whether somebody else ends the pod: it is deleted, or has failed for a reason (evicted, its node shut down)."""
    return found.pod.deleting or (found.pod.phase == "Failed" and bool(found.pod.reason))


def _because_of_us(waiting: Container) -> bool:
    ours = waiting.name in (contract.WARM, contract.HARVEST)
    if waiting.waiting == _BACK_OFF:
        return ours
    if _WITHOUT_US.search(waiting.waiting_message):
        return False
    return ours or names_ours(waiting.waiting_message)


def names_ours(words: str) -> bool:
    """Whether Kubernetes names something of ours."""
    return _NAMES_OURS.search(words) is not None


def _shown(name: str) -> str:
    return f"hipbmm-{name}" if name in (contract.WARM, contract.HARVEST) else name


def _crashes(found: ForeignPod) -> bool:
    server = found.pod.container(contract.SERVER)
    return server.restarts >= _CRASHES and not server.ready


def crash_only_when_injected(pods: Sequence[ForeignPod]) -> list[ForeignPod]:
    """Injected pods whose server crashes, if plain pods of the same workload and image serve and none of them crashes.

    One image serves many models: what another workload does with it says nothing.
    """
    crashed = [each for each in pods if each.injected and _crashes(each)]
    plain = [each for each in pods if not each.injected]
    well = {(each.workload, each.image) for each in plain if each.pod.ready}
    ill = {(each.workload, each.image) for each in plain if _crashes(each)}
    return [each for each in crashed if (each.workload, each.image) in well - ill]


def canaries(
    before: Sequence[Canary], pods: Sequence[ForeignPod], kernel: str, at_work: Collection[str]
) -> list[Canary]:
    """The trials of `kernel`. `at_work` are uids of pods whose `warm` has written progress."""
    by_name = {each.pod.name: each for each in pods if _tries(each, kernel)}
    there = {each.image for each in by_name.values()}
    shown = {each.image for each in by_name.values() if _proves(each, at_work) and not stuck(each)}
    # What is not decided is chosen anew: a trial whose pod is gone, or waits, has shown nothing. So is what has been
    # refused where a pod runs the program after all: what a node could not do it may do again.
    decided = (each for each in before if each.kernel == kernel and each.state != "Testing")
    known = {each.image: each for each in decided if each.state == "Proved" or each.image not in shown}
    for found in sorted(by_name.values(), key=lambda each: (not _proves(each, at_work), *_order(each))):
        # Images whose pods are there keep their place: one that lost it would be tried anew, and push out the next.
        new = 0 < len(found.image) <= MAX_IMAGE and found.image not in known
        if new and sum(image in there for image in known) < MAX_IMAGES:
            known[found.image] = Canary(image=found.image, kernel=kernel, state="Testing", pod=found.pod.name)
    tried = (
        each.model_copy(update={"state": _verdict(by_name[each.pod], at_work)}) if each.state == "Testing" else each
        for each in known.values()
    )
    return sorted(tried, key=lambda each: each.image in there)[-MAX_IMAGES:]


def _order(found: ForeignPod) -> tuple[bool, bool, datetime | None]:
    return not _begun(found), found.pod.created is None, found.pod.created


def _tries(found: ForeignPod, kernel: str) -> bool:
    """Whether a pod tries its image, or has shown something: one that never started, or had no program, has not."""
    if not found.injected or found.kernel != kernel:
        return False
    if found.pod.report is not None:
        return found.pod.report.reason not in _NO_PROGRAM
    return found.pod.live or _ended(found)


def _begun(found: ForeignPod) -> bool:
    """Whether its `warm` has run, or cannot because of us: before that a pod waits for what a plain one waits for."""
    running = found.pod.container(contract.WARM).running
    return found.pod.report is not None or running or _ended(found) or bool(stuck(found))


def _ended(found: ForeignPod) -> bool:
    """Whether its `warm` has ended by itself."""
    if _cut_short(found):
        return False
    warm = found.pod.container(contract.WARM)
    last = warm.ended or warm.last
    return bool(warm.ended or warm.restarts) and (last is None or last.reason not in _NODE_LOST)


def _proves(found: ForeignPod, at_work: Collection[str]) -> bool:
    return found.pod.report is not None or found.pod.uid in at_work


def _verdict(tried: ForeignPod, at_work: Collection[str]) -> Literal["Testing", "Proved", "Refused"]:
    if _proves(tried, at_work):
        return "Proved"
    return "Refused" if _ended(tried) or stuck(tried) else "Testing"


def held(trials: Sequence[Canary], pods: Sequence[ForeignPod], now: datetime) -> list[str]:
    """Images whose new pods are plain: those whose trial has failed, and those that a pod tries or may be about to.

    Also those of which a container cannot be made, whatever their trial has shown: a pod that takes the place of that
    one is to start.
    """
    return sorted(
        each.image
        for each in trials
        if each.state == "Refused" or _is_stuck(each, pods) or (each.state == "Testing" and _is_tried(each, pods, now))
    )


def _is_stuck(trial: Canary, pods: Sequence[ForeignPod]) -> bool:
    found = [each.pod for each in pods if each.injected and (each.image, each.kernel) == (trial.image, trial.kernel)]
    containers = (each for pod in found if not pod.over for each in _containers(pod))
    return any(each.waiting in _NOT_MADE and _because_of_us(each) for each in containers)


def _is_tried(trial: Canary, pods: Sequence[ForeignPod], now: datetime) -> bool:
    of_image = [each for each in pods if each.image == trial.image and _tries(each, trial.kernel)]
    born = max((each.pod.created for each in of_image if each.pod.created is not None), default=now)
    return any(map(_begun, of_image)) or now - born < _TURN * min(len(of_image), _TURNS)


def trip(before: Trip | None, pods: Sequence[ForeignPod], generation: int, kernel: str) -> Trip | None:
    """Why no pod is injected any more. A new spec or a new kernel program is a new try."""
    if before is not None and (before.generation, before.kernel) == (generation, kernel):
        return before
    ours = [each for each in pods if each.kernel == kernel]
    bad = {each.pod.name: message for each in ours if (message := stuck(each))}
    for each in crash_only_when_injected(pods):
        if each.kernel == kernel:
            bad.setdefault(each.pod.name, f"{each.image} crashes only where it is injected")
    if len(bad) < STUCK_PODS:
        return None
    names = sorted(bad)
    message = f"{len(bad)} pods are stuck because of the injection; delete them, new ones are plain: "
    text = f"{message}{', '.join(names[:8])}. {bad[names[0]]}"
    return Trip(generation=generation, kernel=kernel, pods=names[:8], message=text[:1024])
