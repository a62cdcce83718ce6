"""What is read besides the watched objects: only what is on its way or wrong, and no more often than it must."""

import asyncio
import itertools
from typing import Any

import pytest
from tests.unit.operator.fakekube import FakeKube
from tests.unit.operator.make import NOW, Json, ended, pod, report, time

from hipbmm_operator.kube import errors
from hipbmm_operator.kube.kinds import CONFIG_MAP, EVENT, SECRET, STORAGE_CLASS
from hipbmm_operator.observe import parse
from hipbmm_operator.observe.observed import OnDemandFacts
from hipbmm_operator.observe.on_demand import OnDemandReads
from hipbmm_operator.observe.read_cache import trim
from hipbmm_operator.pods.report import Start

PROGRESS = "hipbmm progress phase=Tuning tuned={} problems=204 failed=0 elapsed_s=1 eta_s=9\n"
START = "hipbmm exec: start 2 of the server, mode NoTable: the server ended 2 times soon after its start\n"
AGAIN: Json = {"state": {"running": {}}, "restartCount": 2, "lastState": {"terminated": ended(1)}}


class Case:
    """On-demand reads of one namespace, with a clock that the test moves."""

    def __init__(self) -> None:
        self.kube, self.clock = FakeKube(), 0.0
        self.reads = OnDemandReads(self.kube, 5.0, lambda: self.clock)  # type: ignore[arg-type]  # the part that is used
        self._numbers = itertools.count()

    async def read(self, *pods: Json, claim: Json | None = None) -> OnDemandFacts:
        parsed = [parse.pod(body) for body in pods]
        return await self.reads.at("ns", parsed, parse.claim(claim) if claim else None, NOW, ())

    def event(self, uid: str, reason: str, message: str, kind: str = "Pod", **more: Any) -> None:  # noqa: ANN401
        name = f"e-{next(self._numbers)}"
        about = {"kind": kind, "uid": uid}
        body = {"involvedObject": about, "reason": reason, "message": message, "lastTimestamp": time(5)} | more
        self.kube.objects[EVENT, "ns", name] = body


async def test_nothing_is_read_at_rest() -> None:
    case = Case()
    found = await case.read(pod(ready=True, answer=report()))
    assert (found, case.kube.reads) == (OnDemandFacts(), [])


async def test_the_progress_of_the_first_pod_that_tunes_is_read_every_few_seconds() -> None:
    case = Case()
    case.kube.logs["a", "warm"] = PROGRESS.format(38)
    pods = (pod("b", warming=True), pod("a", warming=True))
    first = await case.read(*pods)
    assert first.progress is not None
    assert (first.progress.tuned, first.again, first.stalled) == (38, 5.0, False)
    case.kube.logs["a", "warm"] = PROGRESS.format(39)
    assert await case.read(*pods) == first
    case.clock += 4.6
    second = await case.read(*pods)
    assert second.progress is not None
    assert (second.progress.tuned, case.kube.reads) == (39, [("log", "a/warm")] * 2)


async def test_a_tuner_without_progress_is_stalled_after_a_while() -> None:
    case = Case()
    case.kube.logs["a", "warm"] = PROGRESS.format(38)
    assert not (await case.read(pod("a", warming=True))).stalled
    case.clock += 46
    assert (await case.read(pod("a", warming=True))).stalled


async def test_a_tuner_in_its_last_step_is_stalled_only_when_its_log_is_silent() -> None:
    case, line = (
        Case(),
        "hipbmm progress phase=Checking tuned=204 problems=204 failed=0 verified=204 elapsed_s={} eta_s=0\n",
    )
    for seconds in range(100, 300, 15):
        case.kube.logs["a", "warm"] = line.format(seconds)
        assert not (await case.read(pod("a", warming=True))).stalled
        case.clock += 15
    case.clock += 61
    assert (await case.read(pod("a", warming=True))).stalled


async def test_what_cannot_be_read_now_is_as_it_was() -> None:
    case = Case()
    case.kube.logs["a", "warm"] = PROGRESS.format(38)
    first = await case.read(pod("a", warming=True))
    case.clock += 5
    case.kube.logs["a", "warm"] = errors.UnavailableError(0, "TimeoutError", "no kubelet")
    assert (await case.read(pod("a", warming=True))).progress == first.progress


async def test_many_reconciles_read_once() -> None:
    case = Case()
    await asyncio.gather(*(case.read(pod("a", warming=True)) for _ in range(5)))
    assert case.kube.reads == [("log", "a/warm")]


async def test_how_a_server_that_crashed_was_started_is_read_until_it_is_known() -> None:
    case = Case()
    body = pod("a", answer=report(), server=AGAIN)
    unknown = await case.read(body)
    assert (unknown.starts, unknown.again) == ({}, 10.0)
    case.kube.logs["a", "server"] = START
    case.clock += 10
    known = await case.read(body)
    assert known.starts == {"uid-a": Start("NoTable", "the server ended 2 times soon after its start")}
    case.clock += 1000
    assert await case.read(body) == known
    assert (known.again, len(case.kube.reads)) == (None, 2)


