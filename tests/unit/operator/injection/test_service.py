"""The quality of service by a container's requests and limits, as the kubelet counts it."""

from typing import Any

import pytest

from hipbmm_operator.injection.expr import root
from hipbmm_operator.injection.service import bounded, guaranteed

Json = dict[str, Any]
EXACT = {"cpu": "1", "memory": "1Gi"}
GPU = {"amd.com/gpu": "1"}

CASES: list[tuple[Json, bool, bool]] = [
    ({}, False, False),
    ({"resources": {}}, False, False),
    ({"resources": {"requests": GPU, "limits": GPU}}, False, False),
    ({"resources": {"requests": {"cpu": "1"}}}, False, True),
    ({"resources": {"limits": {"memory": "1Gi"}}}, False, True),
    ({"resources": {"requests": EXACT}}, False, True),
    ({"resources": {"requests": EXACT, "limits": {"cpu": "1"}}}, False, True),
    ({"resources": {"requests": EXACT, "limits": {"cpu": "2", "memory": "1Gi"}}}, False, True),
    ({"resources": {"requests": EXACT | GPU, "limits": EXACT | GPU}}, True, True),
]


@pytest.mark.parametrize(("container", "is_guaranteed", "is_bounded"), CASES)
def test_the_class_of_a_container(container: Json, is_guaranteed: bool, is_bounded: bool) -> None:
    scope = {"container": container}
    assert guaranteed(root("container")).run(scope) is is_guaranteed
    assert bounded(root("container")).run(scope) is is_bounded
