"""The Lease, by a fake API server and clocks that the test moves: never two writers, whatever happens in between."""

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipbmm_operator.controller.leader_election import Leader
from hipbmm_operator.kube import errors
from hipbmm_operator.kube.client import Kube
from hipbmm_operator.kube.kinds import HIPBMM_DEPLOYMENT, LEASE, SERVICE, Kind
from hipbmm_operator.settings import Settings

Json = dict[str, Any]


class OneLease:
    """The part of `Kube` that a Leader uses. `failure` is raised instead of an answer; `lost` answers are stored."""

    def __init__(self) -> None:
        self.stored: Json | None = None
        self.failure: errors.ApiError | None = None
        self.lost = False

    async def find(self, _kind: Kind, _namespace: str, _name: str) -> Json | None:
        self._fail()
        return copy.deepcopy(self.stored)

    async def create(self, _kind: Kind, body: Json) -> Json:
        self._fail()
        if self.stored is not None:
            raise errors.AlreadyExistsError(409, "AlreadyExists", "")
        return self._store(body, 1)

    async def replace(self, _kind: Kind, body: Json) -> Json:
        self._fail()
        version = int((self.stored or {})["metadata"]["resourceVersion"])
        if body["metadata"].get("resourceVersion") != str(version):
            raise errors.ConflictError(409, "Conflict", "")
        return self._store(body, version + 1)

    def _store(self, body: Json, version: int) -> Json:
        self.stored = copy.deepcopy(body)
        self.stored["metadata"]["resourceVersion"] = str(version)
        if self.lost:
            raise errors.UnavailableError(0, "ServerDisconnectedError", "")
        return self.stored

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def leader(lease: OneLease, identity: str, clock: Clock, heard: list[str] | None = None) -> Leader:
    reported = heard if heard is not None else []
    settings = Settings(identity=identity)
    return Leader(lease, settings, clock, lambda: reported.append(identity))  # type: ignore[arg-type]  # the part of Kube


STEPS = st.lists(
    st.tuples(st.sampled_from("ab"), st.floats(0, 40), st.sampled_from(["well", "away", "lost", "conflict"])),
    max_size=40,
)


@given(steps=STEPS)
def test_two_operators_never_may_write_at_once(steps: list[tuple[str, float, str]]) -> None:
    async def story() -> None:
        clock, lease = Clock(), OneLease()
        both = {name: leader(lease, name, clock) for name in "ab"}
        for name, seconds, how in steps:
            clock.now += seconds
            lease.failure = {
                "away": errors.UnavailableError(503, "", ""),
                "conflict": errors.ConflictError(409, "Conflict", ""),
            }.get(how)
            lease.lost = how == "lost"
            await both[name]._try()
            assert [one.may_write() for one in both.values()].count(True) <= 1

    asyncio.run(story())


async def test_a_paused_process_may_not_write_when_it_goes_on() -> None:
    clock, lease = Clock(), OneLease()
    first, second = leader(lease, "first", clock), leader(lease, "second", clock)
    await first._try()
    await second._try()
    assert (first.may_write(), second.may_write()) == (True, False)
    clock.now += 30.5
    await second._try()
    assert (first.may_write(), second.may_write()) == (False, True)
    await first._try()
    assert (first.may_write(), second.may_write()) == (False, True)


async def test_how_long_the_lease_is_held_is_counted_from_when_it_was_taken() -> None:
    """A standby's queue is as old as the standby, which says nothing about how it works."""
    clock, lease = Clock(), OneLease()
    first, second = leader(lease, "first", clock), leader(lease, "second", clock)
    for _ in range(3):
        await first._try()
        await second._try()
        clock.now += 20
    assert (first.held(), second.held()) == (60, 0)
    clock.now += 20
    await second._try()
    clock.now += 5
    await first._try()
    assert (first.held(), second.held()) == (0, 5)


async def test_what_others_have_noted_on_the_lease_stays() -> None:
    clock, lease = Clock(), OneLease()
    one = leader(lease, "one", clock)
    await one._try()
    assert lease.stored is not None
    noted = {"labels": {"team": "serving"}, "annotations": {"argocd.argoproj.io/tracking-id": "x"}}
    lease.stored["metadata"] |= noted
    clock.now += 5
    await one._try()
    assert lease.stored["metadata"].items() >= noted.items()
    assert one.may_write()


async def test_a_lease_that_was_deleted_is_made_again() -> None:
    clock, lease = Clock(), OneLease()
    one = leader(lease, "one", clock)
    await one._try()
    lease.stored = None
    clock.now += 5
    await one._try()
    assert one.may_write()
    assert lease.stored is not None


