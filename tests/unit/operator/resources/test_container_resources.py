"""CPU and memory of the containers: quotas on limits can be kept to, and a pod can be Guaranteed."""

import pytest
from tests.unit.operator.make import Json, planned, resource

from hipbmm_operator.kube import quantity


def containers(**resources: Json) -> dict[str, Json]:
    """Resources by container, of a resource that gives these."""
    given = [{"name": name, "resources": entry} for name, entry in resources.items()]
    spec = planned(resource({"podTemplate": {"spec": {"containers": given}}})).revision.template["spec"]
    return {each["name"]: each["resources"] for each in [*spec["initContainers"], *spec["containers"]]}


def qos(found: dict[str, Json]) -> str:
    """The class that Kubernetes gives the pod: all containers need limits for both, equal to their requests."""
    for each in found.values():
        limits, requests = each["limits"], each.get("requests", {})
        for name in ("cpu", "memory"):
            if name not in limits or not quantity.equal(requests.get(name, limits[name]), limits[name]):
                return "Burstable"
    return "Guaranteed"


def test_what_the_operator_adds_has_limits_for_cpu_and_memory() -> None:
    found = containers()
    for name in ("payload", "harvest"):
        assert set(found[name]["limits"]) == set(found[name]["requests"]) == {"cpu", "memory"}
    assert (
        found["warm"]
        == found["server"]
        == {
            "limits": {"amd.com/gpu": "1"},
            "requests": {"cpu": "100m", "memory": "512Mi", "amd.com/gpu": "1"},
        }
    )


@pytest.mark.parametrize(
    "server",
    [
        {"requests": {"cpu": "24", "memory": "256Gi"}, "limits": {"cpu": "24", "memory": "256Gi"}},
        {"requests": {"cpu": "24000m", "memory": "262144Mi"}, "limits": {"cpu": 24, "memory": "256Gi"}},
        {"limits": {"cpu": "24", "memory": "256Gi"}},
    ],
)
def test_a_server_with_limits_equal_to_its_requests_makes_the_pod_guaranteed(server: Json) -> None:
    found = containers(server=server)
    assert qos(found) == "Guaranteed"
    assert found["server"]["limits"]["cpu"] == server["limits"]["cpu"]


@pytest.mark.parametrize(
    "server",
    [
        {},
        {"limits": {"cpu": "24"}},
        {"requests": {"cpu": "8", "memory": "256Gi"}, "limits": {"cpu": "24", "memory": "256Gi"}},
    ],
)
def test_else_the_operators_containers_ask_for_little(server: Json) -> None:
    found = containers(server=server)
    assert qos(found) == "Burstable"
    assert found["harvest"]["requests"] == {"cpu": "10m", "memory": "64Mi"}


@pytest.mark.parametrize(
    ("parts", "given"), [(("requests",), "50Gi"), (("limits",), "50Gi"), (("requests", "limits"), "9Gi")]
)
def test_where_the_server_names_disk_the_others_do(parts: tuple[str, ...], given: str) -> None:
    """As a quota on it wants. A limit only beside one of the server: the kubelet adds them up, with the caches."""
    found = containers(server={part: {"ephemeral-storage": given} for part in parts})
    for name in ("payload", "harvest"):
        amounts = {part: found[name][part].get("ephemeral-storage") for part in ("requests", "limits")}
        assert amounts == {"requests": "256Mi", "limits": "256Mi" if "limits" in parts else None}
    own = {"requests": {"ephemeral-storage": "1Gi"}}
    set_by_user = containers(server={"limits": {"ephemeral-storage": given}}, harvest=own)["harvest"]
    assert set_by_user["requests"]["ephemeral-storage"] == set_by_user["limits"]["ephemeral-storage"] == "1Gi"


@pytest.mark.parametrize("name", ["payload", "harvest"])
def test_resources_of_the_operators_containers_can_be_set(name: str) -> None:
    given = {"requests": {"cpu": "50m", "ephemeral-storage": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    found = containers(**{name: given})[name]
    assert found["limits"] == {"cpu": "2", "memory": "1Gi"}
    assert found["requests"] == {"cpu": "50m", "ephemeral-storage": "1Gi"}, "memory: Kubernetes takes the limit"
    assert containers(**{name: {"requests": {"cpu": "4"}}})[name]["limits"]["cpu"] == "4", "never below the request"
    assert containers(**{name: {"limits": {"cpu": "5m"}}})[name]["requests"].get("cpu") is None, "never above the limit"


def test_all_of_them_can_be_given_at_once() -> None:
    same = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    found = containers(server=same, payload=same, harvest=same)
    assert qos(found) == "Guaranteed"
    assert found["payload"] == found["harvest"] == same
