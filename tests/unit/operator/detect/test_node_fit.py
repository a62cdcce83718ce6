"""HardwareCompatible: which nodes fit a deployment, and the reason when none does."""

import itertools
from typing import Any

import pytest
from tests.unit.operator.detect.nodes import detect, device, node, resource_slice

from hipbmm_operator.api.status import HardwareStatus
from hipbmm_operator.detect.detection import Detection
from hipbmm_operator.detect.node_fit import Want, mismatch, summary
from hipbmm_operator.detect.reasons import State

Json = dict[str, Any]
WHOLE = {"A:device-id": "74a1", "A:cu-count": "304"}
EIGHT = {"amd.com/gpu": "8"}


def good(name: str = "good", **labels: str) -> Detection:
    return detect(node({**WHOLE, **labels}, EIGHT, name=name))


def dra() -> Detection:
    return detect(node(WHOLE, name="dra"), slices=[resource_slice([device(0)], node="dra")])


BAD: dict[str, tuple[Detection, str]] = {
    "NodeCordoned": (detect(node(WHOLE, EIGHT, unschedulable=True)), "NodeCordoned"),
    "NodeNotReady": (detect(node(WHOLE, EIGHT, ready="False")), "NodeNotReady"),
    "NodeTainted": (detect(node(WHOLE, EIGHT, taints=["sku=gpu:NoSchedule"])), "NodeTainted"),
    "NoAllocatable": (detect(node(WHOLE, {"amd.com/gpu": "0"}, cap=EIGHT)), "NoAllocatable"),
    "NotEnoughGPUs": (detect(node(WHOLE, {"amd.com/gpu": "2"})), "NotEnoughGPUs"),
    "LabelsMissing": (detect(node({"node.kubernetes.io/instance-type": "my-mi300x-box"}, EIGHT)), "LabelsMissing"),
    "PartitionMismatch": (
        detect(node({"A:device-id": "74a1", "A:cu-count": "38"}, {"amd.com/gpu": "64"})),
        "PartitionMismatch",
    ),
    "fraction": (detect(node({"A:device-id": "74b5", "A:cu-count": "38"}, {"amd.com/gpu": "1"})), "PartitionMismatch"),
    "partition-named": (detect(node(WHOLE, {"amd.com/spx_nps1": "8"})), "ResourceMismatch"),
    "dra": (dra(), "ResourceMismatch"),
    "NoDriver": (detect(node(WHOLE)), "NoDriver"),
    "Conflict": (detect(node({**WHOLE, "F:pci-1002_75a3.present": "true"}, EIGHT)), "Conflict"),
    "Mixed": (detect(node({"A:device-id.74a1": "4", "A:device-id.740f": "4"}, EIGHT)), "Mixed"),
    "Excluded": (detect(node({**WHOLE, "A:mode": "vf-passthrough"}, EIGHT)), "Excluded"),
    "UnknownAMD": (detect(node({"A:family": "AI"}, EIGHT)), "UnknownAMD"),
    "other product": (detect(node({"A:device-id": "75a3"}, EIGHT)), "NoMatchingNodes"),
    "unknown product": (detect(node({"A:device-id": "75a2"}, EIGHT)), "NoMatchingNodes"),
    "NotMI3xx": (detect(node({"A:device-id": "740f"}, EIGHT)), "NoMatchingNodes"),
    "no GPU": (detect(node()), "NoMatchingNodes"),
}
WANT = Want(products=("MI300X",), request=4)


@pytest.mark.parametrize("case", BAD)
def test_each_obstacle_has_its_reason(case: str) -> None:
    found, reason = BAD[case]
    result = summary([found], WANT)
    assert (result.finding.state, result.finding.reason) == ("False", reason)
    assert result.status == HardwareStatus(reasons=result.status.reasons)
    if found.amd:
        assert [each.nodes for each in result.status.reasons] == [1]
        assert result.status.reasons[0].reason in result.finding.message
        assert "(n)" in result.finding.message or "(dra)" in result.finding.message
    else:
        assert result.finding.message.endswith("no node has an AMD GPU")


@pytest.mark.parametrize(
    ("case", "remedy"),
    [
        ("LabelsMissing", "label them hipbmm.io/gpu-product"),
        ("UnknownAMD", "label them hipbmm.io/gpu-product"),
        ("NoDriver", "install the driver"),
        ("dra", "spec.gpu.deviceClassName"),
    ],
)
def test_what_is_the_same_to_do_for_all_such_nodes_is_said_beside_them(case: str, remedy: str) -> None:
    assert remedy in summary([BAD[case][0]], WANT).finding.message


