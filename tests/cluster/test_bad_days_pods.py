"""Images, secrets, ConfigMaps and the spec itself: each fault shows its own reason, and heals when its cause goes."""

from typing import Any

import pytest
from tests.cluster.badday import failure, heals
from tests.cluster.kubelet import ended, report, waiting
from tests.cluster.world import World

from hipbmm_operator.kube import kinds

Json = dict[str, Any]


def stuck(world: World, container: Json) -> Json:
    """The first pod, whose `warm` waits."""
    (pod,) = world.scheduled(1)
    world.kubelet.containers(pod, {"payload": ended(0), "warm": container}, phase="Pending")
    return pod


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("rpc error: code = NotFound desc = failed to pull: manifest unknown: not found", "ImageNotFound"),
        ("failed to authorize: 401 Unauthorized", "ImagePullUnauthorized"),
        ("dial tcp: lookup registry.example: no such host", "ImagePullFailed"),
    ],
)
def test_image_that_cannot_be_pulled(world: World, message: str, reason: str) -> None:
    world.create()
    pod = stuck(world, waiting("ErrImagePull", message))
    world.becomes("Progressing", "False", reason)
    back_off = waiting("ImagePullBackOff", 'Back-off pulling image "registry.example/vllm:1"')
    world.kubelet.containers(pod, {"payload": ended(0), "warm": back_off}, phase="Pending")
    assert message in failure(world, container="warm", reason=reason)["message"]
    world.shows(Available=reason, Ready=reason, phase="Failed")
    heals(world)


def test_a_pull_secret_that_is_not_there(world: World) -> None:
    world.create(imagePullSecrets=[{"name": "regcred"}])
    (pod,) = world.scheduled(1)
    told = "Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed."
    world.kubelet.event(pod, "FailedToRetrieveImagePullSecret", told)
    refused = "pull access denied, repository does not exist or may require authorization"
    stuck(world, waiting("ErrImagePull", refused))
    found = world.becomes("Progressing", "False", "PullSecretNotFound")
    assert "regcred" in found["message"]
    assert refused in found["message"]
    failure(world, reason="PullSecretNotFound")
    heals(world)


def test_a_name_that_is_no_image(world: World) -> None:
    world.create()
    stuck(world, waiting("InvalidImageName", 'Failed to apply default image tag "x:y:z": couldn\'t parse'))
    world.becomes("Progressing", "False", "InvalidImageName")
    heals(world)


@pytest.mark.parametrize(
    ("reason", "message", "told"),
    [
        ("CreateContainerConfigError", 'secret "hf" not found', "SecretNotFound"),
        ("CreateContainerConfigError", "couldn't find key HF_TOKEN in Secret models/hf", "SecretNotFound"),
        ("CreateContainerConfigError", 'configmap "settings" not found', "ConfigMapNotFound"),
        ("CreateContainerConfigError", "container has runAsNonRoot and image will run as root", "RunAsNonRootRefused"),
        ("CreateContainerError", "context deadline exceeded", "CreateContainerError"),
    ],
)
def test_a_container_that_cannot_be_made(world: World, reason: str, message: str, told: str) -> None:
    world.create(model={"name": "x", "tokenSecretRef": {"name": "hf"}})
    stuck(world, waiting(reason, message))
    assert message in world.becomes("Progressing", "False", told)["message"]
    world.shows(Ready=told)
    heals(world)


def test_a_volume_of_the_pod_that_cannot_be_mounted(world: World) -> None:
    world.create(model={"name": "x", "configMapRef": {"name": "qwen-config"}})
    (pod,) = world.scheduled(1)
    message = 'MountVolume.SetUp failed for volume "model-config" : configmap "qwen-config" not found'
    world.kubelet.event(pod, "FailedMount", message)
    world.kubelet.containers(pod, {}, phase="Pending")
    assert "qwen-config" in world.becomes("Progressing", "False", "FailedMount")["message"]
    failure(world, reason="FailedMount")
    heals(world)


def test_a_pod_that_the_node_does_not_admit_is_forgotten_when_another_serves(world: World) -> None:
    world.create()
    (pod,) = world.scheduled(1)
    world.kubelet.refuse(pod, "UnexpectedAdmissionError", "Allocate failed due to no healthy devices present")
    assert "healthy devices" in world.becomes("Progressing", "False", "UnexpectedAdmissionError")["message"]
    world.kubelet.logs.clear()
    heals(world)
    left = {body["metadata"]["name"] for body in world.api.items(kinds.POD, world.namespace)}
    assert pod["metadata"]["name"] in left, "Kubernetes keeps the failed pod, and it is no failure any more"


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ConfigMissing", "no config.json for Qwen/Qwen3-32B-FP8-dynamic"),
        ("ConfigInvalid", "config.json: hidden_size must be a number between 1 and 1048576, not -4096"),
    ],
)
def test_a_model_without_a_config_that_can_be_used(world: World, reason: str, message: str) -> None:
    world.create()
    world.serve(1, report(state="NoPlan", reason=reason, message=message, problems=0, tuned=0, rows=0, source="None"))
    assert message in world.becomes("ConfigValid", "False", reason)["message"]
    world.shows(Tuned=reason, Ready="ServingUntuned")
    world.change({"model": {"configMapRef": {"name": "qwen-config"}}})
    heals(world)
    assert "qwen-config" in str(world.deployment()["spec"]["template"])


def test_a_contract_variable_set_by_the_user(world: World) -> None:
    world.create(server={"env": [{"name": "HIP_ONLINE_TUNING", "value": "0"}]})
    found = world.becomes("ConfigValid", "False", "ConflictingEnv")
    assert "HIP_ONLINE_TUNING=0" in found["message"]
    env = world.deployment()["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [entry["value"] for entry in env if entry["name"] == "HIP_ONLINE_TUNING"] == ["0"]
    world.serve(1, report(state="Disabled", reason="ConflictingEnv", hipbmm=False, tuned=0, rows=0))
    world.shows(Tuned="ConflictingEnv", Ready="ServingUntuned")
    world.change({"server": {"env": []}})
    heals(world)


def test_arguments_against_fields(world: World) -> None:
    world.create(server={"args": ["--tensor-parallel-size=4"]})
    found = world.becomes("ConfigValid", "False", "ConflictingArgs")
    assert "--tensor-parallel-size 4" in found["message"]
    world.becomes("Ready", "False", "ConflictingArgs")
    assert world.api.find(kinds.DEPLOYMENT, world.namespace, "qwen") is None
    world.change({"parallelism": {"tensor": 4}})
    world.becomes("ConfigValid", "True")
    assert world.deployment()["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["amd.com/gpu"] == "4"
    heals(world)
