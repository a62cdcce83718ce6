"""Whatever the objects hold, detection answers, and within its schema."""

# ruff: noqa: E501 - one row of a table is one line

import contextlib
import json
import random
import re
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.operator.detect.nodes import device, node, node_feature, resource_slice
from tests.unit.operator.detect.strategies import FEATURES, IDS, JUNK, LABELS, NAMES, NODES, PLACES, SLICES, TEXT

from hipbmm_operator.cli.inventory import gpu_requests, read_inventory
from hipbmm_operator.cli.plain_yaml import PlainYamlError, documents
from hipbmm_operator.detect.affinity import affinity_terms, selects
from hipbmm_operator.detect.availability import default_tolerations
from hipbmm_operator.detect.catalogue.products import PRODUCT_NAMES
from hipbmm_operator.detect.detection import Detection
from hipbmm_operator.detect.detector import detect_node
from hipbmm_operator.detect.node_fit import Want, summary
from hipbmm_operator.detect.reasons import State
from hipbmm_operator.detect.sources.dra import node_of_slice
from hipbmm_operator.detect.sources.facts import relevant_labels
from hipbmm_operator.detect.sources.pci import node_of_feature
from hipbmm_operator.kube import kinds
from hipbmm_operator.watch.pruning import prune

Json = dict[str, Any]


CHOICES: dict[str, set[object]] = {
    "state": {"Available", "NotAvailable", "NoDriver", "Conflict", "Mixed", "Excluded", "UnknownAMD", "NotMI3xx"},
    "product": {*PRODUCT_NAMES, None},
    "arch": {"gfx942", "gfx950", None},
    "virtual": {True, False, None},
    "partition": {"SPX", "DPX", "TPX", "QPX", "CPX", None},
    "fp8": {"e4m3fnuz", "e4m3fn", None},
    "confidence": {"High", "Medium", "Low", None},
}
FIELDS = [
    "node", "state", "product", "arch", "virtual", "computeUnits", "partition", "fp8", "confidence", "resource", "gpus",
    "reasons",
]  # fmt: skip
RESOURCE = re.compile(r"amd\.com/(gpu|(spx|dpx|tpx|qpx|cpx)_nps[1248])|dra")
REASON = re.compile(r"[A-Z][A-Za-z0-9]+: .{1,1000}")


def check_schema(result: Any) -> None:  # noqa: ANN401 - what a program would read
    assert list(result) == FIELDS
    assert isinstance(result["node"], str)
    for field, choices in CHOICES.items():
        assert result[field] in choices, field
    units = result["computeUnits"]
    assert units is None or (type(units) is int and units >= 1)
    assert result["resource"] is None or RESOURCE.fullmatch(result["resource"])
    assert type(result["gpus"]) is int
    assert result["gpus"] >= 0
    assert all(REASON.fullmatch(reason) for reason in result["reasons"]), result["reasons"]


THOROUGH = settings(max_examples=100)
QUICK = settings(max_examples=60)


def check(found: Detection) -> None:
    check_schema(json.loads(json.dumps(found.as_dict())))
    if found.product is not None:
        assert found.arch is not None
    if found.state in {State.AVAILABLE, State.NOT_AVAILABLE}:
        assert found.arch is not None
        assert found.resource is not None
    if found.state is State.AVAILABLE:
        assert found.gpus > 0
    if found.state is State.NO_DRIVER:
        assert (found.resource, found.gpus) == (None, 0)
    if found.state in {State.CONFLICT, State.NOT_MI3XX, State.UNKNOWN_AMD}:
        assert (found.product, found.compute_units, found.partition) == (None, None, None)
    if found.whole:
        assert found.partition == "SPX"
    assert found.amd or found.state is State.NOT_MI3XX or found.state is State.EXCLUDED


@THOROUGH
@given(NODES, st.lists(SLICES, max_size=2), st.lists(FEATURES, max_size=2))
def test_label_soup(subject: Json, slices: list[Json], features: list[Json]) -> None:
    found = detect_node(subject, slices, features, default_tolerations(), None, 0.0)
    check(found)
    again = detect_node({}, [], [], [], found.identity, 1.0)
    check(again)
    assert (found.identity is not None) == again.stale
    for resource in ("amd.com/gpu", "amd.com/cpx_nps4"):
        total = summary([found, again], Want(resource=resource))
        assert total.status.nodes <= 2
        assert len(total.finding.message) <= 1024


