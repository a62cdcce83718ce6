import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localkube import provisioner
from localkube.api import Api, ApiError, Object
from localkube.provisioner import Provisioner

UID = "11111111-2222-3333-4444-555555555555"
CLAIM: Object = {
    "metadata": {
        "name": "store",
        "namespace": "team",
        "uid": UID,
        "annotations": {"volume.kubernetes.io/storage-provisioner": "hipbmm.io/localkube"},
    },
    "spec": {
        "storageClassName": "localkube",
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "7Ti"}},
        "volumeMode": "Filesystem",
    },
    "status": {"phase": "Pending"},
}


def changed(base: Object, change: Callable[[Object], Any]) -> Object:
    value = copy.deepcopy(base)
    change(value)
    return value


def test_a_pending_claim_of_our_class_gets_a_volume_of_its_size_and_modes() -> None:
    assert provisioner.wants_volume(CLAIM)
    volume = provisioner.volume_for(CLAIM, Path("/volumes"))
    assert volume["metadata"]["name"] == f"pvc-{UID}"
    assert volume["spec"]["capacity"] == {"storage": "7Ti"}
    assert volume["spec"]["accessModes"] == ["ReadWriteMany"]
    assert volume["spec"]["hostPath"]["path"] == f"/volumes/pvc-{UID}"
    assert volume["spec"]["claimRef"]["uid"] == UID
    assert volume == provisioner.volume_for(CLAIM, Path("/volumes"))


def test_another_class_that_names_the_provisioner_is_served_under_its_own_name() -> None:
    other = changed(CLAIM, lambda claim: claim["spec"].update(storageClassName="other"))
    assert provisioner.wants_volume(other)
    assert provisioner.volume_for(other, Path("/volumes"))["spec"]["storageClassName"] == "other"


@pytest.mark.parametrize(
    "change",
    [
        lambda claim: claim["status"].update(phase="Bound"),
        lambda claim: claim["metadata"].pop("annotations"),
        lambda claim: claim["metadata"]["annotations"].update({"volume.kubernetes.io/storage-provisioner": "other"}),
        lambda claim: claim["spec"].update(volumeName="mine"),
        lambda claim: claim["spec"].update(selector={"matchLabels": {"a": "b"}}),
        lambda claim: claim["spec"].update(volumeMode="Block"),
        lambda claim: claim["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"),
    ],
)
def test_other_claims_get_none(change: Callable[[Object], Any]) -> None:
    assert not provisioner.wants_volume(changed(CLAIM, change))


VOLUME: Object = {
    **provisioner.volume_for(CLAIM, Path("/volumes")),
    "status": {"phase": "Released"},
}


@pytest.mark.parametrize(
    "change",
    [
        lambda volume: volume["status"].update(phase="Bound"),
        lambda volume: volume["spec"].update(persistentVolumeReclaimPolicy="Retain"),
        lambda volume: volume["metadata"].pop("annotations"),
        lambda volume: volume["metadata"].update(name="../../etc"),
    ],
)
def test_a_volume_is_deleted_only_when_it_is_ours_and_released(change: Callable[[Object], Any]) -> None:
    assert provisioner.is_ours_to_delete(VOLUME)
    assert not provisioner.is_ours_to_delete(changed(VOLUME, change))


class FakeApi(Api):
    """Remembers the calls; answers as if everything was there already."""

    def __init__(self, status: int) -> None:
        self.calls: list[tuple[str, str]] = []
        self.status = status

    def request(self, method: str, path: str, body: Object | None = None, seconds: float = 10.0) -> Object:  # noqa: ARG002 - the signature of Api
        self.calls.append((method, path))
        raise ApiError(self.status, "again")


def test_a_second_try_finds_the_first_and_any_user_may_write(tmp_path: Path) -> None:
    api = FakeApi(409)
    for _ in range(2):
        Provisioner(api, tmp_path).claim(CLAIM)
    directory = tmp_path / f"pvc-{UID}"
    assert directory.stat().st_mode & 0o777 == 0o777
    assert api.calls == [("POST", "/api/v1/persistentvolumes")] * 2


def test_a_released_volume_goes_with_its_files(tmp_path: Path) -> None:
    directory = tmp_path / f"pvc-{UID}"
    directory.mkdir()
    (directory / "shard").write_text("x")
    api = FakeApi(404)
    Provisioner(api, tmp_path).volume(VOLUME)
    assert not directory.exists()
    assert api.calls == [("DELETE", f"/api/v1/persistentvolumes/pvc-{UID}")]


def test_other_refusals_are_not_swallowed(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="403"):
        Provisioner(FakeApi(403), tmp_path).claim(CLAIM)


def test_the_class_is_the_default_one() -> None:
    annotations = provisioner.storage_class()["metadata"]["annotations"]
    assert annotations == {"storageclass.kubernetes.io/is-default-class": "true"}
