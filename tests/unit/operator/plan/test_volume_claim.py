"""The claim: created, repaired, replaced, or left alone."""

from tests.unit.operator.make import Json, deletions, observed, planned, resource, time
from tests.unit.operator.plan.test_plan import steps

from hipbmm_operator.kube import kinds, names


def test_a_claim_is_observed_when_it_should_be_bound() -> None:
    metadata = {"name": "qwen-store", "uid": "uid-c", "creationTimestamp": time(20)}
    for phase, expected in (("Pending", 25), ("Bound", 60)):
        claim = {"metadata": metadata, "spec": {}, "status": {"phase": phase}}
        assert planned(resource(), observed(claim=claim)).requeue_after == expected


def claim(phase: str = "Bound", *, ours: bool = True, **spec: object) -> Json:
    labels = resource().meta.of_child(owned=False)["labels"] if ours else {}
    annotations = {names.ANNOTATION_DEPLOYMENT: "qwen"} if ours else {}
    metadata = {"name": "qwen-store", "namespace": "ns", "uid": "uid-c", "resourceVersion": "3"}
    full = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "std"}
    return {
        "metadata": {**metadata, "labels": labels, "annotations": annotations},
        "spec": full | spec,
        "status": {"phase": phase},
    }


def test_a_claim_is_created_once() -> None:
    assert steps(planned(resource()), kinds.CLAIM) == ["create"]
    assert steps(planned(resource(), observed(claim=claim())), kinds.CLAIM) == []


def test_a_claim_that_grows_is_patched_and_one_that_shrinks_is_not() -> None:
    bigger = resource({"cache": {"pvc": {"size": "2Gi"}}})
    (step,) = [step for step in planned(bigger, observed(claim=claim())).steps if step.kind == kinds.CLAIM]
    assert step.body["spec"] == {"resources": {"requests": {"storage": "2Gi"}}}
    assert step.body["metadata"]["uid"] == "uid-c"
    smaller = resource({"cache": {"pvc": {"size": "512Mi"}}})
    assert steps(planned(smaller, observed(claim=claim())), kinds.CLAIM) == []


def test_a_bound_claim_is_never_replaced_and_an_unbound_one_is() -> None:
    other = resource({"cache": {"pvc": {"storageClassName": "fast"}}})
    assert deletions(planned(other, observed(claim=claim("Bound")))) == []
    plan = planned(other, observed(claim=claim("Pending")))
    assert [(kind, uid) for kind, _, uid in deletions(plan)] == [(kinds.CLAIM, "uid-c")]
    assert plan.steps[-1].body["metadata"]["resourceVersion"] == "3"
    assert steps(plan, kinds.CLAIM) == ["delete"]


def test_somebody_elses_claim_is_used_and_never_touched() -> None:
    named = resource({"cache": {"pvc": {"claimName": "qwen-store", "storageClassName": "fast", "size": "9Gi"}}})
    plan = planned(named, observed(claim=claim("Pending", ours=False)))
    assert steps(plan, kinds.CLAIM) == []
    assert deletions(plan) == []
    assert plan.placement.claim == "qwen-store"


def test_a_claim_that_outlives_its_resource_has_no_label_by_which_argo_cd_prunes() -> None:
    """Claims of former operators lose it, and one that Argo CD itself has given stays."""
    label = "app.kubernetes.io/instance"
    (step,) = [step for step in planned(resource()).steps if step.kind == kinds.CLAIM]
    assert label not in step.body["metadata"]["labels"]
    former = claim()
    former["metadata"]["labels"][label] = "qwen"
    (step,) = [step for step in planned(resource(), observed(claim=former)).steps if step.kind == kinds.CLAIM]
    assert step.body["metadata"]["labels"] == {label: None}
    former["metadata"]["labels"][label] = "an-application"
    assert steps(planned(resource(), observed(claim=former)), kinds.CLAIM) == []
    owned = resource({"cache": {"pvc": {"retain": False}}})
    (step,) = [step for step in planned(owned).steps if step.kind == kinds.CLAIM]
    assert step.body["metadata"]["labels"][label] == "qwen"


def test_without_a_volume_each_pod_has_a_store_of_its_own() -> None:
    plan = planned(resource({"cache": {"pvc": {"create": False}, "mirror": "Never"}}))
    assert plan.placement.claim is None
    volumes = {volume["name"]: volume for volume in plan.revision.template["spec"]["volumes"]}
    assert volumes["store"] == {"name": "store", "emptyDir": {}}
    assert "mirror" not in volumes


def test_a_claim_that_is_not_retained_goes_with_its_owner() -> None:
    (step,) = [s for s in planned(resource({"cache": {"pvc": {"retain": False}}})).steps if s.kind == kinds.CLAIM]
    assert step.body["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
