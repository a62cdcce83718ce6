"""What GPUs a Node has, whether a serving pod can start on it, and which node affinity chooses it.

In: plain Node, ResourceSlice and NodeFeature objects. Out: a `Detection` for each node, a `HardwareSummary` for each
deployment, affinity terms.

The way of a node: `sources/` read labels, NFD and DRA so that nothing in them can raise; `evidence` -> `identity` sort
what they say into tiers of trust, resolve them to one product, and bridge labels that are gone for a while;
`resource_choice`, `partition_shape`, `availability` choose the resource, the size of one device and what keeps pods
away; `detector` makes the Detection, `node_fit` compares it with a deployment, `affinity` says by which labels pods can
be sent to it. `catalogue/` holds the facts about hardware.

Invariants: pure, the time is an argument; never raises, whatever the objects hold; what pods cannot be sent to is not
counted as fitting. Imports `kube/` only. Other rooms import from this file. docs/detection.md explains it to users.
"""

from hipbmm_operator.detect.affinity import EVERY_KIND, LabelKind, affinity_terms, kinds_to_read
from hipbmm_operator.detect.availability import default_tolerations
from hipbmm_operator.detect.catalogue.products import PRODUCT_NAMES
from hipbmm_operator.detect.detection import Detection
from hipbmm_operator.detect.detector import detect_node
from hipbmm_operator.detect.identity import Identity
from hipbmm_operator.detect.node_fit import HardwareSummary, Want, summary
from hipbmm_operator.detect.reasons import State
from hipbmm_operator.detect.resource_choice import DRA_RESOURCE
from hipbmm_operator.detect.sources.dra import DRIVER, device_selector, extended_resources, node_of_slice
from hipbmm_operator.detect.sources.pci import node_of_feature

__all__ = [
    "DRA_RESOURCE",
    "DRIVER",
    "EVERY_KIND",
    "PRODUCT_NAMES",
    "Detection",
    "HardwareSummary",
    "Identity",
    "LabelKind",
    "State",
    "Want",
    "affinity_terms",
    "default_tolerations",
    "detect_node",
    "device_selector",
    "extended_resources",
    "kinds_to_read",
    "node_of_feature",
    "node_of_slice",
    "summary",
]
