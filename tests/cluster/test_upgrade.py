"""Another version of the operator takes over live resources: no pod template changes, no pod restarts."""

import json
import shutil
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.api import until
from tests.cluster.faults.rig import Rig
from tests.cluster.operator_process import ROOT, SOURCE, Program
from tests.cluster.world import World

from hipbmm_operator.kube import kinds, names

Json = dict[str, Any]
EVERY_LABEL = "2c27fac"
"""The last operator whose templates had the affinity terms of every kind of node label: 24 kB of them."""
STORED = Path(__file__).parent / "former" / f"{EVERY_LABEL}.json"
"""What it made of the small resource, as the API server stored it: for a copy of the project without its history."""
CHILDREN = (kinds.CLAIM, kinds.CONTROLLER_REVISION, kinds.DEPLOYMENT)


def unpacked(version: str, into: Path) -> Path:
    """The operator of a version, from the history."""
    done = subprocess.run(["git", "-C", str(ROOT), "archive", version, "operator"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"the history has no {version}: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(into, filter="data")
    return into / "operator"


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """The operator of the last release, or of the previous commit when there is none."""
    told = subprocess.run(
        ["git", "-C", str(ROOT), "tag", "--list", "v*", "--sort=-creatordate"], capture_output=True, check=False
    )
    return unpacked(next(iter(told.stdout.decode().split()), "HEAD~1"), tmp_path)


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """This operator with another default, as a later version might have."""
    shutil.copytree(SOURCE, tmp_path / "later")
    spec = tmp_path / "later" / "hipbmm_operator" / "api" / "spec.py"
    before = spec.read_text()
    head = "    startup_seconds: int = Field(\n        "
    changed = before.replace(f"{head}1800,", f"{head}1700,")
    assert changed != before
    spec.write_text(changed)
    return tmp_path / "later"


def living(world: World) -> Json:
    """What a restart of a pod would change: the template, its hash on the pods, the pods, their restarts."""
    pods = sorted(world.api.items(kinds.POD, world.namespace), key=lambda pod: str(pod["metadata"]["uid"]))
    return {
        "template": world.deployment()["spec"]["template"],
        "hashes": [pod["metadata"]["labels"]["pod-template-hash"] for pod in pods],
        "uids": [pod["metadata"]["uid"] for pod in pods],
        "restarts": [status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"]],
    }


def serving(world: World) -> None:
    world.create(replicas=2)
    world.serve(1)
    world.serve(2)
    world.becomes("Ready", "True", "AllReplicasWarm")


def works(world: World, port: int) -> None:
    """An operator that has taken over does what it is asked."""
    world.change({"service": {"port": port}})

    def changed() -> bool:
        service = world.api.find(kinds.SERVICE, world.namespace, world.name)
        return service is not None and service["spec"]["ports"][0]["port"] == port

    until("the change", changed)
    world.becomes("Ready", "True", "AllReplicasWarm")


def roll_forward(world: World) -> Json:
    """Ask for this operator's template; the Deployment's new one."""
    before = world.deployment()["spec"]["template"]
    annotation = {"metadata": {"annotations": {names.ANNOTATION_ROLL_FORWARD: "1"}}}
    world.api.merge(kinds.HIPBMM_DEPLOYMENT, world.namespace, world.name, annotation)
    world.until("the new revision", lambda status: not status["revision"]["outdated"])

    def rolled() -> Json | None:
        """The status may say so before the Deployment has it."""
        template = world.deployment()["spec"]["template"]
        return template if template != before else None

    return until("the new template", rolled)


def terms(template: Json) -> list[Json]:
    node = template["spec"]["affinity"]["nodeAffinity"]
    return list(node["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"])


def taken_over(one: Rig, before: Json) -> None:
    """This operator keeps a template with the terms of every kind of label, and says so, until it is told otherwise."""
    assert len(terms(before["template"])) > 70
    new = one.start()
    one.world.until("outdated", lambda status: status["revision"]["outdated"])
    works(one.world, 8081)
    assert living(one.world) == before
    one.world.until("the nodes", lambda status: status["hardware"]["nodes"] > 0)
    one.world.change({"replicas": 3})
    one.world.serve(3)
    one.world.becomes("Ready", "True", "AllReplicasWarm")
    assert living(one.world)["template"] == before["template"]
    assert set(living(one.world)["hashes"]) == set(before["hashes"])
    assert len(terms(roll_forward(one.world))) < 10
    assert new.defects() == []
    assert new.stop() == 0


def test_an_upgrade_from_the_former_version_touches_no_pod(one: Rig, released: Path) -> None:
    old = one.start(Program(source=released))
    serving(one.world)
    before = living(one.world)
    assert old.stop() == 0
    new = one.start()
    works(one.world, 8081)
    assert living(one.world) == before
    assert new.defects() == []
    assert new.stop() == 0
    # And back, as after a rollback of the release.
    old.start()
    works(one.world, 8082)
    assert living(one.world) == before


def test_an_upgrade_from_the_operator_with_terms_of_every_label(one: Rig, tmp_path: Path) -> None:
    old = one.start(Program(source=unpacked(EVERY_LABEL, tmp_path)))
    serving(one.world)
    before = living(one.world)
    assert old.stop() == 0
    taken_over(one, before)


def test_a_stored_revision_with_terms_of_every_label_is_used_as_it_is(one: Rig) -> None:
    owner = one.world.create(replicas=2)["metadata"]
    for body in json.loads(STORED.read_text()):
        body["metadata"] |= {"namespace": one.name}
        for reference in body["metadata"].get("ownerReferences", ()):
            reference["uid"] = owner["uid"]
        one.world.api.create(next(kind for kind in CHILDREN if kind.kind == body["kind"]), body)
    one.world.serve(2)
    taken_over(one, living(one.world))


def test_a_default_that_changed_is_shown_as_outdated_and_rolls_nothing(one: Rig, later: Path) -> None:
    old = one.start()
    serving(one.world)
    before = living(one.world)
    one.world.until("the revision", lambda status: status["revision"]["outdated"] is False)
    assert old.stop() == 0
    new = one.start(Program(source=later))
    one.world.until("outdated", lambda status: status["revision"]["outdated"])
    works(one.world, 8081)
    assert living(one.world) == before
    roll_forward(one.world)
    assert new.defects() == []
