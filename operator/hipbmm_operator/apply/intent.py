"""Whether a live child is what was meant, without asking the API server. Pure."""

from hipbmm_operator.kube import names, quantity
from hipbmm_operator.kube.json_text import Json, canonical
from hipbmm_operator.observe.observed import Child


def with_hash(body: Json) -> Json:
    """The intent with its own hash as an annotation: what was removed from an intent is seen after a restart, too."""
    metadata = body["metadata"]
    annotations = {**metadata.get("annotations", {}), names.ANNOTATION_INTENT: digest(body)}
    return {**body, "metadata": {**metadata, "annotations": annotations}}


def holds(marked: Json, live: Child) -> bool:
    """Whether a live object carries this very intent and every field of it still holds."""
    if live.meta.annotations.get(names.ANNOTATION_INTENT) != hash_of(marked):
        return False
    wanted, meta = marked["metadata"], live.meta
    noted = covers(wanted["labels"], meta.labels) and covers(wanted["annotations"], meta.annotations)
    return noted and covers(wanted.get("ownerReferences", []), list(meta.owners)) and covers(marked["spec"], live.spec)


def live_hash(live: Child) -> str:
    """Hash of what a person could have changed in a child."""
    noted = {key: text for key, text in live.meta.annotations.items() if "deployment.kubernetes.io" not in key}
    # The generation of a Deployment counts every change of its spec, which is large; a Service has none.
    return digest([live.meta.labels, noted, live.meta.owners, live.meta.generation or live.spec])


def hash_of(marked: Json) -> str:
    """The hash of an intent that has it as an annotation."""
    return str(marked["metadata"]["annotations"][names.ANNOTATION_INTENT])


def digest(value: object) -> str:
    """Short hash of a value."""
    return names.short_hash(canonical(value), 16)


def covers(wanted: object, live: object) -> bool:
    """Whether `live` has all that `wanted` says; what the API server added does not matter."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(covers(value, live.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        # A longer live list has something that we did not ask for: apply, and see.
        return isinstance(live, list) and len(wanted) == len(live) and all(map(covers, wanted, live))
    if wanted in ("", None, False, 0) and live is None:
        return True
    return wanted == live or quantity.equal(wanted, live)
