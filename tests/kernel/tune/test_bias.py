"""AITER's key of a row does not say whether there is a bias: a row that is served is right with one and without."""

import importlib.util
import json
from collections.abc import Sequence

import pytest
from tests.kernel.pods import Pod, PodMaker
from tests.kernel.tune.conftest import LINEARS, TOKENS, Serve

from hipbmm_kernel.rows import aiter_csv

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
