"""Taking rows over when the API, a log or a ConfigMap fails: reported, tried again, and never in a loop."""

import asyncio
import gc
import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.operator.make import NOW, pod, report, resource
from tests.unit.operator.mirror_objects import Json, content, kept, line, log, name_of, shard, text

from hipbmm_operator.kube import errors
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.mirror import steps
from hipbmm_operator.mirror.content import Content
from hipbmm_operator.mirror.shards import Shard
from hipbmm_operator.mirror.state import GRACE, MirrorState
from hipbmm_operator.observe import parse
from hipbmm_operator.observe.mirror_logs import MirrorLogs

OWNER = resource().meta
ONE, TWO = text(line(1)), text(line(2))


class FailingApi:
    """Logs and ConfigMaps that fail when reported to."""

    def __init__(self, logs: dict[str, str | errors.ApiError] | None = None, bodies: list[Json] | None = None) -> None:
        self.logs: dict[str, str | errors.ApiError] = logs or {}
        self.bodies = {body["metadata"]["name"]: body for body in bodies or []}
        self.read: list[str] = []

    async def log(self, _namespace: str, name: str, container: str, _lines: int, _limit: int) -> str:
        self.read.append(f"{name}/{container}")
        answer = self.logs.get(name, "")
        if isinstance(answer, errors.ApiError):
            raise answer
        return answer

    async def find(self, _kind: Kind, _namespace: str, name: str) -> Json | None:
        return self.bodies.get(name)


class Case:
    """One collector, its API, and a clock."""

    def __init__(self, api: FailingApi) -> None:
        self.api, self.clock = api, 1000.0
        self.logs = MirrorLogs(api, lambda: self.clock)  # type: ignore[arg-type]  # the two calls that it makes

    def observe(self, bodies: list[Json], *found: Json, now: datetime = NOW) -> MirrorState:
        parsed = [parse.pod(body) for body in found]
        return asyncio.run(self.logs.at(OWNER, map(parse.mirror_map, bodies), parsed, now))


def warmed(name: str, *shards: str, **more: Any) -> Json:  # noqa: ANN401 - arguments of a pod
    reported = {"shards": [name_of(each) for each in shards], "lines": 9}
    return pod(name, answer=report(mirror=reported), **more)


def stored(of: Content, *taken: str) -> list[Json]:
    return [steps.build(OWNER, of, taken), steps.build_archive(OWNER, of, taken)]


def in_memory(bodies: list[Json]) -> list[Json]:
    return [kept(body, body["metadata"]["name"]) for body in bodies]


def test_a_log_that_cannot_be_read_is_reported_and_read_later() -> None:
    case = Case(FailingApi({"qwen-1": errors.ForbiddenError(403, "Forbidden", "may not read pods/log")}))
    found = case.observe([], warmed("qwen-1", ONE))
    assert (found.reason, found.content, found.again) == ("MirrorUnreadable", None, 5.0)
    assert "may not read pods/log" in found.message
    assert found.on_their_way == {"uid-qwen-1"}
    case.observe([], warmed("qwen-1", ONE))
    assert len(case.api.read) == 1
    late = case.observe([], warmed("qwen-1", ONE), now=NOW + GRACE + timedelta(seconds=1))
    assert (late.on_their_way, late.again) == (frozenset(), 60.0)
    case.clock += 60
    case.api.logs["qwen-1"] = log(ONE)
    healed = case.observe([], warmed("qwen-1", ONE))
    assert healed.content is not None
    assert (set(healed.content.shards), healed.reason) == ({name_of(ONE)}, None)


def test_pods_with_the_same_rows_are_read_once() -> None:
    case = Case(FailingApi({"qwen-1": log(ONE), "qwen-2": log(ONE)}))
    first = case.observe([], warmed("qwen-1", ONE), warmed("qwen-2", ONE))
    again = case.observe([], warmed("qwen-1", ONE), warmed("qwen-2", ONE))
    assert first.content == again.content == content(shard(line(1)))
    assert len(case.api.read) == 1
    assert again.on_their_way == {"uid-qwen-1", "uid-qwen-2"}


def test_where_one_log_cannot_be_read_another_with_the_same_rows_is() -> None:
    case = Case(FailingApi({"qwen-1": errors.UnavailableError(0, "TimeoutError", "no kubelet"), "qwen-2": log(ONE)}))
    found = case.observe([], warmed("qwen-1", ONE), warmed("qwen-2", ONE))
    assert (found.content, found.reason) == (content(shard(line(1))), "MirrorUnreadable")
    assert case.api.read == ["qwen-1/warm", "qwen-2/warm"]


def test_rows_that_the_mirror_holds_are_not_kept_in_memory() -> None:
    """A thousand pods have up to a megabyte each."""
    rows = text(line(4711))
    case, name = Case(FailingApi({"qwen-1": log(rows)})), name_of(rows)
    case.observe([], warmed("qwen-1", rows))
    assert in_use(name) == 1
    case.observe(in_memory(stored(content(shard(line(4711))), name)), warmed("qwen-1", rows))
    assert in_use(name) == 0


def in_use(name: str) -> int:
    """How many shards of this name are in memory."""
    gc.collect()
    return sum(isinstance(each, Shard) and each.name == name for each in gc.get_objects())


def test_nothing_is_read_when_nothing_is_new() -> None:
    bodies = stored(content(shard(line(1))), name_of(ONE))
    case = Case(FailingApi({}, bodies))
    found = case.observe(in_memory(bodies), warmed("qwen-1", ONE))
    assert (found.content, found.again, found.reason, case.api.read) == (None, None, None, [])


