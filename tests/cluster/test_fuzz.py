"""Random specs through a real API server. `make soak` tries 2,000."""

import itertools

from tests.cluster.api import until
from tests.cluster.faults import fuzz
from tests.cluster.faults.rig import Rig
from tests.schemafuzz import specs

from hipbmm_operator.kube import kinds

COUNT = 60


def test_random_specs_are_refused_or_dealt_with(one: Rig) -> None:
    operator = one.start()
    tally = fuzz.run(one, itertools.islice(specs(20261125), COUNT))
    assert tally.accepted >= COUNT // 6
    assert tally.refused >= COUNT // 6
    one.world.create()
    until("a healthy one to be served", lambda: one.place.api.find(kinds.SERVICE, one.name, "qwen"))
    until("the queue to be empty", lambda: operator.metric("hipbmm_workqueue_depth") == 0)
    assert operator.metric('hipbmm_reconcile_total{result="defect"}') == 0
    assert operator.defects() == []
