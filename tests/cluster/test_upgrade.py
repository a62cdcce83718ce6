"""Another version of the operator takes over live resources: no pod template changes, no pod restarts."""

import shutil
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from tests.cluster.api import until
from tests.cluster.faults.rig import Rig
from tests.cluster.operator_process import ROOT, SOURCE, Program
from tests.cluster.world import World

from hipbmm_operator.kube import kinds

pytestmark = pytest.mark.timeout(240)


def git(*arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"there is no former version here: {done.stderr.decode().strip()}")
    return done.stdout


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """The operator of the last release, or of the previous commit when there is none."""
    tags = git("tag", "--list", "v*", "--sort=-creatordate").decode().split()
    with tarfile.open(fileobj=BytesIO(git("archive", tags[0] if tags else "HEAD~1", "operator"))) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "operator"


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


def living(world: World) -> tuple[object, object]:
    """What a restart of a pod would change."""
    pods = world.api.items(kinds.POD, world.namespace)
    restarts = [status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"]]
    return world.deployment()["spec"]["template"], sorted(
        [(pod["metadata"]["uid"]) for pod in pods] + restarts, key=str
    )


def serving(world: World) -> None:
    world.create(replicas=2)
    world.serve(1)
    world.serve(2)
    world.becomes("Ready", "True", "AllReplicasWarm")


def test_an_upgrade_from_the_former_version_touches_no_pod(one: Rig, former: Path) -> None:
    old = one.start(Program(source=former))
    serving(one.world)
    before = living(one.world)
    assert old.stop() == 0
    new = one.start()
    one.world.change({"service": {"port": 8081}})
    until("the new one to work", lambda: _port(one.world) == 8081)
    one.world.becomes("Ready", "True", "AllReplicasWarm")
    assert living(one.world) == before
    assert new.defects() == []
    assert new.stop() == 0
    # And back, as after a rollback of the release.
    old.start()
    one.world.change({"service": {"port": 8082}})
    until("the old one to work", lambda: _port(one.world) == 8082)
    assert living(one.world) == before


def _port(world: World) -> int:
    return int(world.api.get(kinds.SERVICE, world.namespace, "qwen")["spec"]["ports"][0]["port"])


def test_a_default_that_changed_is_shown_as_outdated_and_rolls_nothing(one: Rig, later: Path) -> None:
    old = one.start()
    serving(one.world)
    before = living(one.world)
    assert one.world.status()["revision"]["outdated"] is False
    assert old.stop() == 0
    new = one.start(Program(source=later))
    one.world.until("outdated", lambda status: status["revision"]["outdated"])
    one.world.change({"service": {"port": 8081}})
    until("the new one to work", lambda: _port(one.world) == 8081)
    assert living(one.world) == before
    annotation = {"metadata": {"annotations": {"hipbmm.io/roll-forward": "1"}}}
    one.world.api.merge(kinds.HIPBMM_DEPLOYMENT, one.name, "qwen", annotation)
    one.world.until("the new revision", lambda status: not status["revision"]["outdated"])
    assert one.world.deployment()["spec"]["template"] != before[0]
    assert new.defects() == []
