"""From `kubectl apply` to tuned, warm, serving replicas."""

from tests.cluster.api import until
from tests.cluster.kubelet import report
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.world import World

from hipbmm_operator.kube import kinds


def test_children_are_made_and_the_rollout_is_held_at_one(world: World) -> None:
    world.create(replicas=3)
    deployment = world.deployment()
    assert deployment["spec"]["replicas"] == 1
    service = until("the Service", lambda: world.api.find(kinds.SERVICE, world.namespace, "qwen"))
    assert service["spec"]["ports"][0]["port"] == 80
    claim = until("the claim", lambda: world.api.find(kinds.CLAIM, world.namespace, "qwen-store"))
    assert "ownerReferences" not in claim["metadata"]
    assert world.becomes("Progressing", "True")["reason"] in ("HeldAtOne", "RollingOut")
    assert len(world.pods(1)) == 1


def test_every_condition_is_there_at_first_sight(world: World) -> None:
    world.create()
    status = world.until("a status", lambda status: bool(status["conditions"]))
    assert {c["type"] for c in status["conditions"]} == {
        "Ready", "ConfigValid", "HardwareCompatible", "StorageReady", "Tuned", "Warm", "Available", "Progressing",
    }  # fmt: skip


def test_progress_is_read_from_the_log_while_tuning(world: World, operator: OperatorProcess) -> None:
    world.create()
    (pod,) = world.scheduled(1)
    line = "hipbmm progress phase=Tuning tuned={} problems=204 failed=0 elapsed_s=12 eta_s=40\n"
    world.kubelet.warming(pod, line.format(38))
    world.until("38/204", lambda status: status["tuning"]["progress"] == "38/204")
    world.shows(Tuned="Tuning", phase="Tuning")
    world.kubelet.warming(pod, "noise\n" + line.format(39))
    world.until("39/204", lambda status: status["tuning"]["progress"] == "39/204")


def test_the_others_start_when_the_first_reports_a_complete_table(world: World) -> None:
    world.create(replicas=3)
    (pod,) = world.scheduled(1)
    world.kubelet.warmed(pod)
    pods = world.scheduled(3)
    for each in pods:
        restored = report(source="Restored", reason="Restored", restored=204, seconds=0.4)
        world.kubelet.serving(each, report() if each["metadata"]["name"] == pod["metadata"]["name"] else restored)
    status = world.shows(
        Ready="AllReplicasWarm", phase="Running", readyReplicas=3, warmReplicas=3, warm="3/3", failures=[]
    )
    tuning = status["tuning"]
    assert (tuning["key"], tuning["state"], tuning["progress"]) == ("9f2c0a1b2c3d4e5f", "Complete", "204/204")
    assert (tuning["source"], tuning["seconds"], tuning["geomeanSpeedup"]) == ("Tuned", 48, "1.11")
    assert tuning["stack"]["simulated"] is False
    assert status["hardware"]["product"] == "MI300X"


def test_scaling_goes_straight_to_the_asked_number(world: World) -> None:
    world.create()
    world.serve(1)
    world.becomes("Ready", "True")
    path = kinds.HIPBMM_DEPLOYMENT.path(world.namespace, "qwen", "scale")
    world.api.request("PATCH", path, {"spec": {"replicas": 4}}, content="application/merge-patch+json")
    world.serve(4)
    world.shows(Ready="True", replicas=4)
    scale = world.api.request("GET", path)
    assert scale["status"]["replicas"] == 4
    assert "hipbmm.io/deployment=qwen" in scale["status"]["selector"]
    world.change({"replicas": 0})
    until("no pods", lambda: not world.api.items(kinds.POD, world.namespace))
    assert world.becomes("Ready", "True", "NoReplicasAsked")
    world.change({"replicas": 2})
    assert len(world.pods(2)) == 2


def test_deletion_leaves_the_retained_claim_and_nothing_else(world: World) -> None:
    world.create()
    world.serve(1)
    world.becomes("Ready", "True")
    world.clean()

    def left() -> list[str] | None:
        kept = [kinds.DEPLOYMENT, kinds.SERVICE, kinds.CONTROLLER_REVISION, kinds.BUDGET, kinds.CLAIM, kinds.POD]
        found = [
            f"{kind.kind}/{body['metadata']['name']}"
            for kind in kept
            for body in world.api.items(kind, world.namespace)
        ]
        return found if found == ["PersistentVolumeClaim/qwen-store"] else None

    until("only the claim", left)
