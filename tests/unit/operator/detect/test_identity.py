"""Which product a node is taken for: every kind of evidence, alone and against others."""

# ruff: noqa: E501 - one row of a table is one line

from typing import Any

import pytest
from tests.unit.operator.detect.nodes import codes, detect, device, node, node_feature, resource_slice

Json = dict[str, Any]
EIGHT = {"amd.com/gpu": "8"}

PRODUCTS = [
    ("74a0", "MI300A", "gfx942", False, 228),
    ("74b4", "MI300A", "gfx942", True, 228),
    ("74a1", "MI300X", "gfx942", False, 304),
    ("74b5", "MI300X", "gfx942", True, 304),
    ("74a9", "MI300X", "gfx942", False, 304),
    ("74bd", "MI300X", "gfx942", True, 304),
    ("74a2", "MI308X", "gfx942", False, 80),
    ("74b6", "MI308X", "gfx942", True, 80),
    ("74a8", "MI308X", "gfx942", False, 80),
    ("74bc", "MI308X", "gfx942", True, 80),
    ("74a5", "MI325X", "gfx942", False, 304),
    ("74b9", "MI325X", "gfx942", True, 304),
    ("75a0", "MI350X", "gfx950", False, 256),
    ("75b0", "MI350X", "gfx950", True, 256),
    ("75a3", "MI355X", "gfx950", False, 256),
    ("75b3", "MI355X", "gfx950", True, 256),
    ("75a8", "MI350P", "gfx950", False, 128),
    ("75b8", "MI350P", "gfx950", True, 128),
    ("75a2", None, "gfx950", False, None),
    ("75b2", None, "gfx950", True, None),
    ("74af", None, "gfx942", False, None),
    ("74b0", None, "gfx942", True, None),
    ("75bf", None, "gfx950", True, None),
]


@pytest.mark.parametrize(("device_id", "product", "arch", "virtual", "units"), PRODUCTS)
@pytest.mark.parametrize(
    "where", ["plain", "beta", "beta-suffix", "plain-suffix", "nfd", "nfd-openshift", "feature", "dra"]
)
def test_every_id_means_the_same_wherever_it_is_read(
    device_id: str, product: str | None, arch: str, virtual: bool, units: int | None, where: str
) -> None:
    labels = {
        "plain": {"A:device-id": device_id},
        "beta": {"B:device-id": device_id},
        "beta-suffix": {f"B:device-id.{device_id}": "8"},
        "plain-suffix": {f"A:device-id.{device_id}": "8"},
        "nfd": {f"F:pci-1200_1002_{device_id}.present": "true"},
        "nfd-openshift": {f"F:pci-1002_{device_id}.present": "true"},
    }.get(where, {})
    features = [node_feature([("1200", "1002", device_id)] * 8)] if where == "feature" else []
    slices = [resource_slice([device(i, deviceID=f"0x{device_id}") for i in range(8)])] if where == "dra" else []
    found = detect(node(labels, {} if slices else EIGHT), features=features, slices=slices)
    assert (found.state, found.product, found.arch, found.virtual) == ("Available", product, arch, virtual)
    assert (found.compute_units, found.confidence, found.gpus) == (units, "High", 8)
    assert found.fp8 == {"gfx942": "e4m3fnuz", "gfx950": "e4m3fn"}[arch]


@pytest.mark.parametrize(
    "device_id",
    [
        "738c",
        "738e",
        "7408",
        "740c",
        "740f",
        "7410",
        "744c",
        "7448",
        "7460",
        "7550",
        "7551",
        "7590",
        "66a1",
        "73ff",
        "75c0",
        "749f",
    ],
)
def test_ids_beside_the_range_are_no_mi3xx(device_id: str) -> None:
    found = detect(node({"A:device-id": device_id, "A:family": "AI", "F:amd-gpu": "true"}, EIGHT))
    assert (found.state, found.product, found.arch, found.fp8) == ("NotMI3xx", None, None, None)


@pytest.mark.parametrize("written", ["74A1", "0x74a1", "0X74A1", " 74a1 "])
def test_ids_of_labels_are_folded(written: str) -> None:
    assert detect(node({"A:device-id": written}, EIGHT)).product == "MI300X"
    assert detect(node({f"B:device-id.{written}": "8"}, EIGHT)).product == "MI300X"


