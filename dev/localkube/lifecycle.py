"""`up` and `down`."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from localkube import addresses, builder, files, machine, modules, processes, readiness
from localkube import record as records
from localkube.api import Api
from localkube.component import Component
from localkube.console import Console, elapsed
from localkube.controlplane import ControlPlane
from localkube.errors import LocalkubeError
from localkube.locking import exclusive
from localkube.paths import PACKAGE, Layout
from localkube.record import Record
from localkube.supervisor import COMPONENT_VARIABLE, INSTANCE_VARIABLE, Spec

_READY_SECONDS = 120.0


@dataclass(frozen=True)
class Wish:
    """What the user asked for; None takes what the instance already is, else the default."""

    profile: str | None = None
    kubernetes: str | None = None


def up(layout: Layout, wish: Wish, console: Console) -> Record:
    """Make the instance run; nothing happens when it does. Returns its record."""
    started = time.monotonic()
    with _locked(layout, console):
        found = records.load(layout.record)
        record = agree(found, wish, layout.name) if found else _new_record(layout, wish)
        if processes.supervisor(layout.root) is None:
            record = _start(record, layout, console, known=found is not None)
        _wait(record, layout, console)
    console.line(
        f"{record.name} is up ({record.profile}, Kubernetes {record.kubernetes}) after "
        f"{elapsed(time.monotonic() - started)}; export KUBECONFIG={layout.kubeconfig}"
    )
    return record


def down(layout: Layout, console: Console, keep: bool = False) -> None:
    """Stop everything; without `keep` the data goes too. An instance that never was is fine."""
    with _locked(layout, console):
        processes.stop(layout.root)
        if not keep and layout.root.exists():
            shutil.rmtree(layout.root)
    if not keep:
        layout.lock.unlink(missing_ok=True)
    console.line(f"{layout.name} is down" + (", its data is kept" if keep else ""))


def agree(found: Record, wish: Wish, name: str) -> Record:
    """The existing record, or an error when the wish contradicts it."""
    for asked, has, what in (
        (wish.profile, found.profile, "profile"),
        (wish.kubernetes, found.kubernetes, "Kubernetes version"),
    ):
        if asked is not None and asked != has:
            raise LocalkubeError(
                f"instance {name} exists with {what} {has}, not {asked}: "
                f"`localkube down --name {name}` removes it, --name makes another one beside it"
            )
    return found


def _locked(layout: Layout, console: Console) -> AbstractContextManager[None]:
    return exclusive(layout.lock, console, f"another process works on {layout.name}; waiting for it")


def _new_record(layout: Layout, wish: Wish) -> Record:
    kubernetes = wish.kubernetes or modules.kubernetes_minors()[0]
    modules.kubernetes_module(kubernetes)
    # One creation at a time could still take the same numbers as another that has not saved yet; names spread them.
    block = addresses.choose_networks(layout.name, machine.taken_networks(layout)).block
    return Record(layout.name, wish.profile or records.PROFILES[0], kubernetes, str(block), _free_ports(layout))


def _free_ports(layout: Layout) -> dict[str, int]:
    taken = machine.taken_ports(layout)

    def is_free(port: int) -> bool:
        return port not in taken and machine.port_is_free(port)

    return addresses.choose_ports(layout.name, machine.ephemeral_start(), is_free)


def _with_free_ports(record: Record, layout: Layout, console: Console) -> Record:
    """Another program may have taken a port while we were down; the kubeconfig is written anew then."""
    lost = sorted(role for role, port in record.ports.items() if not machine.port_is_free(port))
    if not lost:
        return record
    console.line(f"ports of {', '.join(lost)} are taken by another program: new ports, and a new {layout.kubeconfig}")
    return replace(record, ports=_free_ports(layout))


def _start(record: Record, layout: Layout, console: Console, known: bool) -> Record:
    binaries = builder.binaries(modules.kubernetes_module(record.kubernetes), console)
    # What survived a kill -9 of the supervisor alone.
    processes.stop(layout.root)
    if known:
        record = _with_free_ports(record, layout, console)
    record.save(layout.record)
    plane = ControlPlane(record, layout, binaries)
    files.write(record, layout, plane)
    components = [*plane.components(), _provisioner(record, layout)]
    spec = Spec(str(layout.root), str(layout.logs), [], components)
    _launch(layout, spec, [])
    return record


def _provisioner(record: Record, layout: Layout) -> Component:
    argv = (sys.executable, "-m", "localkube.provisioner", record.server, str(layout.pki), str(layout.volumes))
    return Component("provisioner", argv)


def _launch(layout: Layout, spec: Spec, prefix: list[str]) -> None:
    path = layout.run / "spec.json"
    spec.save(path)
    env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), INSTANCE_VARIABLE: str(layout.root)}
    env[COMPONENT_VARIABLE] = processes.SUPERVISOR
    with (layout.logs / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "localkube.supervisor", str(path)],
            env=env,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    if process.stdin is None:
        raise LocalkubeError("no pipe to the supervisor")
    process.stdin.write(b"go\n")
    process.stdin.close()
    # It outlives us on purpose; without this the interpreter warns of a child that nobody waited for.
    process.returncode = 0


def _wait(record: Record, layout: Layout, console: Console) -> None:
    api = Api(record.server, layout.pki, "admin")

    def alive() -> bool:
        return processes.supervisor(layout.root) is not None

    try:
        readiness.wait(lambda: readiness.api_ready(api), _READY_SECONDS, alive, console)
        readiness.wait(lambda: readiness.accounts_ready(api), _READY_SECONDS, alive, console)
        readiness.ensure_storage_class(api)
    except LocalkubeError as error:
        raise LocalkubeError(f"{error}\nlogs: {layout.logs}") from error