HOSTILE: list[Any] = [
    None,
    "",
    "x",
    0,
    -1,
    10**400,
    1e308,
    float("nan"),
    True,
    [],
    {},
    ["a"],
    {"a": []},
    "\ud800",
    "a\nb",
    "8" * 5000,
]
VALUES = [
    *IDS,
    *NAMES,
    "8",
    "64",
    "0",
    "304",
    "38",
    "192G",
    "true",
    "vf-passthrough",
    "cpx_nps4",
    "BM.GPU.MI300X.8",
    *HOSTILE,
]
FIXED_KEYS = [
    "A:cu-count", "A:cu-count.38", "B:cu-count.304", "A:vram", "A:product-name", "B:product-name.AMD_Instinct_MI300X_OAM",
    "A:mode", "A:compute-memory-partition", "amd.com/compute-memory-partition", "hipbmm.io/gpu-product", "F:amd-gpu-mi300x",
    "F:aim-accelerator.MI300X", "gpu.operator.amd.com/a.b.driver", "node.kubernetes.io/instance-type", "accelerator",
]  # fmt: skip


def soup(rng: random.Random) -> tuple[Json, list[Json], list[Json]]:
    """A Node with slices and features of everything at once, one place in ten hostile."""

    def bad(good: Any) -> Any:  # noqa: ANN401
        return rng.choice(HOSTILE) if rng.random() < 0.1 else good

    def key() -> str:
        return rng.choice(PLACES).format(rng.choice(IDS)) if rng.random() < 0.5 else rng.choice(FIXED_KEYS)

    subject = node(
        {key(): rng.choice(VALUES) for _ in range(rng.randrange(7))}
        | ({"A:mode": "vf-passthrough"} if rng.random() < 0.05 else {}),
        {
            rng.choice(["amd.com/gpu", "amd.com/cpx_nps4", "amd.com/gpumem"]): bad(rng.choice(["0", "8", "64", 8]))
            for _ in range(rng.randrange(3))
        },
        taints=rng.choice([None, ["amd.com/gpu:NoSchedule"], ["amd-dcm=up:NoExecute"], ["sku=gpu:NoSchedule"]]),
        unschedulable=rng.random() < 0.1,
    )
    for outer, inner in (
        ("metadata", "labels"),
        ("spec", "taints"),
        ("status", "allocatable"),
        ("status", "capacity"),
        ("status", "conditions"),
    ):
        if rng.random() < 0.1:
            subject[outer][inner] = rng.choice(HOSTILE)
    names = [None, "gpu-0-cpx-nps4", "gpu-0-spx-nps1"]
    devices = [
        device(
            index,
            rng.choice(names),
            type=bad(rng.choice(["amdgpu", "amdgpu-partition", "vfio"])),
            deviceID=bad(rng.choice(["0x74a1", "0x75a3", "0x740f", "99491394"])),
            productName=bad(rng.choice(NAMES)),
            computeUnits=bad("304"),
            partitionProfile=bad(rng.choice(["spx_nps1", "cpx_nps4"])),
        )
        for index in range(rng.randrange(4))
    ]
    slices = [bad(resource_slice(devices, generation=rng.randrange(3))) for _ in range(rng.randrange(3))]
    functions = [("1200", bad("1002"), bad(rng.choice(IDS))) for _ in range(rng.randrange(4))]
    features = [bad(node_feature(functions)) for _ in range(rng.randrange(2))]
    return (
        subject,
        [found for found in slices if isinstance(found, dict)],
        [found for found in features if isinstance(found, dict)],
    )


def test_seeded_soup() -> None:
    rng = random.Random(20260801)
    states = set()
    previous = None
    for _ in range(1000):
        subject, slices, features = soup(rng)
        found = detect_node(subject, slices, features, default_tolerations(), None, 0.0)
        check(found)
        states.add(found.state)
        kept = detect_node(subject, slices, features, [], previous, 1.0)
        check(kept)
        previous = kept.identity
    assert states == set(State), "the soup reaches every state"


