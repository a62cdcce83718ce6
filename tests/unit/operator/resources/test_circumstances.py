"""What the namespace asks of pods: read into bounds, noted on the template, and kept to by what the operator adds."""

from dataclasses import replace

import pytest
from tests.unit.operator.make import Json, observed, planned, resource

from hipbmm_operator.detect.affinity import EVERY_KIND, LabelKind
from hipbmm_operator.kube import quantity
from hipbmm_operator.observe import parse
from hipbmm_operator.plan.plan import Plan
from hipbmm_operator.resources import circumstances, controller_revision
from hipbmm_operator.resources.circumstances import Bounds, Circumstances, bounds_of

OWNER = resource().meta


def limit_range(**item: Json) -> Json:
    return {"spec": {"limits": [{"type": "Container", **item}, {"type": "Pod", "max": {"cpu": "1"}}]}}


def rendered(around: Circumstances, spec: Json | None = None) -> Plan:
    return planned(resource(spec), replace(observed(), circumstances=around))


def within(*limit_ranges: Json) -> Circumstances:
    return Circumstances(bounds=bounds_of(limit_ranges))


def containers(plan: Plan) -> dict[str, Json]:
    spec = plan.revision.template["spec"]
    return {each["name"]: each["resources"] for each in [*spec["initContainers"], *spec["containers"]]}


def admitted(resources: Json, ranges: list[Json]) -> bool:
    """As Kubernetes judges a container (plugin LimitRanger), after the defaults of the LimitRange."""
    limits, requests = dict(resources.get("limits", {})), dict(resources.get("requests", {}))
    for item in (entry for body in ranges for entry in body["spec"]["limits"] if entry["type"] == "Container"):
        # As the API server completes it (`SetDefaults_LimitRangeItem` of k8s.io/kubernetes).
        usual = item.get("max", {}) | item.get("default", {})
        asked = item.get("min", {}) | usual | item.get("defaultRequest", {})
        for name in asked | item.get("maxLimitRequestRatio", {}):
            limit = quantity.value(limits.get(name, usual.get(name, "")))
            request = quantity.value(requests.get(name, limits.get(name, asked.get(name, ""))))
            least, most = (quantity.value(item.get(key, {}).get(name, "")) for key in ("min", "max"))
            ratio = quantity.value(item.get("maxLimitRequestRatio", {}).get(name, ""))
            if request is None or (limit is None and most is not None) or (limit is not None and request > limit):
                return False
            if (least is not None and request < least) or (limit is not None and most is not None and limit > most):
                return False
            if ratio is not None and (limit is None or limit / request > ratio):
                return False
    return True


RANGES = {
    "minimum": limit_range(min={"cpu": "250m", "memory": "512Mi"}, default={"cpu": "4", "memory": "64Gi"}),
    "large minimum": limit_range(min={"cpu": "2", "memory": "4Gi"}, max={"cpu": "64", "memory": "1Ti"}),
    "small maximum": limit_range(max={"cpu": "200m", "memory": "100Mi"}),
    "ratio": limit_range(maxLimitRequestRatio={"cpu": "1", "memory": "2"}, default={"cpu": "8", "memory": "64Gi"}),
}


@pytest.mark.parametrize("case", RANGES)
def test_the_minimal_resource_keeps_to_a_limit_range(case: str) -> None:
    plan = rendered(within(RANGES[case]))
    for name, resources in containers(plan).items():
        assert admitted(resources, [RANGES[case]]), (name, resources)


DISKS: list[dict[str, str]] = [
    {"min": "10Mi"},
    {"min": "4Gi", "max": "10Gi"},
    {"min": "10Mi", "default": "100Mi"},
    {"default": "100Mi", "max": "9Gi"},
    {"default": "1Gi", "max": "9Gi", "maxLimitRequestRatio": "1"},
    {"default": "1Gi", "defaultRequest": "600Mi", "maxLimitRequestRatio": "2"},
]


@pytest.mark.parametrize("disk", DISKS, ids=str)
@pytest.mark.parametrize("server", [{}, {"limits": "8Gi"}, {"limits": "8Gi", "requests": "8Gi"}, {"requests": "1Gi"}])
def test_a_limit_range_on_disk_admits_what_the_operator_adds(disk: dict[str, str], server: dict[str, str]) -> None:
    ranges = [limit_range(**{key: {"ephemeral-storage": amount} for key, amount in disk.items()})]
    asked = {key: {"ephemeral-storage": amount} for key, amount in server.items()}
    spec = {"podTemplate": {"spec": {"containers": [{"name": "server", "resources": asked}]}}}
    found = containers(rendered(within(*ranges), spec))
    for name in ("payload", "harvest"):
        assert admitted(found[name], ranges), found[name]
        assert ("ephemeral-storage" in found[name]["limits"]) is ("limits" in server), "the caches need more"


