"""The API server misbehaves, the network fails, the operator dies after any write: the end is always the same."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cluster.api import Api, until
from tests.cluster.conftest import SYSTEM
from tests.cluster.faults import state
from tests.cluster.faults.proxy import Call, Proxy, Rule, anything, watches, writes
from tests.cluster.kubelet import Kubelet
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.world import World

from hipbmm_operator import kinds

pytestmark = pytest.mark.timeout(240)

GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}
BROKEN = {"type": "ERROR", "object": {"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcd"}}


@pytest.fixture
def proxy(no_operator: None, operator_kubeconfig: Path, tmp_path: Path) -> Iterator[Proxy]:
    found = Proxy(operator_kubeconfig, tmp_path)
    yield found
    found.close()


@pytest.fixture
def alone(api: Api, kubelet: Kubelet, namespace: str) -> Iterator[World]:
    found = World(api, kubelet, namespace)
    yield found
    found.clean()


@pytest.fixture
def start(proxy: Proxy, tmp_path: Path, namespace: str) -> Iterator[Callable[[], OperatorProcess]]:
    started: list[OperatorProcess] = []

    def make(**settings: str) -> OperatorProcess:
        log = tmp_path / "operator.log"
        quick = {"HIPBMM_NAMESPACES": namespace, "HIPBMM_BACKOFF_SECONDS": "0.2", "HIPBMM_BACKOFF_MAX_SECONDS": "2"}
        started.append(OperatorProcess(proxy.kubeconfig, SYSTEM, log, **(quick | settings)))
        return started[-1]

    yield make
    for process in started:
        if process.process.poll() is None:
            process.kill()


def story(world: World) -> None:
    """Create, first rollout, update, scale: what happens to a resource in its life."""
    world.create()
    world.serve(1)
    world.becomes("Ready", "True", "AllReplicasWarm", 60)
    world.change({"replicas": 2, "service": {"port": 8080}})
    world.serve(2)
    world.becomes("Ready", "True", "AllReplicasWarm", 60)


def settled(world: World) -> state.Json:
    """The state once it has stopped moving."""

    def still() -> state.Json | None:
        before = state.of(world.api, world.namespace)
        body = before.get("HipbmmDeployment/qwen", {}).get("status", {})
        return before if body.get("phase") == "Running" and body.get("warm") == "2/2" else None

    return until("the end of the story", still, 60)


@pytest.fixture(scope="module")
def undisturbed(
    api: Api, kubelet: Kubelet, no_operator: None, operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[state.Json, int]:
    """The final state of the story without any trouble, and its number of writes."""
    scratch = tmp_path_factory.mktemp("undisturbed")
    proxy = Proxy(operator_kubeconfig, scratch)
    name = "t-undisturbed"
    namespace = kinds.Kind("", "v1", "namespaces", "Namespace", namespaced=False)
    api.apply(namespace, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    world = World(api, kubelet, name)
    operator = OperatorProcess(proxy.kubeconfig, SYSTEM, scratch / "operator.log", HIPBMM_NAMESPACES=name)
    try:
        story(world)
        return settled(world), proxy.writes
    finally:
        world.clean()
        operator.stop()
        proxy.close()
        api.delete(namespace, "", name)


FAULTS: dict[str, Callable[[], list[Rule]]] = {
    "every third write is refused by 500": lambda: [Rule(_every(3, writes), status=500)],
    "writes conflict": lambda: [Rule(_every(2, writes), status=409, times=6)],
    "too many requests": lambda: [Rule(_every(2, anything), status=429, headers={"Retry-After": "1"}, times=10)],
    "answers of writes are lost": lambda: [Rule(_every(2, writes), drop_after=True, times=6)],
    "connections are refused": lambda: [Rule(_every(3, anything), drop_before=True, times=20)],
    "every request is slow": lambda: [Rule(anything, delay=0.3)],
    "watches expire": lambda: [Rule(_every(2, watches), insert=GONE, times=10)],
    "watches break with 500": lambda: [Rule(_every(5, watches), insert=BROKEN, times=2)],
    "watches are cut after each event": lambda: [Rule(watches, cut_after=1, times=60)],
}


def _every(n: int, matches: Callable[[Call], bool]) -> Callable[[Call], bool]:
    seen = 0

    def chosen(call: Call) -> bool:
        nonlocal seen
        if not matches(call):
            return False
        seen += 1
        return seen % n == 0

    return chosen


@pytest.mark.parametrize("fault", FAULTS, ids=list(FAULTS))
def test_the_end_is_the_same(
    fault: str, alone: World, proxy: Proxy, start: Callable[[], OperatorProcess], undisturbed: tuple[state.Json, int]
) -> None:
    operator = start()
    proxy.rules = FAULTS[fault]()
    story(alone)
    proxy.rules = []
    assert settled(alone) == undisturbed[0]
    assert operator.defects() == []


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_killed_after_a_write_the_end_is_the_same(
    share: float, alone: World, proxy: Proxy, start: Callable[[], OperatorProcess], undisturbed: tuple[state.Json, int]
) -> None:
    expected, count = undisturbed
    after = 1 + round(share * (count - 1))
    dead = threading.Event()
    operator = start()

    def kill(number: int, _call: Call) -> None:
        if number == after:
            operator.process.kill()
            dead.set()

    def revive() -> None:
        dead.wait(200)
        operator.process.wait(10)
        operator.start()

    proxy.after_write = kill
    nurse = threading.Thread(target=revive, daemon=True)
    nurse.start()
    story(alone)
    assert settled(alone) == expected
    assert dead.is_set()
    nurse.join(60)
    assert operator.defects() == []


def test_a_deletion_that_no_watch_tells_is_found_by_the_next_list(
    alone: World, proxy: Proxy, start: Callable[..., OperatorProcess]
) -> None:
    proxy.rules = [Rule(watches, keep=lambda event: event["type"] != "DELETED")]
    start(HIPBMM_RESYNC_SECONDS="4")
    alone.create()
    first = until("the Service", lambda: alone.api.find(kinds.SERVICE, alone.namespace, "qwen"))
    alone.api.delete(kinds.SERVICE, alone.namespace, "qwen")

    def again() -> bool:
        found = alone.api.find(kinds.SERVICE, alone.namespace, "qwen")
        return found is not None and found["metadata"]["uid"] != first["metadata"]["uid"]

    until("the Service to be made again", again)


def test_a_resource_whose_deletion_was_not_told_is_not_brought_back(
    alone: World, proxy: Proxy, start: Callable[..., OperatorProcess]
) -> None:
    ours = f"/{kinds.DEPLOYMENTS_OF_OURS.plural}"
    hide = Rule(lambda call: call.watch and call.path.endswith(ours), keep=lambda event: event["type"] != "DELETED")
    proxy.rules = [hide]
    start()
    alone.create()
    alone.serve(1)
    alone.becomes("Ready", "True")
    made: list[Call] = []
    proxy.after_write = lambda _count, call: made.append(call)
    alone.api.delete(kinds.DEPLOYMENTS_OF_OURS, alone.namespace, "qwen")
    until("the Deployment to go", lambda: not alone.api.items(kinds.DEPLOYMENT, alone.namespace))
    until("the Service to go", lambda: not alone.api.items(kinds.SERVICE, alone.namespace))
    until("the pods to go", lambda: not alone.api.items(kinds.POD, alone.namespace))
    assert alone.api.items(kinds.DEPLOYMENT, alone.namespace) == []
    assert [call.path for call in made if "/events" not in call.path and not call.path.endswith("/status")] == []


def test_the_api_server_goes_and_comes_back(alone: World, proxy: Proxy, start: Callable[..., OperatorProcess]) -> None:
    operator = start()
    alone.create()
    alone.serve(1)
    alone.becomes("Ready", "True")
    template = alone.deployment()["spec"]["template"]
    proxy.refuse = True
    alone.change({"service": {"port": 8080}})
    until("the operator to notice", lambda: operator.metric("hipbmm_leader") == 0, 60)
    assert operator.http("/healthz")[0] == 200
    proxy.refuse = False

    def moved() -> bool:
        return bool(alone.api.get(kinds.SERVICE, alone.namespace, "qwen")["spec"]["ports"][0]["port"] == 8080)

    until("the first reconcile", moved, 30)
    assert alone.deployment()["spec"]["template"] == template
    assert operator.process.poll() is None
