"""What a pod template says about GPUs: node affinity by product together with the user's own, and tolerations.

The affinity is a *static* list of terms, the one that detection judges nodes by: it depends on the accepted products
and on nothing in the cluster, so nodes that come and go never change a pod template.
"""

from collections.abc import Sequence
from functools import lru_cache

from hipbmm_operator.detect import affinity_terms, default_tolerations
from hipbmm_operator.kube.json_text import Json


def node_terms(products: Sequence[str] | None, resource: str, required: Sequence[Json] = ()) -> list[Json]:
    """Node selector terms (ORed): a node with one of the products (every MI3xx without any), and one of `required`."""
    terms = [*_terms(tuple(products or ()), resource)]
    return [_both(other, term) for other in required for term in terms] if required else terms


def tolerations(choice: str) -> list[Json]:
    """`default`: the taint that keeps other pods off GPU nodes. Taints of maintenance are never tolerated."""
    return [*default_tolerations()] if choice == "default" else []


@lru_cache(maxsize=128)
def _terms(products: tuple[str, ...], resource: str) -> tuple[Json, ...]:
    """Every reconcile of every resource asks for them; nobody changes what is in them."""
    return tuple(affinity_terms(products, resource))


def _both(one: Json, other: Json) -> Json:
    merged = {key: [*one.get(key, []), *other.get(key, [])] for key in ("matchExpressions", "matchFields")}
    return {key: value for key, value in merged.items() if value}
