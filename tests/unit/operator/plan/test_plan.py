"""Which children are planned in which situation."""

from tests.unit.operator.make import Json, deletions, observed, planned, resource

from hipbmm_operator.kube import kinds, names
from hipbmm_operator.observe import parse
from hipbmm_operator.observe.observed import Observed, ServiceMonitorState
from hipbmm_operator.plan.plan import Plan


def steps(plan: Plan, kind: kinds.Kind) -> list[str]:
    return [step.mode for step in plan.steps if step.kind == kind]


def test_a_budget_only_for_several_replicas() -> None:
    assert steps(planned(resource({"replicas": 2})), kinds.BUDGET) == ["apply"]
    live = {"metadata": {"name": "qwen", "uid": "b", "resourceVersion": "1", "ownerReferences": [{"uid": "uid-1"}]}}
    plan = planned(resource({"replicas": 1}), observed(budget=live))
    assert [kind for kind, *_ in deletions(plan)] == [kinds.BUDGET]
    foreign = {"metadata": live["metadata"] | {"ownerReferences": [{"uid": "other"}]}}
    assert deletions(planned(resource({"replicas": 1}), observed(budget=foreign))) == []


def test_labels_of_a_queue_reach_the_deployment_and_its_pods() -> None:
    labels = {"kueue.x-k8s.io/queue-name": "gpus", "team": "x"}
    plan = planned(resource({"podTemplate": {"metadata": {"labels": labels}}}))
    (step,) = [step for step in plan.steps if step.kind == kinds.DEPLOYMENT]
    assert labels.items() <= step.body["spec"]["template"]["metadata"]["labels"].items()
    assert step.body["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert "team" not in step.body["metadata"]["labels"]


def test_a_service_monitor_only_when_asked_and_known_to_the_cluster() -> None:
    asked = resource({"service": {"monitor": {"enabled": True}}})
    assert steps(planned(asked), kinds.SERVICE_MONITOR) == ["apply"]
    assert steps(planned(asked, observed(monitor=ServiceMonitorState(served=False))), kinds.SERVICE_MONITOR) == []
    assert steps(planned(resource()), kinds.SERVICE_MONITOR) == []
    live = {"metadata": {"name": "qwen", "uid": "m", "resourceVersion": "1", "ownerReferences": [{"uid": "uid-1"}]}}
    left = planned(resource(), observed(monitor=ServiceMonitorState(parse.child(live))))
    assert [(kind, uid) for kind, _, uid in deletions(left)] == [(kinds.SERVICE_MONITOR, "m")]
    foreign = {"metadata": live["metadata"] | {"ownerReferences": [{"uid": "other"}]}}
    assert deletions(planned(resource(), observed(monitor=ServiceMonitorState(parse.child(foreign))))) == []


def test_a_monitored_service_remembers_its_monitor_and_shows_the_sidecar() -> None:
    def service(spec: Json, seen: Observed | None = None) -> Json:
        (step,) = [step for step in planned(resource(spec), seen).steps if step.kind == kinds.SERVICE]
        return step.body

    asked = {"service": {"monitor": {"enabled": True}}}
    assert [port["port"] for port in service(asked)["spec"]["ports"]] == [80, 9410]
    assert [port["port"] for port in service({**asked, "tuning": {"harvest": False}})["spec"]["ports"]] == [80]
    assert service(asked)["metadata"]["annotations"][names.ANNOTATION_MONITORED] == "true"
    assert names.ANNOTATION_MONITORED not in service({})["metadata"]["annotations"]
    live = {"metadata": {"name": "qwen", "uid": "m", "resourceVersion": "1"}}
    assert (
        names.ANNOTATION_MONITORED
        in service({}, observed(monitor=ServiceMonitorState(parse.child(live))))["metadata"]["annotations"]
    )
