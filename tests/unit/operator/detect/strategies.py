"""Whatever a cluster may hold: nodes, slices and features of right, wrong and absurd content, for property tests."""

# ruff: noqa: E501 - one row of a table is one line

from typing import Any

from hypothesis import strategies as st
from tests.unit.operator.detect.nodes import expand

Json = dict[str, Any]

IDS = ["74a1", "74b5", "74a5", "75a3", "75a2", "740f", "744c", "0x74A1", "7551", "x", ""]
NAMES = ["AMD_Instinct_MI300X_OAM", "AMD_Instinct_MI325_OAM", "MI300", "AMD_Radeon_Graphics", "AMD_Instinct_MI210"]
SCALARS = st.one_of(
    st.sampled_from(
        [*IDS, *NAMES, "8", "304", "38", "192G", "true", "vf-passthrough", "cpx_nps4", "BM.GPU.MI300X.8", "unhealthy"]
    ),
    st.text(max_size=12),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PLACES = [
    "A:device-id",
    "B:device-id",
    "A:device-id.{}",
    "B:device-id.{}",
    "F:pci-1200_1002_{}.present",
    "F:pci-1002_{}.present",
]
KEYS = st.one_of(
    st.builds(str.format, st.sampled_from(PLACES), st.sampled_from(IDS)),
    st.sampled_from(
        [
            *[f"{prefix}:{kind}" for prefix in "AB" for kind in ("cu-count", "cu-count.38", "cu-count.304", "vram", "vram.24G", "product-name", "mode", "family")],
            *[f"B:product-name.{name}" for name in NAMES],
            "A:compute-memory-partition", "amd.com/compute-memory-partition", "amd.com/gpu", "hipbmm.io/gpu-product",
            "F:amd-gpu", "F:amd-vgpu", "F:amd-gpu-mi300x", "F:amd-gpu-mi210", "F:aim-accelerator.MI300X", "F:pci-1200_1002.present",
            "gpu.operator.amd.com/a.b.driver", "metricsexporter.amd.com.gpu.1.state", "doks.digitalocean.com/gpu-model",
            "node.kubernetes.io/instance-type", "accelerator",
        ]
    ),
    st.text(max_size=8),
)  # fmt: skip
LABELS = st.dictionaries(KEYS, SCALARS, max_size=8)
RESOURCES: st.SearchStrategy[Json] = st.dictionaries(
    st.sampled_from(
        ["amd.com/gpu", "amd.com/cpx_nps4", "amd.com/spx_nps1", "amd.com/dpx_nps2", "amd.com/gpumem", "nvidia.com/gpu"]
    ),
    st.sampled_from(["0", "1", "8", "64", "8k", "", "x", None, 8, -1, []]),
    max_size=3,
)
TAINTS = st.lists(
    st.fixed_dictionaries({}, optional={
        "key": st.sampled_from(["amd.com/gpu", "sku", "amd-dcm", 3, None]),
        "value": SCALARS,
        "effect": st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule", "", None, 1]),
    }) | JUNK,
    max_size=2,
)  # fmt: skip
NODES = st.fixed_dictionaries(
    {"metadata": st.fixed_dictionaries({"name": st.just("n"), "labels": LABELS.map(expand) | JUNK})},
    optional={
        "spec": st.fixed_dictionaries({}, optional={"taints": TAINTS | JUNK, "unschedulable": SCALARS}) | JUNK,
        "status": st.fixed_dictionaries(
            {},
            optional={
                "capacity": RESOURCES | JUNK,
                "allocatable": RESOURCES | JUNK,
                "conditions": st.just([{"type": "Ready", "status": "True"}]) | JUNK,
            },
        )
        | JUNK,
    },
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        [
            "type",
            "deviceID",
            "parentDeviceID",
            "productName",
            "partitionProfile",
            "computePartition",
            "gpuIndex",
            "resource.kubernetes.io/pciBusID",
        ]
    ),
    st.fixed_dictionaries(
        {
            "string": st.sampled_from(
                ["vfio", "amdgpu", "0x74a1", "0x75a3", "0x740f", "99491394", "cpx_nps4", "spx", *NAMES]
            )
        }
    )
    | JUNK,
    max_size=5,
)
DEVICES = st.fixed_dictionaries(
    {"attributes": ATTRIBUTES | JUNK},
    optional={
        "name": st.sampled_from(["gpu-0-cpx-nps4", "gpu-1"]) | JUNK,
        "basic": st.fixed_dictionaries({"attributes": ATTRIBUTES}) | JUNK,
        "capacity": st.dictionaries(
            st.sampled_from(["memory", "computeUnits"]), st.fixed_dictionaries({"value": SCALARS}) | JUNK, max_size=2
        )
        | JUNK,
        "taints": JUNK,
    },
)
SLICES = st.fixed_dictionaries(
    {
        "spec": st.fixed_dictionaries(
            {
                "driver": st.just("gpu.amd.com"),
                "nodeName": st.just("n"),
                "devices": st.lists(DEVICES, max_size=3) | JUNK,
            },
            optional={
                "pool": st.fixed_dictionaries(
                    {}, optional={"name": JUNK, "generation": SCALARS, "resourceSliceCount": SCALARS}
                )
                | JUNK
            },
        )
        | JUNK
    }
)
FUNCTION = st.fixed_dictionaries(
    {
        "attributes": st.dictionaries(
            st.sampled_from(["class", "vendor", "device"]),
            st.sampled_from(["1200", "1002", "74a1", "75a3", 1002, None]),
        )
    }
)
FEATURES = st.fixed_dictionaries({
    "metadata": st.just({"name": "n"}),
    "spec": st.fixed_dictionaries({"features": st.fixed_dictionaries({"instances": st.fixed_dictionaries({"pci.device": st.fixed_dictionaries({"elements": st.lists(FUNCTION | JUNK, max_size=3) | JUNK}) | JUNK}) | JUNK}) | JUNK}) | JUNK,
})  # fmt: skip

# What both JSON and YAML may hold raw: no control characters, no line breaks of Unicode.
TEXT = st.text(
    st.characters(min_codepoint=32, max_codepoint=126) | st.characters(min_codepoint=0xA1, max_codepoint=0x1FFF),
    max_size=5,
).filter(lambda text: text != "<<")
