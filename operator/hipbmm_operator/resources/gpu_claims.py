"""GPUs by dynamic resource allocation: the ResourceClaimTemplate, and how pods refer to it. Pure.

Each pod gets a claim of its own from the template; `warm` and `server` share it, as they share the GPUs of a device
plugin (kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation).
"""

from hipbmm_operator.api.spec import Gpu
from hipbmm_operator.detect.sources.dra import DRIVER, device_selector
from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json, canonical
from hipbmm_operator.kube.kinds import RESOURCE_CLAIM_TEMPLATE
from hipbmm_operator.kube.metadata import Metadata, objects_at

CLAIM = "gpus"
"""Name of the claim in the pod, and of its one request."""


def of_pod(name: str, gpu: Gpu, gpus: int) -> list[Json]:
    """`resourceClaims` of the pod of a resource. The spec of a template never changes, so its name has a hash of it."""
    role = f"gpus-{names.short_hash(canonical(_spec(gpu, gpus)))}"
    return [{"name": CLAIM, "resourceClaimTemplateName": names.child(name, role)}] if gpu.device_class_name else []


def referred(template: Json) -> str:
    """The ResourceClaimTemplate that a pod template refers to, "" for none."""
    claims = objects_at(template, "spec", "resourceClaims")
    return next((str(claim.get("resourceClaimTemplateName", "")) for claim in claims if claim.get("name") == CLAIM), "")


def build(owner: Metadata, name: str, gpu: Gpu, gpus: int) -> Json:
    """The ResourceClaimTemplate of that name."""
    return RESOURCE_CLAIM_TEMPLATE.body(owner.of_child(name), spec=_spec(gpu, gpus))


def _spec(gpu: Gpu, gpus: int) -> Json:
    """`gpus` devices of the class, all of one of the products; of the class of all devices, no parts of a GPU.

    Of a node that the driver partitions as claims ask (AutoPartition): a class of the user's own chooses the mode.
    """
    selector = device_selector(gpu.products or (), whole=gpu.device_class_name == DRIVER)
    exactly: Json = {
        "deviceClassName": gpu.device_class_name,
        "allocationMode": "ExactCount",
        "count": gpus,
        "selectors": [{"cel": {"expression": selector}}],
    }
    return {"spec": {"devices": {"requests": [{"name": CLAIM, "exactly": exactly}]}}}
