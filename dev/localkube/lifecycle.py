"""`up` and `down`."""

import shutil
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from localkube import (
    addresses,
    builder,
    files,
    imagestore,
    launcher,
    machine,
    modules,
    namespaces,
    node,
    packages,
    pauseimage,
    processes,
    readiness,
)
from localkube import record as records
from localkube.api import Api
from localkube.component import Component
from localkube.console import Console, elapsed
from localkube.controlplane import ControlPlane
from localkube.errors import LocalkubeError
from localkube.locking import exclusive
from localkube.paths import Layout
from localkube.record import Record
from localkube.supervisor import Spec

_READY_SECONDS = 400.0
"""A quiet machine needs a tenth. Processes that have ended are told at once."""


@dataclass(frozen=True)
class Wish:
    """What the user asked for; None takes what the instance already is, else the default."""

    profile: str | None = None
    kubernetes: str | None = None
    rates: str | None = None


def up(layout: Layout, wish: Wish, console: Console) -> Record:
    """Make the instance run; nothing happens when it does. Returns its record."""
    started = time.monotonic()
    with _locked(layout, console):
        found = records.load(layout.record)
        if "node" in {wish.profile, found.profile if found else None}:
            require_node(console)
        record = agree(found, wish, layout.name) if found else _new_record(layout, wish, console)
        since = 0.0
        if processes.supervisor(layout.root) is None:
            # The API has whole seconds.
            since = float(int(time.time()))
            record = _start(record, layout, console, known=found is not None)
        _wait(record, layout, console, since)
    console.line(
        f"{record.name} is up ({record.profile}, Kubernetes {record.kubernetes}) after "
        f"{elapsed(time.monotonic() - started)}; export KUBECONFIG={layout.kubeconfig}"
    )
    return record


def down(layout: Layout, console: Console, keep: bool = False) -> None:
    """Stop everything; without `keep` the data goes too. An instance that never was is fine."""
    with _locked(layout, console):
        # Where the data goes, nobody needs to save anything.
        processes.stop(layout.root, politely=keep)
        if machine.is_root():
            namespaces.clean(layout)
        if not keep and layout.root.exists():
            shutil.rmtree(layout.root)
    if not keep:
        layout.lock.unlink(missing_ok=True)
    console.line(f"{layout.name} is down" + (", its data is kept" if keep else ""))


def require_node(console: Console) -> None:
    """Whether a node can run here; else an error that names the ways out."""
    if not machine.is_root():
        raise LocalkubeError(
            "the node profile makes namespaces and mounts and so needs root. Ways out: run it as root (sudo -E); "
            "set KUBECONFIG to a cluster that you have; or use --profile control-plane, which has an API server "
            "but runs no pods"
        )
    packages.ensure(packages.NODE, console)


def agree(found: Record, wish: Wish, name: str) -> Record:
    """The existing record, or an error when the wish contradicts it."""
    for asked, has, what in (
        (wish.profile, found.profile, "profile"),
        (wish.kubernetes, found.kubernetes, "Kubernetes version"),
        (wish.rates, found.rates, "rates"),
    ):
        if asked is not None and asked != has:
            raise LocalkubeError(
                f"instance {name} exists with {what} {has}, not {asked}: "
                f"`localkube down --name {name}` removes it, --name makes another one beside it"
            )
    return found


def _locked(layout: Layout, console: Console) -> AbstractContextManager[None]:
    return exclusive(layout.lock, console, f"another process works on {layout.name}; waiting for it")


def _new_record(layout: Layout, wish: Wish, console: Console) -> Record:
    kubernetes = wish.kubernetes or modules.kubernetes_minors()[0]
    modules.kubernetes_module(kubernetes)
    # Saved before the lock is given up, so that two instances never choose the same numbers.
    with exclusive(layout.root.parent / ".allocate.lock", console, "another instance is being made; waiting for it"):
        block = addresses.choose_networks(layout.name, machine.taken_networks(layout)).block
        profile = wish.profile or records.PROFILES[0]
        rates = wish.rates or records.RATES[0]
        record = Record(layout.name, profile, kubernetes, str(block), _free_ports(layout), rates)
        record.save(layout.record)
    return record


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
    processes.stop(layout.root, politely=False)
    if known and record.profile != "node":
        record = _with_free_ports(record, layout, console)
        record.save(layout.record)
    plane = ControlPlane(record, layout, binaries)
    files.write(record, layout, plane)
    components = [*plane.components(), _provisioner(record, layout)]
    setup: list[list[str]] = []
    if record.profile == "node":
        setup, more = _node(record, layout, binaries, console)
        components += more
    launcher.launch(record, layout, Spec(str(layout.root), str(layout.logs), setup, components))
    return record


def _node(
    record: Record, layout: Layout, kubernetes: Path, console: Console
) -> tuple[list[list[str]], list[Component]]:
    """Setup commands and components of the node; its files are written, its mount points made."""
    containerd = builder.binaries(modules.load("containerd"), console)
    coredns = builder.binaries(modules.load("coredns"), console)
    runc = packages.find("runc") or "runc"
    rendered = node.Node(record, layout, kubernetes, containerd, coredns, runc, machine.may_lower_oom_score())
    for path, text in rendered.files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    namespaces.clean(layout)
    kernel_settings = namespaces.prepare(layout)
    return node.setup_commands(record.networks, layout, kernel_settings), rendered.components()


def _provisioner(record: Record, layout: Layout) -> Component:
    argv = (sys.executable, "-m", "localkube.provisioner", record.server, str(layout.pki), str(layout.volumes))
    return Component("provisioner", argv)


def _wait(record: Record, layout: Layout, console: Console, since: float) -> None:
    api = Api(record.server, layout.pki, "admin")

    def alive() -> bool:
        return processes.supervisor(layout.root) is not None

    try:
        readiness.wait(lambda: readiness.api_ready(api), _READY_SECONDS, alive, console)
        readiness.wait(lambda: readiness.accounts_ready(api), _READY_SECONDS, alive, console)
        readiness.ensure_storage_class(api)
        if record.profile == "node":
            imagestore.load(layout, pauseimage.archive(console), console)
            readiness.wait(lambda: readiness.node_ready(api, record.node_name, since), _READY_SECONDS, alive, console)
    except LocalkubeError as error:
        raise LocalkubeError(f"{error}\nlogs: {layout.logs}") from error