async def test_logs_that_do_not_come_are_waited_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the pods of a node that is away."""
    case, all_asked = Case(), asyncio.Barrier(3)

    async def log(*_: object, **_limit: int) -> str:
        await all_asked.wait()
        raise errors.UnavailableError(0, "TimeoutError", "")

    monkeypatch.setattr(case.kube, "log", log)
    async with asyncio.timeout(60):
        assert not (await case.read(*(pod(name, server=AGAIN) for name in "abc"))).starts


async def test_a_log_whose_beginning_is_gone_is_not_read_again() -> None:
    case = Case()
    case.kube.logs["a", "server"] = "INFO GET /health\n" * 1000
    body = pod("a", answer=report(), server=AGAIN)
    for _ in range(3):
        found = await case.read(body)
        assert (found.starts, found.again) == ({}, None)
        case.clock += 1000
    assert case.kube.reads == [("log", "a/server")]


async def test_a_first_start_without_hipbmm_is_read_before_the_pod_is_ready_and_remembered() -> None:
    case = Case()
    starting: Json = {"state": {"running": {}}, "ready": False}
    assert (await case.read(pod("a", answer=report(), server=starting))).again is None
    case.kube.logs["a", "server"] = START.replace("start 2", "start 1").replace("NoTable", "NoHipbmm")
    case.clock += 10
    ready = pod("a", answer=report(), ready=True)
    for _ in range(3):
        assert (await case.read(ready)).starts["uid-a"].mode == "NoHipbmm"
        case.clock += 1000
    assert case.kube.reads == [("log", "a/server")] * 2


WAITING: Json = {"state": {"waiting": {"reason": "ContainerCreating"}}}


async def test_of_a_series_of_events_its_last_time_counts() -> None:
    """Its Event has no other time but that of the first."""
    case = Case()
    series = {"count": 2, "lastObservedTime": time(1)}
    case.event("uid-a", "FailedMount", "still", lastTimestamp=None, eventTime=time(60), series=series)
    case.event("uid-a", "FailedMount", "in between", lastTimestamp=None, eventTime=time(30))
    case.event("uid-a", "FailedMount", "without a time", lastTimestamp=None)
    assert (await case.read(pod("a", payload=WAITING))).notes["uid-a"].message == "still"


async def test_why_a_pod_is_stuck_is_in_its_newest_event() -> None:
    case = Case()
    case.event("uid-a", "FailedMount", "old", lastTimestamp=time(50))
    case.event("uid-a", "FailedMount", "new", lastTimestamp=time(5))
    case.event("uid-a", "Scheduled", "assigned", lastTimestamp=time(1))
    case.event("uid-other", "FailedMount", "not ours", lastTimestamp=None, eventTime=time(1))
    stuck = pod("a", payload=WAITING)
    found = await case.read(stuck)
    assert [(uid, note.reason, note.message) for uid, note in found.notes.items()] == [("uid-a", "FailedMount", "new")]
    assert found.again == 10.0


async def test_a_pod_that_the_scheduler_says_nothing_about_may_wait_for_its_claim() -> None:
    case = Case()
    case.event("uid-a", "FailedResourceClaimCreation", "exceeded quota: q")
    waits = pod("a")
    waits["spec"], waits["status"] = {}, {"phase": "Pending"}
    assert (await case.read(waits)).notes["uid-a"].message == "exceeded quota: q"
    case.event("uid-c", "FailedScheduling", "queue is full")
    waits["metadata"]["uid"] = "uid-c"
    case.clock += 10
    assert (await case.read(waits)).notes["uid-c"].message == "queue is full"
    waits["spec"] = {"nodeName": "node-1"}
    assert "uid-c" not in (await case.read(waits)).notes, "what the scheduler said before it had a node"
    refused = pod("b", unschedulable="0/1 nodes are available")
    assert (await Case().read(refused)).again is None


async def test_events_are_listed_once_for_all_that_is_stuck() -> None:
    case = Case()
    await case.read(*(pod(name, payload=WAITING) for name in "abc"))
    assert case.kube.reads == [("list", "Event")]


async def test_a_pod_is_not_stuck_from_the_beginning() -> None:
    case = Case()
    young = pod("a", payload=WAITING)
    young["metadata"]["creationTimestamp"] = time(19)
    assert ((await case.read(young)).again, case.kube.reads) == (10.0, [])


async def test_a_missing_pull_secret_is_read_only_for_a_pull_that_is_refused() -> None:
    case = Case()
    case.event("uid-a", "FailedToRetrieveImagePullSecret", "regcred")
    waiting = {"reason": "ErrImagePull", "message": "401 Unauthorized"}
    found = await case.read(pod("a", warm={"state": {"waiting": waiting}}))
    assert found.notes["uid-a"].message == "regcred"
    assert found.again is None


def unbound(storage_class: str | None = None, ago: float = 60) -> Json:
    spec = {} if storage_class is None else {"storageClassName": storage_class}
    return {"metadata": {"uid": "uid-c", "creationTimestamp": time(ago)}, "spec": spec, "status": {"phase": "Pending"}}


@pytest.mark.parametrize(
    ("wanted", "classes", "expected"),
    [
        ("fast", {"fast": {}}, True),
        ("fast", {"slow": {}}, False),
        (None, {"slow": {"storageclass.kubernetes.io/is-default-class": "true"}}, True),
        (None, {"slow": {}}, False),
        ("", {}, None),
    ],
)
async def test_whether_the_class_of_an_unbound_claim_exists(
    wanted: str | None, classes: dict[str, Json], *, expected: bool | None
) -> None:
    case = Case()
    for name, annotations in classes.items():
        case.kube.objects[STORAGE_CLASS, "", name] = {"metadata": {"name": name, "annotations": annotations}}
    case.event("uid-c", "ProvisioningFailed", "no server", "PersistentVolumeClaim")
    found = await case.read(claim=unbound(wanted))
    assert (found.storage_class, found.notes["uid-c"].reason, found.again) == (expected, "ProvisioningFailed", 10.0)


@pytest.mark.parametrize("reason", ["WaitForFirstConsumer", "WaitForPodScheduled", "ExternalProvisioning"])
async def test_what_kubernetes_says_of_a_claim_that_waits_is_read(reason: str) -> None:
    case = Case()
    case.event("uid-c", reason, "waiting", kind="PersistentVolumeClaim")
    assert [note.reason for note in (await case.read(claim=unbound())).notes.values()] == [reason]


async def test_a_bound_claim_is_not_asked_for() -> None:
    case = Case()
    await case.read(claim=unbound() | {"status": {"phase": "Bound"}})
    assert case.kube.reads == []


async def test_config_maps_that_the_spec_refers_to_are_read_once_a_minute() -> None:
    case = Case()

    async def config(*names: str) -> tuple[str, float | None]:
        found = await case.reads.at("ns", [], None, NOW, [(CONFIG_MAP, name) for name in names])
        return found.config, found.again

    assert await config() == ("", None)
    absent, again = await config("config")
    assert (len(absent), again) == (16, 60.0)
    case.kube.objects[CONFIG_MAP, "ns", "config"] = {"metadata": {"name": "config"}, "data": {"config.json": "{}"}}
    assert await config("config") == (absent, 60.0)
    case.clock += 60
    present, _ = await config("config")
    assert present != absent
    case.kube.objects[CONFIG_MAP, "ns", "config"]["metadata"]["labels"] = {"other": "x"}
    case.clock += 60
    assert (await config("config"))[0] == present
    assert len(case.kube.reads) == 3


async def test_secrets_count_where_they_may_be_read() -> None:
    """Nothing of a Secret but a digest is kept, and that not without the right."""
    case = Case()
    case.kube.objects[SECRET, "ns", "token"] = {"metadata": {"name": "token"}, "data": {"HF_TOKEN": "b25l"}}

    async def config(*config_maps: str) -> str:
        case.clock += 60
        referred = [*((CONFIG_MAP, name) for name in config_maps), (SECRET, "token")]
        return (await case.reads.at("ns", [], None, NOW, referred)).config

    allowed = await config()
    assert len(allowed) == 16
    case.kube.objects[SECRET, "ns", "token"]["metadata"]["resourceVersion"] = "9"
    assert await config() == allowed, "its content is the same"
    case.kube.objects[SECRET, "ns", "token"]["data"] = {"HF_TOKEN": "dHdv"}
    assert await config() not in ("", allowed)
    case = Case()
    case.kube.forbidden.add(SECRET)
    assert await config() == ""
    reads = len(case.kube.reads)
    only_maps = (await case.reads.at("ns", [], None, NOW, [(CONFIG_MAP, "config")])).config
    assert await config("config") == only_maps
    assert [what for _, what in case.kube.reads[reads:]] == ["ConfigMap config"] * 2, "not asked for again"


async def test_a_right_to_secrets_that_is_gone_for_a_moment_replaces_no_pods() -> None:
    """As of an API server that has just started; what is taken away for good does not count any more."""
    case = Case()
    case.kube.objects[SECRET, "ns", "token"] = {"metadata": {"name": "token"}, "data": {"HF_TOKEN": "b25l"}}

    async def config(after: float, *, allowed: bool) -> str:
        case.clock += after
        case.kube.forbidden = set() if allowed else {SECRET}
        referred = [(CONFIG_MAP, "config"), (SECRET, "token")]
        return (await case.reads.at("ns", [], None, NOW, referred)).config

    counted = await config(0, allowed=True)
    assert [await config(each, allowed=False) for each in (60, 60, 470)] == [counted] * 3
    assert await config(60, allowed=True) == counted
    assert await config(60, allowed=False) == counted
    without = await config(600, allowed=False)
    assert without not in ("", counted)
    assert await config(60, allowed=False) == without


def test_a_memory_is_bounded() -> None:
    memory = {number: number for number in range(17_000)}
    trim(memory)
    assert (len(memory), min(memory)) == (16_384, 616)