@pytest.mark.parametrize(
    "written",
    [
        7551,
        True,
        None,
        [],
        {},
        74.5,
        "",
        "74a",
        "74a1x",
        "74a1\n74a5",
        "\u0667\u0664a1",
        pytest.param(10**5000, id="huge"),
    ],
)
def test_values_that_are_no_mi3xx_id_identify_nothing(written: object) -> None:
    found = detect(node({"A:device-id": written}, EIGHT))
    assert found.state == ("NotMI3xx" if written == 7551 else "UnknownAMD")


def test_a_numeric_id_is_read_as_its_digits() -> None:
    assert "7551" in str(detect(node({"A:device-id": 7551}, EIGHT)).reasons[0])


EVIDENCE: list[tuple[str, Json, tuple[str, str | None, str | None], set[str]]] = [
    ("an invalid singular id falls back to beta", {"A:device-id": "MI300", "B:device-id": "74a1"}, ("Available", "MI300X", "High"), {"DeviceIdRejected"}),
    ("plain wins over beta", {"A:device-id": "74a1", "B:device-id": "74a5"}, ("Available", "MI300X", "High"), set()),
    ("stale suffixes beside a singular id", {"A:device-id": "74a1", "A:device-id.740f": "2", "B:device-id.75a3": "8"}, ("Available", "MI300X", "High"), set()),
    ("stale suffixes beside a singular beta id", {"B:device-id": "74a1", "B:device-id.75a3": "8"}, ("Available", "MI300X", "High"), set()),
    ("a count of 0 is none", {"B:device-id.74a1": "8", "B:device-id.75a3": "0"}, ("Available", "MI300X", "High"), set()),
    ("counts that are no numbers are none", {"B:device-id.74a1": "many", "B:device-id.74a5": "-1"}, ("UnknownAMD", None, None), set()),
    ("physical and virtual ids of one product", {"A:device-id.74a1": "8", "A:device-id.74b5": "8"}, ("Available", "MI300X", "High"), {"PhysicalAndVirtual"}),
    ("an HF variant is its product", {"A:device-id.74a1": "4", "A:device-id.74a9": "4"}, ("Available", "MI300X", "High"), set()),
    ("two products of one architecture", {"A:device-id.74a1": "4", "A:device-id.74a5": "4"}, ("Mixed", None, "High"), {"MixedProducts"}),
    ("a known and an unknown id", {"A:device-id.75a3": "4", "A:device-id.75a2": "4"}, ("Mixed", None, "High"), {"MixedProducts"}),
    ("an unknown product's virtual function is the same product", {"A:device-id.75a2": "4", "A:device-id.75b2": "4"}, ("Available", None, "High"), {"UnknownProduct"}),
    ("two architectures in one tier are mixed", {"A:device-id.74a1": "4", "A:device-id.75a3": "4"}, ("Mixed", None, "High"), {"MixedProducts"}),
    ("two AMD products, neither MI3xx", {"A:device-id.740f": "4", "A:device-id.744c": "1"}, ("NotMI3xx", None, "High"), {"NotMI3xx"}),
    ("labels and PCI of different architecture", {"A:device-id": "74a1", "F:pci-1200_1002_75a0.present": "true"}, ("Conflict", None, None), {"ConflictingIds"}),
    ("labels say MI210, PCI says MI300X", {"A:device-id": "740f", "F:pci-1200_1002_74a1.present": "true"}, ("Conflict", None, None), {"ConflictingIds"}),
    ("labels say MI300X, PCI says MI210", {"A:device-id": "74a1", "F:pci-1200_1002_740f.present": "true"}, ("Conflict", None, None), {"ConflictingIds"}),
    ("PCI sees a second architecture", {"A:device-id": "74a1", "F:pci-1200_1002_74a1.present": "true", "F:pci-1200_1002_75a3.present": "true"}, ("Conflict", None, None), {"ConflictingIds"}),
    ("PCI sees a display too", {"A:device-id": "74a1", "F:pci-1200_1002_74a1.present": "true", "F:pci-0300_1002_744c.present": "true"}, ("Available", "MI300X", "High"), {"OtherGPUs"}),
    ("same architecture, other product: labels win", {"A:device-id": "74a1", "F:pci-1002_74a5.present": "true"}, ("Available", "MI300X", "High"), {"ProductMismatch"}),
    ("physical on the bus, virtual in the labels", {"A:device-id": "74b5", "F:pci-1002_74a1.present": "true", "F:pci-1002_74b5.present": "true"}, ("Available", "MI300X", "High"), set()),
    ("ids win over a name of another architecture", {"A:device-id": "74a1", "A:product-name": "AMD_Instinct_MI355_OAM"}, ("Available", "MI300X", "High"), {"NameMismatch"}),
    ("ids win over the instance type", {"A:device-id": "75a3", "node.kubernetes.io/instance-type": "BM.GPU.MI300X.8"}, ("Available", "MI355X", "High"), {"NameMismatch"}),
    ("an MI210 id wins over any hint", {"A:device-id": "740f", "node.kubernetes.io/instance-type": "BM.GPU.MI300X.8", "F:amd-gpu-mi300x": "true"}, ("NotMI3xx", None, "High"), set()),
    ("the NFD rule's model label", {"F:amd-gpu-mi300x": "true"}, ("Available", "MI300X", "Medium"), set()),
    ("the NFD rule's model label, false", {"F:amd-gpu-mi300x": "false"}, ("UnknownAMD", None, None), set()),
    ("the NFD rule's MI210", {"F:amd-gpu-mi210": "true"}, ("NotMI3xx", None, "Medium"), set()),
    ("the AIM engine's label", {"F:aim-accelerator.MI325X": "8"}, ("Available", "MI325X", "Medium"), set()),
    ("the AIM engine's label, none left", {"F:aim-accelerator.MI325X": "0"}, ("UnknownAMD", None, None), set()),
    ("the AIM engine's label, two models", {"F:aim-accelerator.MI325X": "4", "F:aim-accelerator.MI210": "4"}, ("Mixed", None, "Medium"), set()),
    ("a model label wins over a name", {"F:aim-accelerator.MI325X": "8", "A:product-name": "AMD_Instinct_MI300X_OAM"}, ("Available", "MI325X", "Medium"), {"NameMismatch"}),
    ("a beta name", {"B:product-name": "AMD_Instinct_MI300X_VF"}, ("Available", "MI300X", "Medium"), set()),
    ("a name in a key", {"B:product-name.AMD_Instinct_MI355_OAM": "8"}, ("Available", "MI355X", "Medium"), set()),
    ("two names in keys", {"A:product-name.AMD_Instinct_MI355_OAM": "4", "A:product-name.AMD_Instinct_MI300X_OAM": "4"}, ("Mixed", None, "Medium"), set()),
    ("bare MI300 says not which", {"A:product-name": "AMD_Instinct_MI300"}, ("UnknownAMD", None, None), set()),
    ("MI358 is not known", {"A:product-name": "AMD_Instinct_MI358X"}, ("UnknownAMD", None, None), set()),
    ("another Instinct", {"A:product-name": "AMD_Instinct_MI250X_/_MI250"}, ("NotMI3xx", None, "Medium"), set()),
    ("MI400 is no MI3xx", {"A:product-name": "AMD_Instinct_MI455X"}, ("NotMI3xx", None, "Medium"), set()),
    ("a Radeon", {"A:product-name": "AMD_Radeon_PRO_W7900"}, ("NotMI3xx", None, "Medium"), set()),
    ("the generic Radeon name", {"A:product-name": "AMD_Radeon_Graphics"}, ("NotMI3xx", None, "Medium"), set()),
    ("the generic Radeon name yields to a hint", {"A:product-name": "AMD_Radeon_Graphics", "node.kubernetes.io/instance-type": "Standard_ND96isr_MI300X_v5"}, ("Available", "MI300X", "Low"), {"HintOnly"}),
    ("an ambiguous name yields to a hint", {"A:product-name": "AMD_Instinct_MI300", "node.kubernetes.io/instance-type": "Standard_ND96isr_MI300X_v5"}, ("Available", "MI300X", "Low"), {"HintOnly"}),
    ("a name that says nothing", {"A:product-name": "Device_0042"}, ("UnknownAMD", None, None), set()),
    ("an empty name", {"A:product-name": ""}, ("UnknownAMD", None, None), set()),
    ("the cloud's model label wins over its instance type", {"doks.digitalocean.com/gpu-model": "mi325x", "node.kubernetes.io/instance-type": "gpu-mi300x8-1536gb"}, ("Available", "MI325X", "Low"), {"HintOnly"}),
    ("a hint from skypilot, not which", {"skypilot.co/accelerator": "mi300"}, ("UnknownAMD", None, None), set()),
    ("only AMD in general", {"A:family": "AI", "F:amd-gpu": "true", "F:amd-vgpu": "true"}, ("UnknownAMD", None, None), set()),
    ("simd-count alone", {"A:simd-count": "304"}, ("UnknownAMD", None, None), set()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "expected", "reasons"), [row[1:] for row in EVIDENCE], ids=[row[0] for row in EVIDENCE]
)
def test_evidence(labels: Json, expected: tuple[str, str | None, str | None], reasons: set[str]) -> None:
    found = detect(node(labels, EIGHT))
    assert (found.state, found.product, found.confidence) == expected
    assert reasons <= codes(found)