@pytest.mark.parametrize(
    "spec",
    [{}, {"holderIdentity": None}, {"holderIdentity": "x", "leaseDurationSeconds": -1, "renewTime": "never"}],
)
async def test_a_lease_that_says_nothing_useful_is_taken_after_it_was_seen_to_rest(spec: Json) -> None:
    clock, lease = Clock(), OneLease()
    lease.stored = {"metadata": {"resourceVersion": "7"}, "spec": spec}
    one = leader(lease, "one", clock)
    await one._try()
    clock.now += 1
    await one._try()
    assert one.may_write()


async def test_an_api_server_that_answers_again_is_reported_once() -> None:
    heard: list[str] = []
    clock, lease = Clock(), OneLease()
    one = leader(lease, "one", clock, heard)
    await one._try()
    lease.failure = errors.UnavailableError(0, "ClientConnectorError", "")
    for _ in range(60):
        clock.now += 5
        await one._try()
    assert not one.may_write()
    assert heard == []
    lease.failure = None
    for _ in range(3):
        clock.now += 5
        await one._try()
    assert one.may_write()
    assert heard == ["one"]


async def test_the_lease_is_given_back_only_by_its_holder() -> None:
    clock, lease = Clock(), OneLease()
    first, second = leader(lease, "first", clock), leader(lease, "second", clock)
    await first._try()
    await second.release()
    assert lease.stored is not None
    assert lease.stored["spec"]["holderIdentity"] == "first"
    await first.release()
    assert lease.stored["spec"]["holderIdentity"] == ""
    await second._try()
    assert second.may_write()


async def test_only_the_lease_itself_is_written_and_no_log_is_read_without_the_lease(tmp_path: Path) -> None:
    config = tmp_path / "config"
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "t"}}
    config.write_text(
        json.dumps({"clusters": [cluster], "contexts": [context], "users": [user], "current-context": "c"})
    )
    kube = await Kube.connect(str(config), 1.0, proxied=False)
    kube.may_write = lambda: False
    try:
        with pytest.raises(errors.UnavailableError, match="NotLeader"):
            await kube.merge(HIPBMM_DEPLOYMENT, "a", "leases", {}, "status")
        with pytest.raises(errors.UnavailableError, match="NotLeader"):
            await kube.create(SERVICE, {"metadata": {"namespace": "leases"}})
        with pytest.raises(errors.UnavailableError, match="NotLeader"):
            await kube.log("a", "pod", "server")
        with pytest.raises(errors.UnavailableError, match="ClientConnectorError"):
            await kube.create(LEASE, {"metadata": {"namespace": "a"}})
        with pytest.raises(errors.UnavailableError, match="ClientConnectorError"):
            await kube.get(LEASE, "a", "log")  # an administrator may call it so
    finally:
        await kube.close()


JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def held(holder: str = "other", renewed: str = "t1", seconds: int = 30) -> Json:
    spec = {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": seconds, "leaseTransitions": 1}
    return {"metadata": {"resourceVersion": "7"}, "spec": spec}


@pytest.mark.parametrize("holder", ["one", ""])
async def test_a_lease_is_taken_when_it_is_ours_or_free(holder: str) -> None:
    clock, lease = Clock(), OneLease()
    lease.stored = held(holder)
    one = leader(lease, "one", clock)
    await one._try()
    assert one.may_write()


async def test_a_silent_holder_is_waited_for_by_our_own_clock() -> None:
    clock, lease = Clock(), OneLease()
    one = leader(lease, "one", clock)
    for seconds, renewed in ((0, "t1"), (1000, "t2"), (30, "t2")):
        clock.now += seconds
        lease.stored = held(renewed=renewed)
        await one._try()
        assert not one.may_write()
    clock.now += 0.1
    await one._try()
    assert one.may_write()


@given(
    st.dictionaries(st.sampled_from(["holderIdentity", "renewTime", "leaseDurationSeconds", "leaseTransitions"]), JSON)
    | JSON
)
def test_a_malformed_lease_is_no_crash(spec: object) -> None:
    async def story() -> None:
        clock, lease = Clock(), OneLease()
        lease.stored = {"metadata": {"resourceVersion": "7"}, "spec": spec}
        one = leader(lease, "one", clock)
        await one.release()
        await one._try()
        clock.now += 1e9
        await one._try()
        await one.release()

    asyncio.run(story())