@pytest.mark.parametrize("key", ["min", "max", "default", "defaultRequest"])
def test_what_the_user_does_not_give_is_left_to_a_limit_range(key: str) -> None:
    ranges = [limit_range(**{key: {"cpu": "2", "memory": "8Gi"}})]
    found = containers(rendered(within(*ranges)))
    assert found["server"]["requests"] == {"amd.com/gpu": "1"}
    assert all(admitted(each, ranges) for each in found.values())


def test_of_several_limit_ranges_the_narrowest_counts() -> None:
    one, other = limit_range(min={"cpu": "1"}, max={"cpu": "9"}), limit_range(min={"cpu": "500m"}, max={"cpu": "4000m"})
    assert bounds_of([one, other]) == {"cpu": Bounds("1", "4000m")}
    assert bounds_of([{}, {"spec": None}, {"spec": {"limits": [None, {"type": "Container", "min": None}]}}]) == {}


def test_what_the_user_gives_is_not_changed_by_a_limit_range() -> None:
    given = {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    spec = {"podTemplate": {"spec": {"containers": [{"name": "harvest", "resources": given}]}}}
    assert containers(rendered(within(RANGES["small maximum"]), spec))["harvest"] == given


def test_a_restricted_namespace_is_promised_that_nothing_runs_as_root() -> None:
    assert rendered(Circumstances(non_root=True)).revision.template["spec"]["securityContext"]["runAsNonRoot"] is True
    assert "runAsNonRoot" not in rendered(Circumstances()).revision.template["spec"]["securityContext"]
    said = {"podTemplate": {"spec": {"securityContext": {"runAsNonRoot": False}}}}
    of_user = rendered(Circumstances(non_root=True), said).revision.template["spec"]["securityContext"]
    assert of_user["runAsNonRoot"] is False


@pytest.mark.parametrize(
    "around",
    [
        Circumstances(),
        Circumstances(frozenset({LabelKind.OVERRIDE, LabelKind.LABELLER})),
        Circumstances(given=frozenset({"HF_HOME", "XDG_CACHE_HOME"})),
        Circumstances(bounds={"cpu": Bounds("1", ""), "memory": Bounds("", "2Gi")}, non_root=True),
    ],
)
def test_a_template_says_what_it_was_rendered_for(around: Circumstances) -> None:
    plan = planned(resource(), replace(observed(), circumstances=around))
    assert circumstances.of(plan.revision.template) == around


@pytest.mark.parametrize("name", ["amd.com/gpu", "amd.com/cpx_nps4", "rdma/hca_shared_devices_a"])
@pytest.mark.parametrize("key", ["max", "default"])
def test_a_limit_range_on_devices_gives_none_to_what_the_operator_adds(name: str, key: str) -> None:
    """Kubernetes makes the maximum the default, for each container that names no amount."""
    ranges = [limit_range(**{key: {name: "8"}})]
    found = containers(rendered(within(*ranges), {"gpu": {"resourceName": "amd.com/gpu"}}))
    assert {each: found[each]["limits"].get(name) for each in ("payload", "harvest")} == dict.fromkeys(
        ("payload", "harvest"), "0"
    )
    assert found["server"]["limits"]["amd.com/gpu"] == "1"
    least = containers(rendered(within(limit_range(min={name: "1"}))))
    assert name not in least["harvest"]["limits"], "a minimum would refuse it"


@pytest.mark.parametrize(
    "noted", ["", "{", "[]", "[" * 9999, '{"cpu": 1}', '{"cpu": ["1"]}', '{"cpu": ["1", "2", "3"]}']
)
def test_what_somebody_else_wrote_there_does_no_harm(noted: str) -> None:
    template = {"metadata": {"annotations": {"hipbmm.io/namespace-rules": noted}}}
    assert circumstances.of(template).kinds == EVERY_KIND


def test_rules_that_come_later_change_no_pod_and_make_nothing_outdated() -> None:
    before = rendered(Circumstances())
    stored = parse.revision(controller_revision.build(OWNER, before.revision), OWNER)
    assert stored
    later = Circumstances(bounds={"cpu": Bounds("1", "")}, non_root=True)
    after = planned(resource(), replace(observed(revisions=(stored,)), circumstances=later))
    assert (after.revision.template, after.outdated) == (before.revision.template, False)


def test_a_ratio_of_whole_pods_is_kept_by_what_the_operator_adds() -> None:
    """Whatever ratio the server has, up to the allowed one, the sum has no larger one."""
    of_pods = {"spec": {"limits": [{"type": "Pod", "maxLimitRequestRatio": {"cpu": "2", "memory": "1"}}]}}
    found = containers(rendered(within(of_pods)))
    for name in ("payload", "harvest"):
        assert found[name]["limits"] == found[name]["requests"]