def test_a_conflict_names_both_values() -> None:
    found = detect(node({"A:device-id": "74a1", "F:pci-1002_75a3.present": "true"}, EIGHT))
    assert "74a1 (gfx942)" in str(found.reasons[0])
    assert "75a3 (gfx950)" in str(found.reasons[0])


def test_a_resource_alone_is_unknown_and_a_label_of_that_name_is_nothing() -> None:
    assert detect(node({}, EIGHT)).state == "UnknownAMD"
    labelled = detect(node({"amd.com/gpu": "true"}))
    assert (labelled.state, labelled.amd) == ("NotMI3xx", False)


def test_a_node_without_gpus() -> None:
    found = detect(node({"node.kubernetes.io/instance-type": "m5.large"}, {"nvidia.com/gpu": "8"}))
    assert (found.state, found.amd, found.resource, found.gpus, found.confidence) == ("NotMI3xx", False, None, 0, None)


INSTANCES = [
    ("Standard_ND96isr_MI300X_v5", "MI300X"),
    ("Standard_ND96is_MI300X_v5", "MI300X"),
    ("BM.GPU.MI300X.8", "MI300X"),
    ("BM.GPU.MI355X.8", "MI355X"),
    ("BM.GPU.MI355X-v0.8", "MI355X"),
    ("BM.GPU.MI355X-v1.8", "MI355X"),
    ("gpu-mi300x1-192gb", "MI300X"),
    ("gpu-mi300x8-1536gb-devcloud", "MI300X"),
    ("gpu-mi325x8-2048gb", "MI325X"),
    ("gpu-mi350x1-288gb-spot", "MI350X"),
    ("gpu-mi355x1-288gb", "MI355X"),
    ("vbm-256c-2048gb-8-mi300x-gpu", "MI300X"),
    ("vbm-256c-3072gb-8-mi325x-gpu", "MI325X"),
    ("gx3d-208x1792x8mi300x", "MI300X"),
    ("mi300x-192gb-ib.8x", "MI300X"),
    ("some-mi300a-box", "MI300A"),
    ("some-MI308X-box", "MI308X"),
    ("some-mi350p-box", "MI350P"),
]


