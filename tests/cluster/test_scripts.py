"""What scripts and tools get: `kubectl wait` and `kubectl get`, as the pages print them."""

import subprocess

import pytest
from tests.cluster import kstatus
from tests.cluster.api import until
from tests.cluster.conftest import Cluster
from tests.cluster.kubelet import crashed, ended, report, waiting
from tests.cluster.test_bad_days_server import server
from tests.cluster.test_rollouts import new_pods, settle
from tests.cluster.world import World

from localkube.builder import tool
from localkube.console import Console

_AT_ONCE = 3
"""Seconds: so short that nothing comes about meanwhile, and enough for an answer."""


class Shell:
    """kubectl on the cluster under test."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._prefix = [str(tool("kubectl", Console())), "--kubeconfig", str(cluster.kubeconfig), "-n", namespace]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*self._prefix, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    def done(self, world: World) -> bool:
        """Whether kstatus, and with it Flux, takes the resource for done."""
        return kstatus.compute(world.resource()) == "Current"

    def ready(self, seconds: int = 240) -> bool:
        """The command of docs/operations.md; with `_AT_ONCE` whether it ends well now."""
        done = self.run("wait", "--for=condition=Ready", "hbd/qwen", f"--timeout={seconds}s")
        assert done.returncode == 0 or "timed out" in done.stderr, done.stderr
        return done.returncode == 0

    def shows(self, **wanted: str) -> None:
        """Wait until the columns of `kubectl get` have these words."""
        until(f"columns {wanted}", lambda: wanted.items() <= self.columns().items())

    def columns(self) -> dict[str, str]:
        """`kubectl get` without options, by column; nothing when it did not come through."""
        done = self.run("get", "hbd", "qwen")
        if done.returncode:
            return {}
        header, line = done.stdout.splitlines()
        starts = [header.index(word) for word in header.split()]
        parts = [line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
        return dict(zip(header.split(), parts, strict=True))


@pytest.fixture
def shell(cluster: Cluster, world: World) -> Shell:
    return Shell(cluster, world.namespace)


def test_kubectl_wait_gets_no_success_for_a_rollout_that_has_not_come_through(world: World, shell: Shell) -> None:
    assert kstatus.compute(world.create()) == "InProgress", "before the operator has seen it"
    world.serve(1)
    world.becomes("Ready", "True")
    assert shell.ready()
    assert shell.done(world)
    (old,) = world.scheduled(1)
    assert kstatus.compute(world.change({"image": "registry.example/vllm:broken"})) == "InProgress", "at once"
    assert not shell.ready(_AT_ONCE), "at once, when the operator may not have seen the change"
    (new,) = until("the new pod", lambda: new_pods(world, [old]))
    assert not shell.ready(_AT_ONCE), "while it moves"
    assert not shell.done(world)
    world.kubelet.containers(
        new, {"payload": ended(0), "warm": waiting("ErrImagePull", "manifest unknown")}, phase="Pending"
    )
    world.becomes("Progressing", "False", "ImageNotFound")
    assert not shell.ready(_AT_ONCE), "when it has failed"
    assert not shell.done(world)
    shell.shows(READY="False", REASON="ServingPreviousRevision", PHASE="Degraded")
    world.change({"image": "registry.example/vllm:2"})
    (good,) = until("a pod that works", lambda: new_pods(world, [old, new]))
    world.kubelet.serving(good, report())
    assert shell.ready()
    assert shell.done(world)
    shell.shows(READY="True", REASON="AllReplicasWarm")


def test_what_nobody_but_the_user_can_mend_has_failed(world: World, shell: Shell) -> None:
    """By kstatus, with no snippet: else Flux and Helm would wait for it to their timeout."""
    settle(world)
    world.change({"server": {"args": ["--uds", "/tmp/server"]}})  # noqa: S108
    world.becomes("ConfigValid", "False", "ConflictingArgs")
    assert kstatus.compute(world.resource()) == "Failed"
    assert shell.run("wait", "--for=condition=Stalled", "hbd/qwen", "--timeout=120s").returncode == 0
    world.change({"server": {"args": []}})
    world.becomes("Ready", "True", "AllReplicasWarm")
    assert shell.done(world)
    world.shows(Stalled=None, Ready="True")


def test_kubectl_get_shows_how_far_a_recovery_and_a_retuning_are(world: World, shell: Shell) -> None:
    line = "hipbmm progress phase=Tuning tuned={} problems=204 failed=0 elapsed_s=12 eta_s=40\n"
    world.create()
    dead = server(world, crashed(1, "boom", restarts=4))
    shell.shows(REASON="ServerCrashed", PHASE="Failed")
    world.change({"image": "registry.example/vllm:2"})
    (recovering,) = until("the new pod", lambda: new_pods(world, [dead]))
    world.kubelet.warming(recovering, line.format(41))
    shell.shows(READY="False", REASON="Tuning", PHASE="Tuning", TUNED="41/204")
    world.kubelet.serving(recovering)
    world.becomes("Ready", "True", "AllReplicasWarm")
    world.change({"tuning": {"retuneToken": "again"}})
    (retuning,) = until("the pod that tunes again", lambda: new_pods(world, [dead, recovering]))
    world.kubelet.warming(retuning, line.format(7))
    shell.shows(READY="Unknown", REASON="RollingOut", PHASE="Updating", TUNED="7/204")


def test_kubectl_wait_ends_for_what_is_meant_to_run_nowhere(world: World, shell: Shell) -> None:
    settle(world)
    for change, reason in (({"replicas": 0}, "NoReplicasAsked"), ({"replicas": 1, "suspend": True}, "Suspended")):
        world.change(change)
        assert shell.ready()
        assert shell.done(world)
        shell.shows(READY="True", REASON=reason, PHASE="Suspended")


def test_kubectl_get_shows_a_server_that_runs_in_its_own_environment_only(world: World, shell: Shell) -> None:
    world.create()
    pod = server(world, crashed(1, "boom", restarts=4))
    world.becomes("Ready", "False", "ServerCrashed")
    shell.shows(REASON="ServerCrashed")
    world.kubelet.serving(pod, mode="NoAiter: the server ended 4 times soon after its start, also without HIPBMM")
    world.becomes("Warm", "False", "ServingWithoutAiter")
    world.becomes("Ready", "True", "ServingUntuned")
    shell.shows(READY="True", REASON="ServingUntuned", WARM="0/1")