@QUICK
@given(NODES, SLICES, FEATURES)
@example({"metadata": {"name": "n"}, "status": {"conditions": ["74a1"]}}, {}, {})
def test_what_is_kept_of_an_object_is_all_that_is_read(subject: Json, one_slice: Json, feature: Json) -> None:
    try:
        bodies = orjson.loads(orjson.dumps([subject, one_slice, feature]))
    except TypeError:  # no bodies of an API server
        return
    of = (kinds.NODE, kinds.RESOURCE_SLICES[0], kinds.NODE_FEATURE)
    kept = [prune(kind, body).body() for kind, body in zip(of, bodies, strict=True)]
    answers = [detect_node(node, [dra], [nfd], [], None, 0.0) for node, dra, nfd in (kept, bodies)]
    assert answers[0] == answers[1]


@QUICK
@given(JUNK, JUNK, JUNK)
def test_junk(one: Any, two: Any, three: Any) -> None:  # noqa: ANN401
    subject = one if isinstance(one, dict) else {"metadata": one, "spec": two, "status": three}
    other = two if isinstance(two, dict) else {"spec": two, "metadata": three}
    check(detect_node(subject, [other], [other], [other], None, 0.0))
    assert isinstance(node_of_slice(other), str)
    assert isinstance(node_of_feature(other), str)
    assert isinstance(gpu_requests([subject, other]), dict)


@QUICK
@given(LABELS)
def test_a_device_id_of_another_gpu_is_the_last_word(labels: Json) -> None:
    """Whatever weaker labels say; a person's own label alone is stronger."""
    read = relevant_labels(node(labels | {"A:device-id": "740f", "hipbmm.io/gpu-product": ""}, {"amd.com/gpu": "8"}))
    assert not selects(affinity_terms(), read)


@QUICK
@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(PlainYamlError):
        list(documents(text))
    inventory = read_inventory(text)
    assert all("\n" not in problem for problem in inventory.problems)


@QUICK
@given(
    st.recursive(
        TEXT | st.booleans() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    )
)
def test_plain_yaml_reads_what_json_writes(value: Any) -> None:  # noqa: ANN401
    assert list(documents(json.dumps(value, ensure_ascii=False))) == [value]


def test_the_matrix_of_all_tiers_is_in_the_schema() -> None:
    choices: list[list[Json]] = [
        [
            {},
            {"A:device-id": "74a1"},
            {"A:device-id": "75a3"},
            {"A:device-id": "740f"},
            {"B:device-id.74a1": "4", "B:device-id.74a5": "4"},
        ],
        [{}, {"F:pci-1002_74a1.present": "true"}, {"F:pci-1200_1002_75a0.present": "true"}],
        [{}, {"A:product-name": "AMD_Instinct_MI325_OAM"}, {"A:product-name": "AMD_Radeon_Graphics"}],
        [{}, {"node.kubernetes.io/instance-type": "BM.GPU.MI355X.8"}],
        [{}, {"A:cu-count": "38"}, {"A:mode": "vf-passthrough"}],
    ]
    allocs: list[Json] = [{}, {"amd.com/gpu": "8"}, {"amd.com/cpx_nps4": "64"}]
    slices = [[], [resource_slice([device(0)])], [resource_slice([device(0, deviceID="0x75a3")])]]
    combinations: list[Json] = [{}]
    for choice in choices:
        combinations = [{**labels, **more} for labels in combinations for more in choice]
    states = set()
    for labels in combinations:
        for alloc in allocs:
            for published in slices:
                found = detect_node(node(labels, alloc), published, [], [], None, 0.0)
                check(found)
                states.add(found.state)
    assert states == set(State) - {State.NOT_AVAILABLE}


@pytest.mark.parametrize(
    "subject", [{}, {"metadata": None}, {"metadata": {"name": 5}}, {"metadata": {"labels": {3: 4}}}]
)
def test_small_junk(subject: Json) -> None:
    check(detect_node(subject, [{}], [{}], [{}], None, 0.0))
