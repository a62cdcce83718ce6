"""Random pods through both ways of admission of a real API server."""

import json
from pathlib import Path
from typing import Any

from hypothesis import assume, given, settings
from tests import stacks
from tests.cluster import injection
from tests.cluster.api import Api, ApiStatusError
from tests.cluster.two_admissions import Two, both, placed
from tests.pods import pods

from hipbmm_operator.injection import patch

Json = dict[str, Any]


def test_both_ways_give_the_same_pod_and_refuse_none(api: Api, tmp_path: Path) -> None:
    with both(api, tmp_path) as two:

        @settings(max_examples=40)
        @given(pods())
        def check(pod: Json) -> None:
            try:
                plain = made(two, pod, two.plain)
            except ApiStatusError:
                assume(False)  # no API server takes it
            policy, webhook = (made(two, pod, place) for place in (two.policy, two.webhook))
            assert json.dumps(policy) == json.dumps(webhook)
            asks = patch.names(pod, stacks.profile()) and not patch.why_plain(pod, stacks.profile())
            assert (policy != plain) is asks

        check()


def made(two: Two, pod: Json, place: str) -> Json:
    return injection.comparable(injection.dry(two.api, placed(pod, place)))
