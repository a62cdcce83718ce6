"""The affinity terms, judged by the nodes they choose."""

import copy
import json
from typing import Any

import pytest
from tests.unit.operator.detect.nodes import detect, expand, node

from hipbmm_operator.detect.affinity import EVERY_KIND, LabelKind, affinity_terms, kinds_to_read, selects
from hipbmm_operator.detect.catalogue.marketing import INSTANCE_TYPES, MARKETING_NAMES
from hipbmm_operator.detect.catalogue.products import PRODUCT_NAMES, PRODUCTS, Product
from hipbmm_operator.detect.node_fit import Want, mismatch

Json = dict[str, Any]
IDS = [(product.name, device_id) for product in PRODUCTS for device_id in product.ids]
KINDS = ["A:device-id", "B:device-id", "B:device-id.{}", "F:pci-1200_1002_{}.present", "F:pci-1002_{}.present"]


def labels_of(kind: str, device_id: str) -> Json:
    if "{}" not in kind:
        return expand({kind: device_id})
    return expand({kind.format(device_id): "8" if kind.startswith("B:") else "true"})


@pytest.mark.parametrize(("product", "device_id"), IDS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_label_chooses_its_product_and_no_other(product: str, device_id: str, kind: str) -> None:
    labels = labels_of(kind, device_id)
    assert [name for name in PRODUCT_NAMES if selects(affinity_terms([name]), labels)] == [product]
    assert selects(affinity_terms(), labels)


@pytest.mark.parametrize("product", PRODUCTS, ids=PRODUCT_NAMES)
@pytest.mark.parametrize("chosen", ["alone", "all"])
def test_whole_gpus_only(product: Product, chosen: str) -> None:
    terms = affinity_terms([product.name] if chosen == "alone" else ())
    for mode, ways in product.modes.items():
        units = str(product.compute_units // ways)
        for labels in (
            {"A:device-id": product.physical_ids[0], "A:cu-count": units},
            {"B:device-id": product.physical_ids[0], "B:cu-count": units},
            {"A:device-id": product.physical_ids[0], "A:compute-memory-partition": f"{mode.lower()}_nps1"},
            {"A:device-id": product.physical_ids[0], "amd.com/compute-memory-partition": f"{mode.lower()}_nps4"},
        ):
            assert selects(terms, expand(labels)) == (ways == 1), (mode, labels)


def test_a_partition_resource_chooses_by_itself() -> None:
    labels = expand({"A:device-id": "74a1", "A:cu-count": "38"})
    assert not selects(affinity_terms(["MI300X"]), labels)
    assert selects(affinity_terms(["MI300X"], "amd.com/cpx_nps4"), labels)


WEAKER = [
    ({"A:product-name": "AMD_Instinct_MI325_OAM"}, "MI325X"),
    ({"A:product-name": "AMD_Instinct_MI300X_VF"}, "MI300X"),
    ({"F:amd-gpu-mi300x": "true"}, "MI300X"),
    ({"F:aim-accelerator.MI355X": "8"}, "MI355X"),
    ({"node.kubernetes.io/instance-type": "BM.GPU.MI300X.8"}, "MI300X"),
    ({"doks.digitalocean.com/gpu-model": "mi350x"}, "MI350X"),
    ({"hipbmm.io/gpu-product": "MI350P"}, "MI350P"),
]


@pytest.mark.parametrize(("labels", "product"), WEAKER)
def test_weaker_labels_choose_where_no_id_is_known(labels: Json, product: str) -> None:
    expanded = expand(labels)
    assert [name for name in PRODUCT_NAMES if selects(affinity_terms([name]), expanded)] == [product]
    if "hipbmm.io/gpu-product" not in labels:
        assert not selects(affinity_terms([product]), expanded | expand({"A:device-id": "740f"}))


@pytest.mark.parametrize(
    "labels", [{}, {"amd.com/gpu": "true"}, {"A:device-id": "740f"}, {"A:family": "AI"}, {"F:amd-gpu": "true"}]
)
def test_other_nodes_are_not_chosen(labels: Json) -> None:
    assert not selects(affinity_terms(), expand(labels))


def test_passthrough_hosts_are_not_chosen() -> None:
    assert not selects(affinity_terms(), expand({"A:device-id": "74b5", "A:mode": "vf-passthrough"}))
    assert selects(affinity_terms(), expand({"A:device-id": "74b5", "A:mode": "container"}))


def test_detection_knows_whether_the_terms_choose_a_node() -> None:
    eight = {"amd.com/gpu": "8"}
    assert detect(node({"A:device-id": "74a1"}, eight)).chosen_by
    assert detect(node({"A:device-id": "74a1", "A:cu-count": "38"}, eight)).chosen_by, "a partition is another matter"
    assert not detect(node({"node.kubernetes.io/instance-type": "my-mi300x-box"}, eight)).chosen_by
    assert not detect(node({"F:pci-1200_1002_74a1_1002_74a1.present": "true"}, eight)).chosen_by


EIGHT = {"amd.com/gpu": "8"}
SHOWING: list[tuple[Json, set[str]]] = [
    ({"hipbmm.io/gpu-product": "MI300X"}, {"override"}),
    ({"A:device-id": "74a1", "B:device-id": "74a1", "B:device-id.74a1": "8", "F:amd-gpu-mi300x": "true"}, {"labeller"}),
    ({"B:device-id": "74a1", "B:device-id.74a1": "8"}, {"labeller-beta"}),
    ({"B:device-id.74a1": "4", "B:device-id.74a9": "4"}, {"labeller-beta-counted"}),
    ({"F:pci-1200_1002_74a1.present": "true"}, {"nfd-pci-class"}),
    ({"F:pci-1002_74a1.present": "true"}, {"nfd-pci-vendor"}),
    ({"F:amd-gpu-mi300x": "true", "A:product-name": "AMD_Instinct_MI300X"}, {"model-label"}),
    ({"A:product-name": "AMD_Instinct_MI300X_OAM"}, {"product-name"}),
    ({"doks.digitalocean.com/gpu-model": "mi300x"}, {"cloud-model"}),
    ({"node.kubernetes.io/instance-type": "BM.GPU.MI300X.8"}, {"instance-type"}),
    ({"A:device-id": "74a1", "node.kubernetes.io/instance-type": "BM.GPU.MI300X.8"}, {"labeller", "instance-type"}),
    ({"A:device-id": "74a1", "A:compute-memory-partition": "spx_nps1"}, {"labeller", "partition"}),
    ({"A:device-id": "74a1", "amd.com/compute-memory-partition": "spx_nps1"}, {"labeller", "partition-documented"}),
    ({"A:device-id": "740f"}, set()),
    ({"node.kubernetes.io/instance-type": "my-mi300x-box"}, set()),
    ({}, set()),
]


@pytest.mark.parametrize(("labels", "shown"), SHOWING)
def test_a_node_shows_the_kinds_of_label_that_its_pods_must_read(labels: Json, shown: set[str]) -> None:
    found = detect(node(labels, EIGHT))
    assert found.shows == shown
    if found.chosen_by:
        assert selects(affinity_terms(["MI300X"], kinds=kinds_to_read(found.shows)), expand(labels))


@pytest.mark.parametrize("kind", list(LabelKind))
@pytest.mark.parametrize(("labels", "_shown"), SHOWING)
def test_detection_and_affinity_agree_for_each_kind(labels: Json, _shown: set[str], kind: LabelKind) -> None:
    kinds = kinds_to_read({kind})
    judged = mismatch(detect(node(labels, EIGHT)), Want(kinds=kinds))
    assert (judged is None) == selects(affinity_terms(kinds=kinds), expand(labels))


@pytest.mark.parametrize(("labels", "_shown"), SHOWING)
def test_detect_says_what_pods_cannot_be_sent_to(labels: Json, _shown: set[str]) -> None:
    found = detect(node(labels, EIGHT))
    said = "LabelsMissing" in {reason.code for reason in found.reasons}
    assert said == (found.product is not None and not selects(affinity_terms(), expand(labels)))


def test_every_name_of_the_affinity_is_read_as_its_product() -> None:
    for product in PRODUCT_NAMES:
        for written in MARKETING_NAMES[product]:
            assert detect(node({"A:product-name": f"AMD_Instinct_{written}"}, EIGHT)).product == product
        for written in INSTANCE_TYPES.get(product, ()):
            assert detect(node({"node.kubernetes.io/instance-type": written}, EIGHT)).product == product


def test_a_labelled_node_is_chosen_whatever_else_its_cluster_shows() -> None:
    """A node that has just joined shows an instance type alone; the labeller comes later."""
    joining = expand({"node.kubernetes.io/instance-type": "BM.GPU.MI300X.8"})
    terms = affinity_terms(kinds=kinds_to_read(detect(node(joining, EIGHT)).shows))
    assert selects(terms, joining)
    assert selects(terms, joining | expand({"A:device-id": "74a1", "B:device-id": "74a1"}))
    assert selects(terms, expand({"hipbmm.io/gpu-product": "MI355X"}))


def test_a_cluster_that_shows_nothing_is_read_by_every_kind() -> None:
    assert kinds_to_read(()) == EVERY_KIND
    assert affinity_terms(kinds=kinds_to_read(())) == affinity_terms()


def test_the_terms_are_static_and_valid() -> None:
    assert affinity_terms() == affinity_terms(PRODUCT_NAMES)
    assert affinity_terms(["MI300X", "MI325X"]) == affinity_terms(["MI325X", "MI300X"])
    for term in affinity_terms():
        assert list(term) == ["matchExpressions"]
        for requirement in term["matchExpressions"]:
            assert requirement["operator"] in {"In", "NotIn", "Exists", "DoesNotExist"}
            values = requirement.get("values")
            assert bool(values) == (requirement["operator"] in {"In", "NotIn"})
            assert all(isinstance(value, str) and len(value) <= 63 for value in values or ())
            assert len(requirement["key"].rpartition("/")[2]) <= 63
    assert len(json.dumps(affinity_terms())) < 25_000
    assert len(json.dumps(affinity_terms(kinds=kinds_to_read({LabelKind.LABELLER})))) < 1_500


def test_callers_cannot_spoil_the_terms() -> None:
    spoilt = affinity_terms(["MI300X"])
    untouched = copy.deepcopy(spoilt)
    for requirement in spoilt[0]["matchExpressions"]:
        requirement.get("values", []).clear()
        requirement["key"] = "spoilt"
    assert spoilt[1:] == untouched[1:]
    assert affinity_terms(["MI300X"]) == untouched


def test_unknown_products_are_refused() -> None:
    with pytest.raises(ValueError, match="MI999"):
        affinity_terms(["MI300X", "MI999"])
