"""What a pod asks of a node and of a quota."""

import json
from decimal import Decimal

import pytest
from tests.unit.operator.make import Json, planned, resource

from hipbmm_operator.kube import names
from hipbmm_operator.resources.pod_demand import Demand, least, of, repels, spreads


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
    assert found.limits == {"cpu": Decimal(2), "amd.com/gpu": Decimal(8)}


def test_a_pod_of_ours_asks_for_its_gpus_once() -> None:
    """`warm` has the same GPUs as the server, before it."""
    template = planned(resource({"parallelism": {"tensor": 4}})).revision.template
    assert of(template).requests["amd.com/gpu"] == 4


def test_the_least_of_several() -> None:
    one, two = Demand({"cpu": Decimal(4), "x": Decimal(1)}), Demand({"cpu": Decimal(2)})
    assert least([one, two]).requests == {"cpu": Decimal(2), "x": Decimal(0)}


def test_an_old_pod_is_no_other_object() -> None:
    """A quota on ReplicaSets is not freed by the end of a pod; one on pods is, in both spellings."""
    names = ("count/replicasets.apps", "count/pods", "pods")
    counted = {name: Demand().freed(name, Decimal(1), Demand()) for name in names}
    assert counted == {"count/replicasets.apps": 0, "count/pods": 1, "pods": 1}


def bounded(*resources: str, **amounts: str) -> Json:
    """A server in a namespace whose LimitRange speaks about `resources`; `amounts` are its limits."""
    noted = json.dumps({name: ["", ""] for name in resources})
    body = {"spec": {"containers": [container("server", {}, dict(amounts))]}}
    return {**body, "metadata": {"annotations": {names.ANNOTATION_NAMESPACE_RULES: noted}}}


@pytest.mark.parametrize(
    ("old", "new", "counted", "freed"),
    [
        ({"cpu": "4"}, {"cpu": "4"}, 4, 4),
        ({"cpu": "4"}, {"cpu": "8"}, 8, 4),
        ({"cpu": "4"}, {"cpu": "4"}, 5, 5),  # an injected container, the overhead of a RuntimeClass
        ({}, {}, 8, 8),  # the default of a LimitRange
        ({}, {"cpu": "4"}, 4, 4),
        ({"cpu": "4"}, {}, 8, 4),
    ],
)
@pytest.mark.parametrize("name", ["limits.cpu", "requests.cpu", "cpu"])
def test_admission_counts_more_of_a_pod_than_its_template_says(
    name: str, old: Json, new: Json, counted: int, freed: int
) -> None:
    before, after = of(bounded("cpu", **old)), of(bounded("cpu", **new))
    assert before.freed(name, Decimal(counted), after) == freed


def template(term: Json | None = None, **labels: str) -> Json:
    rules = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term] if term else []}}
    return {"metadata": {"labels": labels}, "spec": {"affinity": rules}}


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
        (None, False),
    ],
)
def test_an_anti_affinity_against_pods_with_these_labels(selector: Json | None, *, expected: bool) -> None:
    term = {"topologyKey": "kubernetes.io/hostname", **({} if selector is None else {"labelSelector": selector})}
    assert repels(template(term), template(app="x"), "ns") is expected
    assert not repels(template(app="x"), template(term, app="x"), "ns")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"namespaces": ["ns", "other"]}, True),
        ({"namespaces": ["other"]}, False),
        ({"namespaces": []}, True),
        ({"namespaceSelector": {}}, True),
        ({"namespaces": ["other"], "namespaceSelector": {"matchLabels": {"team": "a"}}}, True),
        ({"matchLabelKeys": ["pod-template-hash"]}, False),
        ({"matchLabelKeys": ["team"]}, True),
    ],
)
def test_an_anti_affinity_reaches_namespaces_and_templates(more: Json, *, expected: bool) -> None:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "x"}}, **more}
    assert repels(template(term), template(app="x"), "ns") is expected


@pytest.mark.parametrize(
    ("keys", "own", "other", "expected"),
    [
        ({}, {}, {}, True),
        ({"matchLabelKeys": ["pod-template-hash"]}, {}, {}, False),
        ({"mismatchLabelKeys": ["pod-template-hash"]}, {}, {}, True),
        ({"matchLabelKeys": ["version"]}, {"version": "2"}, {"version": "1"}, False),
        ({"matchLabelKeys": ["version"]}, {"version": "1"}, {"version": "1"}, True),
        ({"matchLabelKeys": ["version"]}, {"version": "1"}, {}, False),
        ({"matchLabelKeys": ["version"]}, {}, {"version": "1"}, True),
        ({"mismatchLabelKeys": ["tenant"]}, {"tenant": "a"}, {"tenant": "a"}, False),
        ({"mismatchLabelKeys": ["tenant"]}, {"tenant": "a"}, {"tenant": "b"}, True),
        ({"mismatchLabelKeys": ["tenant"]}, {}, {"tenant": "b"}, True),
    ],
)
def test_keys_whose_values_the_pod_with_the_rule_brings(keys: Json, own: Json, other: Json, *, expected: bool) -> None:
    """As the API server merges them into the selector; of a template, only the hash is never that of another."""
    rule = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "x"}}, **keys}
    assert repels(template(rule, app="x", **own), template(app="x", **other), "ns") is expected
    spread = {"metadata": {"labels": own}, "spec": {"topologySpreadConstraints": [rule | HARD]}}
    assert spreads(spread, template(app="x", **other)) is expected


HARD = {"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        ([], True),  # somebody else has put one on the pods
        ([HARD | {"labelSelector": {"matchLabels": {"app": "x"}}}], True),
        ([HARD | {"labelSelector": {"matchLabels": {"app": "y"}}}], False),
        ([HARD | {"labelSelector": {"matchLabels": {"app": "y"}}}, HARD | {"labelSelector": {}}], True),
        ([{"whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "y"}}}], True),
    ],
)
def test_only_pods_that_a_hard_rule_selects_have_to_be_spread(constraints: list[Json], *, expected: bool) -> None:
    assert spreads({"spec": {"topologySpreadConstraints": constraints}}, template(app="x")) is expected