@pytest.mark.parametrize(("instance", "product"), INSTANCES)
@pytest.mark.parametrize("key", ["node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"])
def test_instance_types(instance: str, product: str, key: str) -> None:
    found = detect(node({key: instance}, EIGHT))
    assert (found.state, found.product, found.confidence) == ("Available", product, "Low")


@pytest.mark.parametrize(
    "instance", ["k3s", "rke2", "", "BM.GPU.MI250.8", "gpu-mi300-8", "Standard_NV32_v4", "mi3250-box"]
)
def test_instance_types_that_name_no_mi3xx(instance: str) -> None:
    assert detect(node({"node.kubernetes.io/instance-type": instance}, EIGHT)).state == "UnknownAMD"


NAMES = [
    ("AMD_Instinct_MI300A", "MI300A", None),
    ("AMD_Instinct_MI300X_OAM", "MI300X", None),
    ("AMD_Instinct_MI300X", "MI300X", None),
    ("AMD_Instinct_MI300X_VF", "MI300X", True),
    ("AMD Instinct MI300X HF", "MI300X", None),
    ("AMD_Instinct_MI308X_HF_VF", "MI308X", True),
    ("AMD_Instinct_MI308", "MI308X", None),
    ("AMD_Instinct_MI325_OAM", "MI325X", None),
    ("AMD_Instinct_MI325X_VF", "MI325X", True),
    ("MI325X VF", "MI325X", True),
    ("AMD_Instinct_MI350_OAM", "MI350X", None),
    ("AMD_Instinct_MI350P", "MI350P", None),
    ("AMD_Instinct_MI350P_VF", "MI350P", True),
    ("AMD_Instinct_MI355_OAM", "MI355X", None),
    ("amd-instinct-mi-355x", "MI355X", None),
]


