"""What a pod template says about GPUs: node affinity by product together with the user's own, and tolerations.

The affinity is the list of terms that detection judges nodes by, for the kinds of label that the cluster's nodes showed
when the template was rendered (`circumstances`), so that nodes that come and go change no pod.
"""

from collections.abc import Collection, Sequence

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.detect.affinity import LabelKind, affinity_terms
from hipbmm_operator.detect.availability import default_tolerations
from hipbmm_operator.kube.json_text import Json


def node_terms(spec: Spec, kinds: Collection[LabelKind], required: Sequence[Json] = ()) -> list[Json]:
    """Node selector terms (ORed): a node with one of the products (every MI3xx without any), and one of `required`."""
    terms = affinity_terms(spec.gpu.products or (), spec.gpu.resource_name, kinds)
    return [_both(other, term) for other in required for term in terms] if required else terms


def tolerations(spec: Spec) -> list[Json]:
    """`default`: the taint that keeps other pods off GPU nodes; then the user's. Taints of maintenance never are."""
    users = spec.pod_template.spec.tolerations or []
    own = default_tolerations() if spec.gpu.tolerations == "default" else []
    return [*own, *(entry.body() for entry in users)]


def _both(one: Json, other: Json) -> Json:
    merged = {key: [*one.get(key, []), *other.get(key, [])] for key in ("matchExpressions", "matchFields")}
    return {key: value for key, value in merged.items() if value}
