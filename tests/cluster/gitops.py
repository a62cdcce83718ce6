"""A GitOps tool that applies the same manifest over and over, and what the cluster writes meanwhile."""

import time
from pathlib import Path

import yaml
from tests.cluster.api import until
from tests.cluster.audit import WRITES, Audit, at_rest
from tests.cluster.conftest import OPERATOR_USER
from tests.cluster.test_scripts import Shell
from tests.cluster.world import World, resource

from hipbmm_operator.kube import kinds

_ROUNDS = 2
"""Of each half at least, on a machine that is slow."""
_SYNC = ("--server-side", "--field-manager=argocd-controller")


def versions(world: World) -> dict[str, str]:
    """The resource and its children, by resourceVersion; the Deployment by generation, since its status moves."""
    made = (kinds.HIPBMM_DEPLOYMENT, kinds.DEPLOYMENT, kinds.SERVICE, kinds.CLAIM, kinds.CONTROLLER_REVISION)
    found = [(kind, body["metadata"]) for kind in made for body in world.api.items(kind, world.namespace)]
    return {
        f"{kind.kind}/{about['name']}": str(about["generation" if kind == kinds.DEPLOYMENT else "resourceVersion"])
        for kind, about in found
    }


def nothing_is_written(world: World, shell: Shell, audit_log: Path, manifest: Path, seconds: float) -> int:
    """Apply for so long, half of it by client and half by server; how often."""
    manifest.write_text(yaml.safe_dump(resource(world.namespace)))
    assert shell.run("apply", "-f", str(manifest)).returncode == 0
    world.serve(1)
    world.becomes("Ready", "True", "AllReplicasWarm")
    rounds = _applied(world, shell, audit_log, manifest, seconds / 2, ())
    assert shell.run("apply", *_SYNC, "--force-conflicts", "-f", str(manifest)).returncode == 0
    return rounds + _applied(world, shell, audit_log, manifest, seconds / 2, _SYNC)


def _applied(world: World, shell: Shell, audit_log: Path, manifest: Path, seconds: float, how: tuple[str, ...]) -> int:
    world.shows(Ready="AllReplicasWarm", Progressing="RolloutComplete")
    until("no more writes", lambda: at_rest(audit_log, OPERATOR_USER))
    before, audit, rounds = versions(world), Audit(audit_log, OPERATOR_USER), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end or rounds < _ROUNDS:
        for verb in ("apply", "diff"):
            done = shell.run(verb, *how, "-f", str(manifest))
            assert (done.returncode, done.stderr) == (0, ""), (verb, done.stdout, done.stderr)
        rounds += 1
    assert versions(world) == before
    mine = [line for line in audit.requests() if (line.get("objectRef") or {}).get("namespace") == world.namespace]
    assert [line for line in mine if line["verb"] in WRITES] == []
    return rounds
