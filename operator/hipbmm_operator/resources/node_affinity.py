"""Where a pod template lets its pods run: on nodes with an accepted GPU and as the user says, and what they tolerate.

The affinity is the list of terms that detection judges nodes by, for the kinds of label that the cluster's nodes showed
when the template was rendered (`circumstances`), so that nodes that come and go change no pod.
"""

from collections.abc import Collection

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.detect.affinity import LabelKind, affinity_terms
from hipbmm_operator.detect.availability import default_tolerations
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import object_at

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def affinity(spec: Spec, kinds: Collection[LabelKind]) -> Json:
    """The user's affinity; of its node selector terms (ORed), each together with each of one for the GPUs."""
    users = spec.pod_template.spec.affinity.body() if spec.pod_template.spec.affinity else {}
    if spec.gpu.device_class_name:
        return users  # the devices of its claim choose the node of a pod
    of_nodes = users.get("nodeAffinity", {})
    terms = affinity_terms(spec.gpu.products or (), spec.gpu.resource_name, kinds)
    if required := object_at(of_nodes, _REQUIRED).get("nodeSelectorTerms"):
        # A term without a requirement chooses no node (core/v1, NodeSelectorTerm), and still does with nothing else.
        terms = [_both(other, term) for other in required if any(other.values()) for term in terms] or [{}]
    return {**users, "nodeAffinity": {**of_nodes, _REQUIRED: {"nodeSelectorTerms": terms}}}


def tolerations(spec: Spec) -> list[Json]:
    """`default`: the taint that keeps other pods off GPU nodes; then the user's. Taints of maintenance never are."""
    users = spec.pod_template.spec.tolerations or []
    own = default_tolerations() if spec.gpu.tolerations == "default" else []
    return [*own, *(entry.body() for entry in users)]


def _both(one: Json, other: Json) -> Json:
    merged = {key: [*one.get(key, []), *other.get(key, [])] for key in ("matchExpressions", "matchFields")}
    return {key: value for key, value in merged.items() if value}
