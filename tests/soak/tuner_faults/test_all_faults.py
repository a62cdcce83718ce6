"""Each fault of AITER, at each way to an index, at small and large M: the server computes no wrong element.

`tests/kernel/tune/test_proven_or_off.py` has some of these, and what `warm` says in which case.
"""

import itertools
import random

import pytest
from tests.kernel.pods import PodMaker
from tests.kernel.tune.conftest import ALL_TOKENS, LINEARS, TOKENS, Serve

pytestmark = pytest.mark.timeout(600)
PROBLEMS = len(LINEARS) * len(TOKENS)

ENDING = ["exit", "hip-exit", "segv", "oom", "hang"]
WRONG = ["wrong:how=all", "wrong:how=tile", "wrong:how=nan"]
OF_THE_TABLE = ["no-solution", "lost-append", "partial-line:bytes=60", "slow-file:ms=20", "throttle:factor=20"]
WAYS = ["tune", "lookup", "explicit", "tune|lookup|explicit", "heuristic"]
TUNING = "tuning"
"""Before AITER tries its candidates: only what ends the process can happen there."""
WHERE = ["M=1", "M=2-16", "M=512", "M=1024", "M=2,N=256,K=512", "M=512,N=512,K=256", "N=512"]


def _rule(kind: str, *conditions: str) -> str:
    name, _, arguments = kind.partition(":")
    return f"{name}:{','.join(filter(None, (*conditions, arguments)))}"


FAULTS = [
    *(_rule(kind, where, f"on={way}") for kind, where, way in itertools.product(ENDING + WRONG, WHERE, WAYS)),
    *(_rule(kind, where, f"on={TUNING}") for kind, where in itertools.product(ENDING, WHERE)),
    *(_rule(kind, where) for kind, where in itertools.product(OF_THE_TABLE, WHERE)),
]


LATE = [
    f"wrong:{where},on={way},after={good}{more}"
    for where, way in itertools.product(["M=1", "M=2,N=256,K=512"], ["explicit", "tune|lookup|explicit"])
    for good, more in [(1, ""), (2, ""), (3, ""), (8, ""), (1, ",times=1"), (2, ",how=nan")]
]
"""At first all goes well. What goes wrong in the server alone, nobody can know before."""
PAIRS = [";".join(random.Random(seed).sample(FAULTS, 2)) for seed in range(60)]
"""Two at once."""


def is_served_by_another_index(fault: str) -> bool:
    """Whether only AITER's own tuning fails, and only for one M: the indices of its neighbours are right."""
    name, _, conditions = fault.partition(":")
    one = any(condition in ("M=1", "M=512") for condition in conditions.split(","))
    return (
        name in ("exit", "hip-exit", "segv", "wrong", "lost-append", "partial-line")
        and one
        and (conditions.endswith(("on=tune", "on=tuning")) or "on=" not in conditions)
    )


@pytest.mark.parametrize("fault", [*FAULTS, *LATE, *PAIRS])
def test_the_server_computes_no_wrong_element(make_pod: PodMaker, serve: Serve, fault: str) -> None:
    pod = make_pod()
    done = pod.run("warm", HIPBMM_SIM_FAULTS=fault, HIPBMM_PROBLEM_SECONDS="6")
    assert done.returncode == 0, done.stderr
    message = pod.message
    served = serve(pod, HIPBMM_SIM_FAULTS=fault)
    assert (served.status, served.wrong, served.hipbmm) == (0, {}, message["hipbmm"]), served.log
    assert served.problems == len(LINEARS) * len(ALL_TOKENS)
    if message["hipbmm"]:
        assert (message["state"], message["rows"], message["unverified"]) == ("Complete", PROBLEMS, 0)
    else:
        assert message["unproven"] or message["reason"] in {"NoSolution", "TunerFailed"}
    if fault in FAULTS and is_served_by_another_index(fault):
        assert message["hipbmm"], message