@pytest.mark.parametrize(("name", "product", "virtual"), NAMES)
def test_marketing_names(name: str, product: str, virtual: bool | None) -> None:
    found = detect(node({"A:product-name": name}, EIGHT))
    assert (found.product, found.virtual, found.confidence) == (product, virtual, "Medium")


NFD_LABELS = [
    ("pci-1200_1002_74a1.present", "MI300X"),
    ("pci-1002_74a1.present", "MI300X"),
    ("pci-1200_1002_74a1_1002_74a1.present", "MI300X"),
    ("pci-1002_74b5_1002_74a1.present", "MI300X"),
    ("pci-1200_1002_74b5_1002_74a5.present", "MI300X"),  # the device, not the subsystem
    ("pci-0300_1002_74a1.present", "MI300X"),
    ("pci-0380_1002_74a1.present", "MI300X"),
    ("pci-0b40_1002_74a1.present", "MI300X"),
    ("PCI-1200_1002_74A1.present", None),
    ("pci-0604_1002_74a1.present", None),  # a bridge
    ("pci-1200_10de_74a1.present", None),
    ("pci-1200_1002_74a1.sriov.capable", None),
    ("pci-1002_1002_74a1.present", None),  # vendor, subsystem vendor, subsystem device
    ("pci-1200_1002_15d9.present", None),  # class, vendor, subsystem vendor
    ("pci-1002_ab38.present", None),  # sound
    ("pci-1200_1002.present", None),
    ("pci-1002.present", None),
]


@pytest.mark.parametrize(("label", "product"), NFD_LABELS)
def test_nfd_labels(label: str, product: str | None) -> None:
    found = detect(node({f"F:{label}": "true"}, EIGHT))
    assert (found.state, found.product) == (("Available", product) if product else ("UnknownAMD", None))
    assert detect(node({f"F:{label}": "false"}, EIGHT)).state == "UnknownAMD"


