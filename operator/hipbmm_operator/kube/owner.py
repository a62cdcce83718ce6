"""Who a child belongs to."""

from dataclasses import dataclass

from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.kinds import HIPBMM_DEPLOYMENT


@dataclass(frozen=True, slots=True)
class Owner:
    """The resource that children belong to."""

    namespace: str
    name: str
    uid: str

    def reference(self) -> Json:
        """The ownerReference by which Kubernetes deletes a child with its owner."""
        return {**HIPBMM_DEPLOYMENT.reference(self.name, self.uid), "controller": True, "blockOwnerDeletion": True}

    def metadata(self, name: str = "", *, owned: bool = True) -> Json:
        """Metadata of a child, by default of the resource's own name.

        One without an owner has no label by which another tool (Argo CD) finds its objects.
        """
        metadata: Json = {
            "name": name or names.child(self.name),
            "namespace": self.namespace,
            "labels": names.labels(self.name),
            "annotations": {names.ANNOTATION_DEPLOYMENT: self.name},
        }
        if owned:
            metadata["ownerReferences"] = [self.reference()]
        else:
            del metadata["labels"][names.LABEL_INSTANCE]
        return metadata
