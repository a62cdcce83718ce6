"""AITER's key of a row does not say whether there is a bias: a row that is served is right with one and without."""

import importlib.util
import json
from collections.abc import Sequence

import pytest
from tests.kernel.pod.test_warm_mirror import logged
from tests.kernel.pods import Pod, PodMaker
from tests.kernel.tune.conftest import LINEARS, TOKENS, Serve

from hipbmm_kernel.rows import aiter_csv
from hipbmm_kernel.store import mirror_log, shard

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="children need torch"),
]
BIASED = [[*linear, 1] for linear in LINEARS]
MIXED = [*LINEARS, *BIASED]
"""Each linear once with a bias and once without, as the server computes them."""
PROBLEMS = len(LINEARS) * len(TOKENS)
ON = "on=tune|lookup|explicit"


def with_linears(pod: Pod, linears: Sequence[Sequence[int]]) -> Pod:
    pod.env["HIPBMM_LINEARS"] = json.dumps([{"n": n, "k": k, "bias": bool(bias)} for n, k, *bias in linears])
    pod.env["HIPBMM_SIM_JITTER"] = "0"
    return pod


def chosen(pod: Pod) -> str:
    """A condition on the index that the pod serves for one problem."""
    found = aiter_csv.parse(pod.served_file.read_bytes()).accepted
    return next(f"M=16,N=256,index={row.algo_index}" for row in found if row.problem == (16, 256, 512))


@pytest.mark.parametrize("bias", ["with", "without"])
@pytest.mark.parametrize(("first", "later"), [(LINEARS, BIASED), (BIASED, LINEARS), (MIXED, MIXED)])
def test_an_index_that_is_wrong_one_way_only_serves_neither(
    make_pod: PodMaker, serve: Serve, first: list[list[int]], later: list[list[int]], bias: str
) -> None:
    probing, tuning, restoring = (make_pod(name) for name in ("pod-a", "pod-b", "pod-c"))
    with_linears(probing, first).env["HIPBMM_STORE"] = str(probing.home / "store")
    probing.run("warm")
    faults = f"wrong:{chosen(probing)},{ON},bias={bias}"
    with_linears(tuning, first).run("warm", HIPBMM_SIM_FAULTS=faults)
    assert (tuning.message["state"], tuning.message["rows"]) == ("Complete", PROBLEMS)
    with_linears(restoring, later).run("warm", HIPBMM_SIM_FAULTS=faults)
    assert (restoring.message["source"], restoring.message["rows"]) == ("Restored", PROBLEMS)
    for pod in (tuning, restoring):
        served = serve(pod, MIXED, HIPBMM_SIM_FAULTS=faults)
        assert (served.wrong, served.hipbmm, served.problems) == ({}, True, len(MIXED) * (len(TOKENS) + 1)), served.log


@pytest.mark.parametrize(
    ("first", "later", "bias", "way"),
    [(LINEARS, BIASED, "with", "wrong"), (LINEARS, BIASED, "with", "exit"), (BIASED, LINEARS, "without", "wrong")],
)
def test_a_pod_that_restores_rows_of_the_other_call_is_off_where_that_is_wrong_above_the_limit(
    make_pod: PodMaker, serve: Serve, first: list[list[int]], later: list[list[int]], bias: str, way: str
) -> None:
    fault = f"{way}:M=1024,on=heuristic,bias={bias}"
    pods = [with_linears(make_pod(name), linears) for name, linears in [("a", first), ("b", later), ("c", first)]]
    for pod, linears in zip(pods, (first, later, first), strict=True):
        pod.run("warm", HIPBMM_SIM_FAULTS=fault)
        served = serve(pod, linears, HIPBMM_SIM_FAULTS=fault)
        assert (served.wrong, pod.message["hipbmm"]) == ({}, linears == first), served.log
        assert pod.message["state"] == ("Complete" if linears == first else "Unsupported")
        assert pod.message["rows"] == PROBLEMS


def test_the_mirror_does_not_say_more_than_was_probed(make_pod: PodMaker) -> None:
    said = {}
    for name, fault in [("a", ""), ("b", "wrong:M=1024,N=256,on=heuristic,bias=with")]:
        pod = with_linears(make_pod(name), LINEARS)
        pod.env["HIPBMM_STORE"] = str(pod.home / "store")
        texts = logged(pod.run("warm", HIPBMM_SIM_FAULTS=fault, HIPBMM_MIRROR_LOG="1").stderr)
        (rows,) = (shard.decode(text).rows for name, text in texts.items() if name.startswith(mirror_log.ORIGIN))
        said[name] = {row.problem.n for row in rows if row.verified}
        assert len(rows) == PROBLEMS
    assert said == {"a": {256, 512}, "b": {512}}


@pytest.mark.parametrize("bias", ["with", "without"])
@pytest.mark.parametrize("linears", [MIXED, [LINEARS[0], *LINEARS, *BIASED]])
def test_both_calls_above_the_limit_are_probed(
    make_pod: PodMaker, serve: Serve, linears: list[list[int]], bias: str
) -> None:
    pod, faults = with_linears(make_pod(), linears), f"wrong:M=1024,on=heuristic,bias={bias}"
    pod.run("warm", HIPBMM_SIM_FAULTS=faults)
    assert (pod.message["state"], pod.message["reason"]) == ("Unsupported", "NoSolution")
    served = serve(pod, MIXED, HIPBMM_SIM_FAULTS=faults)
    assert (served.wrong, served.hipbmm) == ({}, False)