FUNCTIONS: list[tuple[str, list[tuple[str, str, str]], str, str | None]] = [
    ("a full machine", [("0604", "1002", "1478"), ("1200", "1002", "74a1"), ("0403", "1002", "ab38"), ("0200", "15b3", "101b")], "Available", "MI300X"),
    ("upper case and 0x", [("1200", "0x1002", "0x74A1")], "Available", "MI300X"),
    ("another vendor's", [("1200", "10de", "74a1")], "UnknownAMD", None),
    ("a bridge of that id", [("0604", "1002", "74a1")], "UnknownAMD", None),
    ("two products", [("1200", "1002", "74a1"), ("1200", "1002", "740f")], "Mixed", None),
    ("a host with virtual functions", [("1200", "1002", "74a1"), ("1200", "1002", "74b5")], "Available", "MI300X"),
    ("an MI210", [("0380", "1002", "740f")], "NotMI3xx", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("functions", "state", "product"), [row[1:] for row in FUNCTIONS], ids=[row[0] for row in FUNCTIONS]
)
def test_node_features(functions: list[tuple[str, str, str]], state: str, product: str | None) -> None:
    found = detect(node({}, EIGHT), features=[node_feature(functions)])
    assert (found.state, found.product) == (state, product)


def test_a_node_feature_is_of_its_label_or_else_of_its_name() -> None:
    functions = [("1200", "1002", "74a1")]
    assert detect(node({}, EIGHT), features=[node_feature(functions, name="n")]).product == "MI300X"
    assert detect(node({}, EIGHT), features=[node_feature(functions, node="other")]).state == "UnknownAMD"


def test_a_node_feature_with_gpus_is_asked_before_the_labels() -> None:
    subject = node({"F:pci-1002_74a5.present": "true"}, EIGHT)
    assert detect(subject, features=[node_feature([("1200", "1002", "74a1")])]).product == "MI300X"
    assert detect(subject, features=[node_feature([])]).product == "MI325X"


OVERRIDES = [
    ("MI325X", "Available", "MI325X"),
    ("mi325x", "Available", "MI325X"),
    ("74b9", "Available", "MI325X"),
    ("MI999", "Available", "MI300X"),
    ("740f", "Available", "MI300X"),
    ("", "Available", "MI300X"),
]


@pytest.mark.parametrize(("written", "state", "product"), OVERRIDES)
def test_a_persons_word_comes_first_when_it_means_something(written: str, state: str, product: str) -> None:
    found = detect(node({"hipbmm.io/gpu-product": written, "A:device-id": "74a1"}, EIGHT))
    assert (found.state, found.product, found.confidence) == (state, product, "High")
    assert ("UserOverride" if product == "MI325X" else "OverrideInvalid") in codes(found)


def test_a_persons_word_settles_a_conflict_but_not_a_passthrough() -> None:
    labels = {"hipbmm.io/gpu-product": "MI300X", "A:device-id": "74a1", "F:pci-1002_75a3.present": "true"}
    assert detect(node(labels, EIGHT)).state == "Available"
    assert detect(node({**labels, "A:mode": "pf-passthrough"}, EIGHT)).state == "Excluded"


PASSTHROUGH: list[tuple[Json, bool]] = [
    ({"A:mode": "vf-passthrough"}, True),
    ({"A:mode": "PF-Passthrough"}, True),
    ({"B:mode": "pf-passthrough"}, True),
    ({"B:mode.vf-passthrough": "8"}, True),
    ({"amd.com/mode": "vf-passthrough"}, True),
    ({"gpu.operator.amd.com/kube-amd-gpu.default.driver": "vf-passthrough"}, True),
    ({"A:mode": "container", "gpu.operator.amd.com/ns.dc.driver": "pf-passthrough"}, True),
    ({"A:mode": "container"}, False),
    ({"A:mode": "container", "B:mode.vf-passthrough": "8"}, False),
    ({"B:mode.vf-passthrough": "0"}, False),
    ({"gpu.operator.amd.com/ns.dc.driver": "container"}, False),
    ({"gpu.operator.amd.com/ns.dc.other": "vf-passthrough"}, False),
]


@pytest.mark.parametrize(("labels", "excluded"), PASSTHROUGH)
def test_passthrough(labels: Json, excluded: bool) -> None:
    found = detect(node({"A:device-id": "74b5", **labels}, EIGHT))
    assert found.state == ("Excluded" if excluded else "Available")
    assert found.product == "MI300X"


def test_exclusion_precedes_conflict() -> None:
    labels = {"A:device-id": "74a1", "F:pci-1002_75a3.present": "true", "A:mode": "vf-passthrough"}
    assert detect(node(labels, EIGHT)).state == "Excluded"


NO_DRIVER: list[tuple[Json, str, str | None]] = [
    ({"A:device-id": "74a1"}, "NoDriver", "MI300X"),
    ({"F:pci-1200_1002_74a1.present": "true"}, "NoDriver", "MI300X"),
    ({"F:amd-gpu-mi300x": "true"}, "NoDriver", "MI300X"),
    ({"node.kubernetes.io/instance-type": "Standard_ND96isr_MI300X_v5"}, "NoDriver", "MI300X"),
    ({"F:pci-1200_1002.present": "true"}, "UnknownAMD", None),
    ({"F:amd-gpu": "true"}, "UnknownAMD", None),
    ({"A:device-id": "740f"}, "NotMI3xx", None),
]


@pytest.mark.parametrize(("labels", "state", "product"), NO_DRIVER)
def test_hardware_without_a_resource(labels: Json, state: str, product: str | None) -> None:
    found = detect(node(labels))
    assert (found.state, found.product, found.resource, found.gpus) == (state, product, None, 0)