def test_a_shard_that_was_replaced_is_not_taken_again_and_again() -> None:
    both = shard(line(1), line(2), inputs=(name_of(ONE),))
    bodies = stored(content(both))
    case = Case(FailingApi({"qwen-1": log(ONE)}, bodies))
    found = case.observe(in_memory(bodies), warmed("qwen-1", ONE))
    assert (found.content, found.again, found.on_their_way) == (None, None, frozenset())


def test_a_log_that_lies_is_reported_and_not_waited_for() -> None:
    case = Case(FailingApi({"qwen-1": log(TWO)}))
    found = case.observe([], warmed("qwen-1", ONE))
    assert (found.reason, found.content, found.on_their_way, found.again) == ("MirrorRejected", None, frozenset(), None)
    case.clock += 3600
    case.observe([], warmed("qwen-1", ONE))
    assert len(case.api.read) == 1


def test_rows_that_do_not_fit_leave_the_mirror_as_it_is() -> None:
    rng = random.Random(1)
    large = [shard(*(line(m).replace("Cijk", rng.randbytes(200).hex()) for m in range(1, 2500))) for _ in range(2)]
    bodies = stored(content(large[0]))
    more = text(*(line(m).replace("Cijk", rng.randbytes(200).hex()) for m in range(1, 2500)))
    case = Case(FailingApi({"qwen-1": log(more, size=3072)}, bodies))
    found = case.observe(in_memory(bodies), warmed("qwen-1", more))
    assert (found.reason, found.content, found.on_their_way) == ("MirrorTooLarge", None, frozenset())


def test_rows_that_are_mounted_are_not_lost_where_only_a_former_copy_is_left() -> None:
    """Former operators could change what pods mount though a quota refused the copy."""
    newest, former = content(shard(line(1)), shard(line(2))), content(shard(line(1)))
    bodies = [stored(newest)[0], stored(former)[1]]
    found = Case(FailingApi({}, bodies)).observe(in_memory(bodies))
    assert found.content == newest


@pytest.mark.parametrize("lost", ["archive", "mounted"])
def test_either_config_map_restores_the_other(lost: str) -> None:
    of = content(shard(line(1)))
    bodies = stored(of)
    left = bodies[:1] if lost == "archive" else bodies[1:]
    case = Case(FailingApi({}, left))
    assert case.observe(in_memory(left)).content == of


def test_what_a_pod_has_learned_is_read_seldom_and_only_what_is_new() -> None:
    origin = "uid-qwen-1.mirror"
    first = text(line(7), origin=origin, number=1)
    second = text(line(7), line(8), origin=origin, number=2, inputs=(name_of(first, origin, 1),))
    names = [name_of(first, origin, 1), name_of(second, origin, 2)]
    up = {"state": {"running": {}}, "ready": True}
    serving = pod("qwen-1", answer=report(), ready=True, harvest=up)
    case = Case(FailingApi({"qwen-1": log(first, names=names[:1])}))
    found = case.observe([], serving)
    assert found.content is not None
    assert set(found.content.shards) == {names[0]}
    bodies = stored(found.content, *found.taken)
    case.api.bodies = {body["metadata"]["name"]: body for body in bodies}
    case.api.logs["qwen-1"] = log(first, second, names=names)
    assert case.observe(in_memory(bodies), serving).content is None
    assert len(case.api.read) == 1
    case.clock += 600
    newer = case.observe(in_memory(bodies), serving)
    assert newer.content is not None
    assert set(newer.content.shards) == {names[1]}
    assert newer.taken >= {names[1]}


@pytest.mark.parametrize("noted", ["x", "uid-qwen-1.mirror.x.y.csv", "demand.uid-qwen-1.1", "uid-qwen-1.mirror..."])
def test_what_somebody_else_noted_as_taken_does_no_harm(noted: str) -> None:
    up = {"state": {"running": {}}, "ready": True}
    serving = pod("qwen-1", answer=report(), ready=True, harvest=up)
    bodies = stored(content(shard(line(1))), noted, name_of(ONE))
    found = Case(FailingApi({}, bodies)).observe(in_memory(bodies), serving)
    assert (found.reason, found.taken) == (None, frozenset())


def test_demand_of_a_serving_pod_is_read_with_its_rows_and_only_its_own() -> None:
    rows_of, demand_of = "uid-qwen-1.mirror", "demand.uid-qwen-1"
    learned = text(line(7), origin=rows_of, number=1)
    asked = text("7,256,512,0,99", origin=demand_of, kind="demand", number=1)
    forged = text("7,256,512,0,99", origin="demand.uid-qwen-2", kind="demand", number=1)
    names = [name_of(learned, rows_of, 1), name_of(asked, demand_of, 1), name_of(forged, "demand.uid-qwen-2", 1)]
    up = {"state": {"running": {}}, "ready": True}
    serving = pod("qwen-1", answer=report(), ready=True, harvest=up)
    case = Case(FailingApi({"qwen-1": log(learned, asked, forged, names=names)}))
    found = case.observe([], serving)
    assert found.content is not None
    assert set(found.content.shards) == set(names[:2])
    bodies = stored(found.content, *found.taken)
    case.api.bodies = {body["metadata"]["name"]: body for body in bodies}
    case.clock += 600
    assert case.observe(in_memory(bodies), serving).content is None
