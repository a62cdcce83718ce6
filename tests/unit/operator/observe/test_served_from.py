"""What serving processes say of their table: read soon after a start, believed, and then not read again."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.fakekube import FakeKube
from tests.unit.operator.make import NOW, Json, pod, report, time

from hipbmm_operator.api.status import TuningStatus
from hipbmm_operator.kube import errors
from hipbmm_operator.observe import parse
from hipbmm_operator.observe.served_from import SILENT_SECONDS, ServedFromReads
from hipbmm_operator.pods.report import ServedFrom, parse_served_from

LINE = "hipbmm harvest: dispatch {}: {}\n"
SILENT = LINE.format("Unknown", "1 of 2 processes say that they serve from memory")


def serving(**more: Any) -> Json:  # noqa: ANN401 - a container's status
    """A pod that became ready just now, whose `warm` has said Memory."""
    body = pod("a", ready=True, answer=report(dispatch="Memory"))
    body["status"]["containerStatuses"].append({"name": "harvest", "state": {"running": {}}} | more)
    return body


class Case:
    def __init__(self, log: str | errors.ApiError = "") -> None:
        self.kube, self.age = FakeKube(), 0.0
        self.kube.logs["a", "harvest"] = log
        self.words = ServedFromReads(self.kube, lambda: self.age)  # type: ignore[arg-type]  # the part that is used

    async def at(self, age: float, body: Json | None = None) -> tuple[ServedFrom | None, float | None]:
        self.age = age
        found, again = await self.words.at([parse.pod(body or serving())], NOW + timedelta(seconds=age))
        return found.get("uid-a"), again


async def test_memory_is_believed_after_a_second_look_and_not_read_again() -> None:
    case = Case(LINE.format("Memory", ""))
    assert await case.at(1) == (ServedFrom("Memory"), 30.0)
    assert await case.at(61) == (ServedFrom("Memory"), None)
    assert await case.at(100_000) == (ServedFrom("Memory"), None)
    assert len(case.kube.reads) == 2


async def test_a_rank_that_says_otherwise_a_little_later_is_heard() -> None:
    case = Case(LINE.format("Memory", ""))
    await case.at(1)
    case.kube.logs["a", "harvest"] = LINE.format("Memory", "") + LINE.format("File", "another stack")
    assert await case.at(61) == (ServedFrom("File", "another stack"), None)


async def test_silence_is_no_fault_before_its_time() -> None:
    case = Case(SILENT)
    assert await case.at(1) == (None, 30.0)
    assert await case.at(SILENT_SECONDS - 1) == (None, 30.0)
    served, again = await case.at(SILENT_SECONDS + 1)
    assert served is not None
    assert (served.mode, again) == ("File", None)
    assert served.reason.startswith("1 of 2 processes say that they serve from memory: vLLM has not loaded the plugin")
    case.kube.logs["a", "harvest"] = LINE.format("Memory", "")
    assert (await case.at(SILENT_SECONDS + 600))[0] == ServedFrom("Memory")


async def test_what_a_sidecar_says_fits_into_the_status_however_long_it_is() -> None:
    served, _ = await Case(LINE.format("Unknown", "x" * 9000)).at(SILENT_SECONDS + 1)
    assert served is not None
    assert served.reason.endswith("FP8 GEMM of AITER")
    TuningStatus(state="Complete", dispatch_reason=served.reason)


async def test_an_operator_that_starts_again_knows_how_long_it_has_been_silent() -> None:
    served, _ = await Case(SILENT).at(100_000)
    assert served is not None
    assert served.mode == "File"


async def test_another_start_of_the_server_is_asked_anew() -> None:
    case = Case(LINE.format("Memory", ""))
    await case.at(61)
    case.kube.logs["a", "harvest"] = LINE.format("File", "torn")
    assert (await case.at(90))[0] == ServedFrom("Memory")
    again = serving()
    next(each for each in again["status"]["containerStatuses"] if each["name"] == "server")["restartCount"] = 1
    assert (await case.at(91, again))[0] == ServedFrom("File", "torn")


@pytest.mark.parametrize(
    "log", ["", "hipbmm harvest: dispatch Unasked: x\n", errors.ForbiddenError(403, "Forbidden", "")]
)
async def test_what_a_log_does_not_say_is_not_known(log: str | errors.ApiError) -> None:
    case = Case(log)
    assert await case.at(1) == (None, 30.0)
    assert await case.at(SILENT_SECONDS * 10) == (None, None)


@pytest.mark.parametrize("why", ["file", "no report", "not ready", "no sidecar", "sidecar ended", "deleting"])
async def test_who_cannot_speak_is_not_asked(why: str) -> None:
    body = serving(**({"state": {"terminated": {"exitCode": 1}}} if why == "sidecar ended" else {}))
    if why == "file":
        body = pod("a", ready=True, answer=report(dispatch="File"))
    elif why == "no report":
        body = pod("a", ready=True)
    elif why == "not ready":
        body["status"]["conditions"][0]["status"] = "False"
    elif why == "no sidecar":
        del body["status"]["containerStatuses"][-1]
    elif why == "deleting":
        body["metadata"]["deletionTimestamp"] = time()
    case = Case(SILENT)
    assert (await case.at(1000, body), case.kube.reads) == ((None, None), [])


@pytest.mark.parametrize(
    ("log", "found"),
    [
        (LINE.format("File", "a\x1b[2J" + "x" * 999), ServedFrom("File", ("a [2J" + "x" * 999)[:256])),
        (f"x {LINE.format('Memory', '')}", None),
        (LINE.format("Memory", "") + LINE.format("Else", "newer"), None),
        (
            LINE.format("Memory", "") + "hipbmm harvest: demand was not published: dispatch File: x\n",
            ServedFrom("Memory"),
        ),
    ],
)
def test_lines_are_bounded_and_the_last_one_counts(log: str, found: ServedFrom | None) -> None:
    assert parse_served_from(log) == found


async def test_many_pods_are_read_at_once_and_remembered() -> None:
    kube = FakeKube()
    pods = []
    for number in range(6000):
        body = serving()
        body["metadata"] |= {"name": f"p{number}", "uid": f"uid-p{number}"}
        pods.append(parse.pod(body))
        kube.logs[f"p{number}", "harvest"] = LINE.format("Memory", "")
    words = ServedFromReads(kube, lambda: 100.0)  # type: ignore[arg-type]  # the part that is used
    for _ in range(2):
        found, again = await words.at(pods, NOW + timedelta(seconds=100))
        assert (len(found), again, len(kube.reads)) == (6000, None, 6000)
