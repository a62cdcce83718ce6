"""What a pod asks of a node and of a quota."""

from decimal import Decimal

import pytest
from tests.unit.operator.make import Json, planned, resource

from hipbmm_operator.resources.pod_demand import Demand, avoids_itself, least, of


def container(name: str, requests: Json, limits: Json | None = None, **more: str) -> Json:
    return {"name": name, "resources": {"requests": requests, "limits": limits or {}}, **more}


def test_what_runs_at_once_is_added_and_an_init_container_counts_alone() -> None:
    template: Json = {
        "spec": {
            "initContainers": [
                container("payload", {"cpu": "4"}),
                container("harvest", {"cpu": "100m"}, restartPolicy="Always"),
                container("late", {"cpu": "3"}),
            ],
            "containers": [container("server", {"cpu": "2", "memory": "1Gi"}), container("other", {"memory": "1Gi"})],
        }
    }
    assert of(template).requests == {"cpu": Decimal(4), "memory": Decimal(2 * 1024**3)}
    template["spec"]["initContainers"][0] = container("payload", {"cpu": "1"})
    assert of(template).requests["cpu"] == Decimal("3.1")


def test_a_request_that_is_not_given_is_the_limit() -> None:
    found = of({"spec": {"containers": [container("server", {"cpu": "1"}, {"cpu": "2", "amd.com/gpu": "8"})]}})
    assert found.requests == {"cpu": Decimal(1), "amd.com/gpu": Decimal(8)}
    assert found.of_quota("requests.amd.com/gpu", Decimal(0)) == 8
    assert found.of_quota("limits.cpu", Decimal(0)) == 2
    assert found.of_quota("pods", Decimal(1)) == 1


def test_a_pod_of_ours_asks_for_its_gpus_once() -> None:
    """`warm` has the same GPUs as the server, before it."""
    template = planned(resource({"parallelism": {"tensor": 4}})).revision.template
    assert of(template).requests["amd.com/gpu"] == 4


def test_the_least_of_several() -> None:
    one, two = Demand({"cpu": Decimal(4), "x": Decimal(1)}), Demand({"cpu": Decimal(2)})
    assert least([one, two]).requests == {"cpu": Decimal(2), "x": Decimal(0)}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"matchLabels": {"app": "x"}}, True),
        ({"matchLabels": {"app": "y"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["x", "y"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["x"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "other", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "other", "operator": "Exists"}]}, False),
        ({}, True),
    ],
)
def test_an_anti_affinity_against_itself(selector: Json, *, expected: bool) -> None:
    term = {"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"}
    rules = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"affinity": {"podAntiAffinity": rules}}}
    assert avoids_itself(template) is expected
    assert not avoids_itself({"metadata": {"labels": {"app": "x"}}, "spec": {}})
