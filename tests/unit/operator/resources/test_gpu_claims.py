"""GPUs by claims: what the pod and its ResourceClaimTemplate say. That a scheduler takes it is for tests/cluster."""

from dataclasses import replace

import pytest
from tests.unit.operator.make import Json, deletions, observed, planned, resource

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.metadata import Metadata
from hipbmm_operator.plan.plan import Plan
from hipbmm_operator.plan.revision import HISTORY
from hipbmm_operator.resources.controller_revision import Revision

BY_CLAIM: Json = {"gpu": {"deviceClassName": "gpu.amd.com"}, "parallelism": {"tensor": 4}}


def made(plan: Plan) -> Json:
    (body,) = [step.body for step in plan.steps if step.kind == kinds.RESOURCE_CLAIM_TEMPLATE]
    return body


def test_a_pod_has_one_claim_that_warm_and_server_share() -> None:
    plan = planned(resource(BY_CLAIM))
    pod = plan.revision.template["spec"]
    (claim,) = pod["resourceClaims"]
    body = made(plan)
    assert claim["resourceClaimTemplateName"] == body["metadata"]["name"]
    (request,) = body["spec"]["spec"]["devices"]["requests"]
    assert (request["exactly"]["deviceClassName"], request["exactly"]["count"]) == ("gpu.amd.com", 4)
    for container in [*pod["initContainers"], *pod["containers"]]:
        claims = container["resources"].get("claims")
        assert claims == ([{"name": claim["name"]}] if container["name"] in ("warm", "server") else None)
        assert "amd.com" not in str(container["resources"])
    assert "affinity" not in pod
    assert body["metadata"]["ownerReferences"][0]["name"] == "qwen"


@pytest.mark.parametrize("name", ["gpu.amd.com", "gpus-of-mine"])
def test_of_the_class_of_all_devices_a_claim_takes_no_part_of_a_gpu(name: str) -> None:
    """Where the driver partitions as claims ask; a class of one's own may choose a mode itself."""
    (request,) = made(planned(resource({"gpu": {"deviceClassName": name}})))["spec"]["spec"]["devices"]["requests"]
    (selector,) = request["exactly"]["selectors"]
    assert ("computePartition" in selector["cel"]["expression"]) == (name == "gpu.amd.com")


def test_the_users_own_affinity_stays() -> None:
    term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
    own = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    pod = planned(resource({**BY_CLAIM, "podTemplate": {"spec": {"affinity": own}}})).revision.template["spec"]
    assert pod["affinity"] == own


def test_another_number_or_class_is_another_template_and_the_same_is_the_same() -> None:
    """The spec of a ResourceClaimTemplate cannot change."""
    specs = (
        BY_CLAIM,
        {**BY_CLAIM, "parallelism": {"tensor": 8}},
        {**BY_CLAIM, "gpu": {"deviceClassName": "other"}},
        {**BY_CLAIM, "gpu": {"deviceClassName": "gpu.amd.com", "products": ["MI300X"]}},
    )
    names = [made(planned(resource(spec)))["metadata"]["name"] for spec in specs]
    assert len(set(names)) == len(specs)
    assert made(planned(resource({**BY_CLAIM, "image": "vllm:2"})))["metadata"]["name"] == names[0]


def test_what_is_there_is_not_made_and_what_nothing_refers_to_goes() -> None:
    plan = planned(resource(BY_CLAIM))
    name = made(plan)["metadata"]["name"]
    stored = Revision(
        plan.revision.name, 1, plan.revision.contents, plan.revision.template, Metadata(uid="r", owners=({},))
    )
    there = (Metadata(name, "ns", "uid-t"), Metadata("former", "ns", "uid-f"))
    seen = replace(observed(revisions=(stored,)), claim_templates=there)
    again = planned(resource(BY_CLAIM), seen)
    assert not [step for step in again.steps if step.kind == kinds.RESOURCE_CLAIM_TEMPLATE and step.mode != "delete"]
    assert [name for _, name, _ in deletions(again)] == ["former"]
    back = planned(resource({"parallelism": {"tensor": 4}}), seen)
    assert [name for _, name, _ in deletions(back)] == ["former"], "a stored template refers to the other one"


def test_what_a_template_refers_to_goes_before_the_template() -> None:
    """In between the operator may end, and what no stored template refers to is not looked for."""
    plans = [planned(resource(spec)) for spec in (BY_CLAIM, *({"image": f"vllm:{each}"} for each in range(HISTORY)))]
    stored = tuple(
        Revision(name, number, of.revision.contents, of.revision.template, Metadata(name, uid=name))
        for number, of in enumerate(plans)
        for name in (f"r-{number}",)
    )
    there = (Metadata(made(plans[0])["metadata"]["name"], "ns", "uid-t"),)
    seen = replace(observed(revisions=stored), claim_templates=there)
    gone = [(kind, uid) for kind, _, uid in deletions(planned(resource({"image": f"vllm:{HISTORY - 1}"}), seen))]
    assert gone == [(kinds.RESOURCE_CLAIM_TEMPLATE, "uid-t"), (kinds.CONTROLLER_REVISION, "r-0")]


def test_without_a_class_nothing_is_claimed() -> None:
    plan = planned(resource())
    assert "resourceClaims" not in plan.revision.template["spec"]
    assert not [step for step in plan.steps if step.kind == kinds.RESOURCE_CLAIM_TEMPLATE]