def test_one_good_node_is_enough() -> None:
    result = summary([good(), *(found for found, _ in BAD.values())], WANT)
    assert (result.finding.state, result.finding.reason) == ("True", "NodesMatched")
    assert (result.status.nodes, result.status.product, result.status.arch) == (1, "MI300X", "gfx942")
    assert (result.status.compute_units, result.status.partition) == (304, "SPX")
    assert sum(each.nodes for each in result.status.reasons) == len(BAD) - 1, "every node but the one without GPUs"
    assert result.finding.message.startswith("1 node fits (MI300X, 4 amd.com/gpu); not used: 1 NodeCordoned")


def test_the_order_of_nodes_does_not_matter() -> None:
    nodes = [good("a"), good("b"), BAD["Mixed"][0], BAD["NoDriver"][0]]
    assert len({repr(summary(order, WANT)) for order in itertools.permutations(nodes)}) == 1


def test_the_nearest_obstacle_is_named_first() -> None:
    result = summary([BAD["NotMI3xx"][0], BAD["NoDriver"][0], BAD["PartitionMismatch"][0]], WANT)
    assert result.finding.reason == "PartitionMismatch"
    assert [each.reason for each in result.status.reasons] == ["PartitionMismatch", "NoDriver", "NotMI3xx"]


def test_several_temporary_obstacles_are_not_available() -> None:
    assert summary([BAD["NodeCordoned"][0], BAD["NodeTainted"][0]], WANT).finding.reason == "NotAvailable"
    assert summary([BAD["NodeCordoned"][0], BAD["NodeCordoned"][0]], WANT).finding.reason == "NodeCordoned"


def test_different_matched_nodes_are_shown_together() -> None:
    nodes = [good(), detect(node({"A:device-id": "75a3", "A:cu-count": "256"}, EIGHT, name="b"))]
    result = summary(nodes, Want())
    assert (result.status.nodes, result.status.product, result.status.arch) == (2, "MI300X,MI355X", "gfx942,gfx950")
    assert (result.status.compute_units, result.status.partition) == (None, "SPX")
    assert (result.finding.state, result.finding.reason) == ("True", "MixedArchitectures")
    assert "gfx942,gfx950" in result.finding.message


def test_nodes_without_gpus_come_and_go_unnoticed() -> None:
    plain = [detect(node(name=f"cpu-{number}")) for number in range(50)]
    assert summary([good(), *plain], WANT) == summary([good()], WANT)
    assert summary(plain, WANT) == summary([], WANT)


def test_the_message_is_bounded() -> None:
    nodes = [detect(node({"A:device-id": "740f"}, EIGHT, name=f"{'x' * 500}{number:04}")) for number in range(500)]
    message = summary(nodes, Want(products=("MI300X", "MI325X"), request=8)).finding.message
    assert len(message) <= 1024
    assert "500 NotMI3xx" in message


def test_a_deployment_that_names_a_partition() -> None:
    hetero = detect(node({"A:device-id": "74a1"}, {"amd.com/spx_nps1": "4", "amd.com/cpx_nps1": "32"}))
    result = summary([hetero], Want(resource="amd.com/cpx_nps1", request=8))
    assert (result.status.nodes, result.status.partition, result.status.compute_units) == (1, "CPX", 38)
    assert summary([hetero], Want(resource="amd.com/cpx_nps1", request=33)).finding.reason == "NotEnoughGPUs"
    assert summary([hetero], Want(resource="amd.com/cpx_nps4")).finding.reason == "ResourceMismatch"
    assert summary([hetero], Want(resource="amd.com/spx_nps1")).status.partition == "SPX"
    assert summary([good()], Want(resource="amd.com/cpx_nps1")).finding.reason == "ResourceMismatch"


def test_the_tolerations_of_a_deployment() -> None:
    tainted = BAD["NodeTainted"][0]
    tolerant = [{"key": "sku", "operator": "Exists"}]
    assert summary([tainted], Want(tolerations=tolerant)).finding.state == "True"
    assert summary([tainted], Want(tolerations=[])).finding.reason == "NodeTainted"
    pool = detect(node(WHOLE, EIGHT, taints=["amd.com/gpu:NoSchedule"]))
    assert summary([pool], Want()).finding.state == "True"
    assert summary([pool], Want(tolerations=[])).finding.reason == "NodeTainted"
    cordoned = detect(node(WHOLE, EIGHT, unschedulable=True, taints=["sku=gpu:NoSchedule"]))
    assert summary([cordoned], Want(tolerations=tolerant)).finding.reason == "NodeCordoned"


def test_every_state_has_a_place() -> None:
    seen = {found.state for found, _ in BAD.values()} | {good().state}
    assert seen == set(State)
    for found, _ in BAD.values():
        code = mismatch(found, WANT)
        assert code is not None
        assert [each.reason for each in summary([found], WANT).status.reasons] == [code] * found.amd


def test_a_stale_node_without_labels_cannot_be_chosen() -> None:
    before = good()
    lost = detect(node({}, EIGHT), previous=before.identity, now=1060.0)
    assert (lost.state, lost.product) == ("Available", "MI300X")
    assert summary([lost], WANT).finding.reason == "LabelsMissing"
