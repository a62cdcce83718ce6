"""An operator of its own behind a proxy: its own account, Lease and namespace, so that many run side by side."""

import contextlib
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from tests.cluster.api import Api, until
from tests.cluster.faults import state
from tests.cluster.faults.proxy import Call, Proxy, Rule
from tests.cluster.kubelet import Kubelet, pods
from tests.cluster.operator_process import (
    CLUSTER_BINDING,
    CLUSTER_ROLE,
    NAMESPACE,
    THIS,
    OperatorProcess,
    Program,
    identity,
)
from tests.cluster.world import World

from hipbmm_operator.kube import kinds

T = TypeVar("T")

LIFE_SECONDS = 480.0
"""For one rollout; nine lives share the cores."""
_ROLLOUTS = 3
_SIDE_BY_SIDE = 9
_STILL = 40
"""So many reads in a row, five seconds and more, find the same: much longer than the operator's debounce window."""
_QUICK = {"HIPBMM_BACKOFF_SECONDS": "0.2", "HIPBMM_BACKOFF_MAX_SECONDS": "2"}


@dataclass(frozen=True)
class Place:
    """Where rigs are built."""

    api: Api
    kubelet: Kubelet
    kubeconfig: Path
    scratch: Path


class Rig:
    """One operator, one proxy, one namespace. Use `with`."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.name = f"f-{uuid.uuid4().hex[:8]}"
        self.system = f"{self.name}-system"
        self.scratch = place.scratch / self.name
        self.scratch.mkdir()
        for name in (self.name, self.system):
            place.api.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self.kubeconfig = identity(place.api, place.kubeconfig, self.system, self.scratch)
        self.proxy = Proxy(self.kubeconfig, self.scratch)
        self.world = World(place.api, place.kubelet, self.name)
        self.operators: list[OperatorProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.ExitStack() as end:
            end.callback(self._clean)
            for operator in self.operators:
                end.callback(operator.retire)

    def _clean(self) -> None:
        """Remove what is left; each part whatever became of the others, for the next test needs the GPUs."""
        with contextlib.ExitStack() as end:
            for kind in (CLUSTER_ROLE, CLUSTER_BINDING):
                end.callback(self.place.api.delete, kind, "", self.system)
            for name in (self.name, self.system):
                end.callback(self.place.api.delete, NAMESPACE, "", name)
            end.callback(self.world.clean)
            end.callback(self.proxy.close)

    def start(self, program: Program = THIS, kubeconfig: Path | None = None, /, **settings: str) -> OperatorProcess:
        """Start an operator behind the proxy, or with another kubeconfig."""
        log = self.scratch / f"operator-{len(self.operators)}.log"
        all_settings = _QUICK | {"HIPBMM_NAMESPACES": self.name} | settings
        operator = OperatorProcess(kubeconfig or self.proxy.kubeconfig, self.system, log, program, **all_settings)
        self.operators.append(operator)
        return operator

    def kill_after(self, write: int) -> threading.Event:
        """Kill the operator right after the k-th write from now, and start it again; set when that has happened."""
        operator, dead, done = self.operators[-1], threading.Event(), threading.Event()
        after = self.proxy.writes + write

        def kill(number: int, _call: Call) -> None:
            if number == after:
                operator.process.kill()
                dead.set()

        def revive() -> None:
            if dead.wait(_ROLLOUTS * LIFE_SECONDS):
                operator.process.wait(60)
                operator.start()
                done.set()

        self.proxy.after_write = kill
        threading.Thread(target=revive, daemon=True).start()
        return done


def life(world: World) -> None:
    """Create, first rollout, scale with a change of the Service, update of the image."""
    world.create()
    _serve_all(world)
    world.change({"replicas": 2, "service": {"port": 8080}})
    _serve_all(world)
    world.change({"image": "registry.example/vllm:2"})
    _serve_all(world)


def _serve_all(world: World) -> None:
    """Every pod that gets a node serves, until the rollout is over and all that is asked for serves warm."""

    def over() -> bool:
        for pod in pods(world.api, world.namespace):
            if pod["spec"].get("nodeName") and pod["status"]["phase"] == "Pending":
                world.kubelet.still_serving(pod)
        body = world.resource()
        conditions = {entry["type"]: entry for entry in (body.get("status") or {}).get("conditions", [])}
        wanted = {"Progressing": "RolloutComplete", "Ready": "AllReplicasWarm"}
        return bool(conditions) and all(
            conditions[kind]["reason"] == reason
            and conditions[kind]["observedGeneration"] == body["metadata"]["generation"]
            for kind, reason in wanted.items()
        )

    until("the rollout to be over", over, LIFE_SECONDS)


def settled(world: World) -> state.Json:
    """The state once it is the same for a while."""
    found: list[state.Json] = []

    def still() -> bool:
        found.append(state.of(world.api, world.namespace))
        return len(found) > _STILL and all(entry == found[-1] for entry in found[-_STILL:])

    until("the state to rest", still)
    return found[-1]


class NotReachedError(Exception):
    """The life ended before the write after which the operator was to be killed."""


@dataclass(frozen=True)
class Ends:
    """How a life ended: the state before and after the resource was deleted, the operator's writes and its defects."""

    alive: state.Json
    deleted: state.Json
    writes: int
    defects: list[state.Json]


