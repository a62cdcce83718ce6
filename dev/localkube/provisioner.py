"""Volumes of the storage class `localkube`, and of any other that names this provisioner: a hostPath directory each.

`python -m localkube.provisioner SERVER PKI VOLUMES` runs as a component of the supervisor. One node, so ReadWriteMany
is true. Directories have mode 0777: hostPath volumes ignore fsGroup, and the pods' users are not root.
"""

import http.client
import logging
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from localkube.api import CONFLICT, NOT_FOUND, Api, ApiError, Object

PROVISIONER = "hipbmm.io/localkube"
STORAGE_CLASS = "localkube"

_LOG = logging.getLogger("provisioner")
_CLAIMS = "/api/v1/persistentvolumeclaims"
_VOLUMES = "/api/v1/persistentvolumes"
_ASKED = "volume.kubernetes.io/storage-provisioner"
"""Kubernetes writes here who is to provide a claim's volume, once the claim's class exists."""
_VOLUME_NAME = re.compile(r"pvc-[0-9a-f-]{36}")
_WATCH_SECONDS = 300


def storage_class() -> Object:
    """The default StorageClass."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    }


def wants_volume(claim: Object) -> bool:
    """Whether `claim` is pending and asks us, by a class of ours, for any volume that has a file system."""
    spec = claim["spec"]
    annotations = claim["metadata"].get("annotations") or {}
    return (
        claim.get("status", {}).get("phase", "Pending") == "Pending"
        and annotations.get(_ASKED) == PROVISIONER
        and not spec.get("volumeName")
        and not spec.get("selector")
        and spec.get("volumeMode", "Filesystem") == "Filesystem"
        and "deletionTimestamp" not in claim["metadata"]
    )


def volume_for(claim: Object, root: Path) -> Object:
    """The PersistentVolume for `claim`; its name comes from the claim's uid, so that a second try finds the first."""
    metadata = claim["metadata"]
    name = f"pvc-{metadata['uid']}"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": claim["spec"]["storageClassName"],
            "volumeMode": "Filesystem",
            "hostPath": {"path": str(root / name), "type": "Directory"},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
        },
    }


def is_ours_to_delete(volume: Object) -> bool:
    """Whether the claim of a volume that we made is gone and the volume is to go with it."""
    annotations = volume["metadata"].get("annotations") or {}
    return (
        annotations.get("pv.kubernetes.io/provisioned-by") == PROVISIONER
        and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        and volume.get("status", {}).get("phase") == "Released"
        and _VOLUME_NAME.fullmatch(volume["metadata"]["name"]) is not None
    )


class Provisioner:
    """Applies the decisions above to one cluster."""

    def __init__(self, api: Api, root: Path) -> None:
        self._api = api
        self._root = root

    def claim(self, claim: Object) -> None:
        """Make the directory and the volume that a claim asks for."""
        if not wants_volume(claim):
            return
        volume = volume_for(claim, self._root)
        directory = Path(volume["spec"]["hostPath"]["path"])
        directory.mkdir(parents=True, exist_ok=True)
        # mkdir's mode is subject to the umask.
        directory.chmod(0o777)
        self._ignore(CONFLICT, "POST", _VOLUMES, volume)

    def volume(self, volume: Object) -> None:
        """Remove a released volume and its directory; the object last, so that a crash between is repeated."""
        if not is_ours_to_delete(volume):
            return
        name = volume["metadata"]["name"]
        shutil.rmtree(self._root / name, ignore_errors=True)
        self._ignore(NOT_FOUND, "DELETE", f"{_VOLUMES}/{name}")

    def _ignore(self, status: int, method: str, path: str, body: Object | None = None) -> None:
        try:
            self._api.request(method, path, body)
            _LOG.info("%s %s", method, body["metadata"]["name"] if body else path)
        except ApiError as error:
            if error.status != status:
                raise


def main(arguments: list[str]) -> int:
    """Follow claims and volumes, each by its own thread, until the process is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    server, pki, volumes = arguments
    api = Api(server, Path(pki), "provisioner")
    provisioner = Provisioner(api, Path(volumes))
    threading.Thread(target=_follow, args=(api, _VOLUMES, provisioner.volume), daemon=True).start()
    _follow(api, _CLAIMS, provisioner.claim)
    return 0


def _follow(api: Api, path: str, handle: Callable[[Object], None]) -> None:
    """Watch for ever. A watch without a resourceVersion begins with all that is there; any trouble starts over."""
    while True:
        try:
            for event in api.watch(path, _WATCH_SECONDS):
                if event["type"] in {"ADDED", "MODIFIED"}:
                    handle(event["object"])
        except (OSError, http.client.HTTPException, ApiError, ValueError) as error:
            _LOG.info("starting the watch of %s again: %s", path, error)
            time.sleep(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
