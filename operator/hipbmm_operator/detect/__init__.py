"""What GPUs a Node has, and whether a serving pod can start on it: pure functions of plain Kubernetes objects.

The way of a node through the modules:

``facts``, ``labels``, ``pci``, ``slices`` read the Node, the labeller's labels, Node Feature Discovery and DRA, so that
nothing in them can raise. ``evidence`` -> ``identity`` sorts what they say into tiers of trust (device ids, then names,
then claims of the cloud) and resolves them to one product. ``resources``, ``shape``, ``availability`` choose the
resource that pods ask for, find the size of one logical device, and what keeps pods away now. ``hysteresis`` ->
``detector`` bridges labels that are gone for a while, and makes the Detection.

``products`` and ``partitions`` hold the facts about the hardware, ``fingerprint`` spares the work when nothing relevant
changed, ``affinity`` and ``summary`` serve a deployment, ``cli`` is the edge. docs/detection.md explains it to users.
"""

from hipbmm_operator.detect.affinity import EVERY_KIND, LabelKind, affinity_terms, kinds_to_read
from hipbmm_operator.detect.availability import default_tolerations
from hipbmm_operator.detect.catalogue.products import PRODUCT_NAMES
from hipbmm_operator.detect.detection import Detection, State
from hipbmm_operator.detect.detector import detect_node
from hipbmm_operator.detect.fingerprint import fingerprint
from hipbmm_operator.detect.identity import Identity
from hipbmm_operator.detect.node_fit import HardwareSummary, Want, summary
from hipbmm_operator.detect.sources.dra import node_of_slice
from hipbmm_operator.detect.sources.pci import node_of_feature

__all__ = [
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
    "fingerprint",
    "kinds_to_read",
    "node_of_feature",
    "node_of_slice",
    "summary",
]