def undisturbed(place: Place) -> Ends:
    """The life of a resource without a fault."""
    with Rig(place) as rig:
        operator = rig.start()
        life(rig.world)
        alive, writes = settled(rig.world), rig.proxy.writes
        return Ends(alive, deleted(rig.world), writes, operator.defects())


def faulty(place: Place, expected: Ends, rules: list[Rule], **settings: str) -> Ends:
    """The same life under faults, which end before the life does."""
    with Rig(place) as rig:
        rig.proxy.rules = rules
        operator = rig.start(**settings)
        life(rig.world)
        if not any(rule.hits for rule in rules):
            raise AssertionError("the fault met no request")
        rig.proxy.rules = []
        alive, writes = ends_as(rig.world, expected.alive), rig.proxy.writes
        return Ends(alive, deleted(rig.world), writes, operator.defects())


def killed(place: Place, expected: Ends, write: int) -> Ends:
    """The same life when the operator is killed right after one of its writes."""
    with Rig(place) as rig:
        operator = rig.start()
        revived = rig.kill_after(write)
        life(rig.world)
        alive, writes = ends_as(rig.world, expected.alive), rig.proxy.writes
        if writes < write:
            raise NotReachedError(f"the life took {writes} writes only")
        if not revived.wait(LIFE_SECONDS):
            raise AssertionError("the operator did not start again")
        return Ends(alive, deleted(rig.world), writes, operator.defects())


def ends_as(world: World, expected: state.Json) -> state.Json:
    """The state once it is as expected, or what it is after a long wait."""

    def same() -> bool:
        return state.of(world.api, world.namespace) == expected

    try:
        until("the expected end", same)
    except AssertionError:
        return state.of(world.api, world.namespace)
    return expected


def deleted(world: World) -> state.Json:
    """Delete the resource; what is left when all its children and pods have gone."""
    world.api.delete(kinds.HIPBMM_DEPLOYMENT, world.namespace, world.name)
    for kind in (kinds.DEPLOYMENT, kinds.SERVICE, kinds.BUDGET, kinds.CONTROLLER_REVISION, kinds.POD):
        until(f"no {kind.plural}", lambda kind=kind: not world.api.items(kind, world.namespace))  # type: ignore[misc]
    return state.of(world.api, world.namespace)


def side_by_side(stories: Mapping[str, Callable[[], T]]) -> dict[str, T | BaseException]:
    """Run all, a few at a time: they mostly wait. What each returned, or raised."""
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        running = {name: pool.submit(story) for name, story in stories.items()}
    return {name: future.exception() or future.result() for name, future in running.items()}
