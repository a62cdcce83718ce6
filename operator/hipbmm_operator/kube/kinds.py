"""The API kinds that the operator reads or writes."""

from dataclasses import dataclass

from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """One API kind: how its URL and its objects are written."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As in an object's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Path of a collection, an object or a subresource."""
        parts = [f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        return "/".join([*parts, self.plural, *filter(None, (name, subresource))])

    def body(self, metadata: Json, **parts: object) -> Json:
        """An object of this kind; `parts` are what it has beside its metadata."""
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata, **parts}

    def reference(self, name: str, uid: str) -> Json:
        """How another object names one of this kind."""
        return {"apiVersion": self.api_version, "kind": self.kind, "name": name, "uid": uid}


HIPBMM_DEPLOYMENT = Kind(names.GROUP, "v1alpha1", "hipbmmdeployments", "HipbmmDeployment")
HIPBMM_PROFILE = Kind(names.GROUP, "v1alpha1", "hipbmmprofiles", "HipbmmProfile")
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
CONTROLLER_REVISION = Kind("apps", "v1", "controllerrevisions", "ControllerRevision")
SERVICE = Kind("", "v1", "services", "Service")
CLAIM = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
SECRET = Kind("", "v1", "secrets", "Secret")
BUDGET = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
SERVICE_MONITOR = Kind("monitoring.coreos.com", "v1", "servicemonitors", "ServiceMonitor")
POD = Kind("", "v1", "pods", "Pod")
NODE = Kind("", "v1", "nodes", "Node", namespaced=False)
EVENT = Kind("", "v1", "events", "Event")
LIMIT_RANGE = Kind("", "v1", "limitranges", "LimitRange")
RESOURCE_QUOTA = Kind("", "v1", "resourcequotas", "ResourceQuota")
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
_ADMISSION = "admissionregistration.k8s.io"
MUTATING_POLICY_BINDING = Kind(
    _ADMISSION, "v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", namespaced=False
)
MUTATING_WEBHOOK = Kind(
    _ADMISSION, "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", namespaced=False
)
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
STORAGE_CLASS = Kind("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)

RESOURCE_CLAIM_TEMPLATE = Kind("resource.k8s.io", "v1", "resourceclaimtemplates", "ResourceClaimTemplate")
RESOURCE_SLICES = tuple(
    Kind("resource.k8s.io", version, "resourceslices", "ResourceSlice", namespaced=False)
    for version in ("v1", "v1beta2", "v1beta1")
)
DEVICE_CLASSES = tuple(
    Kind("resource.k8s.io", version, "deviceclasses", "DeviceClass", namespaced=False) for version in ("v1", "v1beta2")
)
NODE_FEATURE = Kind("nfd.k8s-sigs.io", "v1alpha1", "nodefeatures", "NodeFeature")

WATCHED = (
    HIPBMM_DEPLOYMENT,
    DEPLOYMENT,
    SERVICE,
    CLAIM,
    CONTROLLER_REVISION,
    BUDGET,
    CONFIG_MAP,
    POD,
    NODE,
)
