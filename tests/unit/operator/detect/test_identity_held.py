"""Labels that move: an identity outlives them for ten minutes, and ids change it at once."""

from typing import Any

import pytest
from tests.unit.operator.detect.nodes import codes, detect, device, node, node_feature, resource_slice

from hipbmm_operator.detect.detection import Detection
from hipbmm_operator.detect.identity import Identity

Json = dict[str, Any]
EIGHT = {"amd.com/gpu": "8"}
START = 1000.0
CPX = {"A:device-id": "74a1", "A:cu-count": "38"}
NAMED = {"A:product-name": "AMD_Instinct_MI325_OAM"}
HINTED = {"node.kubernetes.io/instance-type": "BM.GPU.MI300X.8"}


def remembered(labels: Json, alloc: Json | None = None) -> Identity:
    identity = detect(node(labels, alloc or {"amd.com/gpu": "64"}), now=START).identity
    assert identity is not None
    return identity


def later(labels: Json, seconds: float, before: Json | None = None) -> Detection:
    return detect(node(labels, {"amd.com/gpu": "64"}), previous=remembered(before or CPX), now=START + seconds)


@pytest.mark.parametrize("labels", [{}, {"A:family": "AI"}, {"F:amd-gpu": "true"}, NAMED, HINTED])
@pytest.mark.parametrize("seconds", [0, 1, 600, -3600])
def test_a_lost_id_is_kept_for_ten_minutes(labels: Json, seconds: float) -> None:
    found = later(labels, seconds)
    assert (found.state, found.product, found.confidence) == ("Available", "MI300X", "High")
    assert (found.partition, found.compute_units, found.stale) == ("CPX", 38, True)
    assert "Stale" in codes(found)
    assert found.identity == remembered(CPX), "what is kept is not confirmed"


@pytest.mark.parametrize(
    ("labels", "state", "product"),
    [
        ({}, "UnknownAMD", None),
        (NAMED, "Available", "MI325X"),
        (HINTED, "Available", "MI300X"),
        ({"F:amd-gpu": "true"}, "UnknownAMD", None),
    ],
)
def test_and_no_longer(labels: Json, state: str, product: str | None) -> None:
    found = later(labels, 600.1)
    assert (found.state, found.product, found.stale) == (state, product, False)
    assert (found.identity is None) == (product is None)


@pytest.mark.parametrize(
    ("labels", "state", "product"),
    [
        ({"A:device-id": "74a5"}, "Available", "MI325X"),
        ({"F:pci-1002_75a3.present": "true"}, "Available", "MI355X"),
        ({"A:device-id": "740f"}, "NotMI3xx", None),
        ({"A:device-id.74a1": "4", "A:device-id.74a5": "4"}, "Mixed", None),
        ({"A:device-id": "74a1", "F:pci-1002_75a3.present": "true"}, "Conflict", None),
        ({"hipbmm.io/gpu-product": "MI308X"}, "Available", "MI308X"),
    ],
)
def test_ids_and_a_persons_word_change_it_at_once(labels: Json, state: str, product: str | None) -> None:
    found = later(labels, 1)
    assert (found.state, found.product, found.stale) == (state, product, False)


def test_dra_and_node_features_change_it_at_once() -> None:
    published = [resource_slice([device(0, deviceID="0x75a3")])]
    assert detect(node(), slices=published, previous=remembered(CPX), now=START + 1).product == "MI355X"
    listed = [node_feature([("1200", "1002", "75a0")])]
    assert detect(node({}, EIGHT), features=listed, previous=remembered(CPX), now=START + 1).product == "MI350X"


@pytest.mark.parametrize("name", ["AMD_Instinct_MI300X", "AMD_Instinct_MI210"])
def test_a_changed_name_waits(name: str) -> None:
    found = later({"A:product-name": name}, 60, before=NAMED)
    assert (found.state, found.product, found.stale) == ("Available", "MI325X", True)


def test_a_name_of_the_same_product_confirms_a_name() -> None:
    found = later({"A:product-name": "AMD_Instinct_MI325X_VF"}, 60, before=NAMED)
    assert (found.product, found.virtual, found.stale) == ("MI325X", True, False)
    assert found.identity is not None
    assert found.identity.seen == START + 60


def test_an_id_confirms_itself_forever() -> None:
    identity = remembered(CPX)
    for step in range(1, 20):
        found = detect(node(CPX, {"amd.com/gpu": "64"}), previous=identity, now=START + 500 * step)
        assert not found.stale
        assert found.identity is not None
        identity = found.identity


def test_an_unknown_product_is_kept_too() -> None:
    found = later({}, 60, before={"A:device-id": "75a2"})
    assert (found.state, found.product, found.arch, found.stale) == ("Available", None, "gfx950", True)


def test_a_passthrough_excludes_at_once() -> None:
    assert later({"A:mode": "vf-passthrough"}, 1).state == "Excluded"


def test_a_kept_identity_is_judged_by_what_the_node_can_do_now() -> None:
    previous = remembered(CPX)
    assert detect(node({}), previous=previous, now=START + 1).state == "NoDriver"
    assert detect(node({}, EIGHT, unschedulable=True), previous=previous, now=START + 1).state == "NotAvailable"


def test_time_alone_changes_nothing_but_the_end() -> None:
    assert later({}, 1) == later({}, 599)
