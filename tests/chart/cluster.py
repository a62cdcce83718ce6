"""A real API server for the chart tests: an instance of localkube's `control-plane` profile (no node, no root)."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tests.chart.tools import CHART, run, tool
from tests.cluster.api import is_established

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.chart.rendering import Manifest

T = TypeVar("T")

INSTANCE = f"{os.environ.get('HIPBMM_TEST_INSTANCE', 'test')}-chart"
DEADLINE = 400.0
_UNINSTALL = "14m"
"""The garbage collector stands still while CRDs come and go: on a busy machine a release's pod goes minutes later."""
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}


class CommandError(Exception):
    """kubectl or helm ended with an error; the text is its own."""


@dataclass(frozen=True)
class Cluster:
    """kubectl and helm against one API server, as its administrator unless `user` says otherwise."""

    kubeconfig: str

    def kubectl(self, *arguments: str, stdin: str | None = None, user: str = "") -> str:
        """Standard output of kubectl; raises CommandError."""
        identity = ["--as", user, "--as-group", "system:authenticated"] if user else []
        return self._run(tool("kubectl"), "--kubeconfig", self.kubeconfig, *identity, *arguments, stdin=stdin)

    def helm(self, *arguments: str, stdin: str | None = None) -> str:
        """Standard output of helm; raises CommandError."""
        return self._run(tool("helm"), "--kubeconfig", self.kubeconfig, *arguments, stdin=stdin)

    def install(self, namespace: str, values: Manifest | None = None, *flags: str, chart: Path = CHART) -> str:
        """`helm upgrade --install hipbmm-operator`, without waiting: there is no node."""
        arguments = ["upgrade", "--install", "hipbmm-operator", str(chart), "--namespace", namespace, *flags]
        return self.helm(*arguments, "--values", "-", stdin=json.dumps(values or {}))

    def uninstall(self, namespace: str) -> None:
        flags = ("--ignore-not-found", "--wait", "--timeout", _UNINSTALL)
        self.helm("uninstall", "hipbmm-operator", "--namespace", namespace, *flags)

    def get(self, *arguments: str, user: str = "") -> Any:  # noqa: ANN401 (a JSON value)
        """An object, or the list of objects, as JSON."""
        answer = json.loads(self.kubectl("get", *arguments, "-o", "json", user=user))
        return answer["items"] if answer["kind"] == "List" else answer

    def exists(self, *arguments: str) -> bool:
        return bool(self.kubectl("get", *arguments, "--ignore-not-found", "-o", "name").strip())

    def apply(self, manifest: Manifest | str, *flags: str, user: str = "") -> str:
        """Server-side apply."""
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        return self.kubectl("apply", "--server-side", "-f", "-", *flags, stdin=text, user=user)

    def namespace(self, name: str, labels: dict[str, str] | None = None) -> str:
        """Make sure that a namespace exists and has the labels."""
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}})
        return name

    def established(self, crd: str) -> None:
        """Wait until a CRD is served. `kubectl wait` ends with an error where it has no conditions yet."""
        eventually(f"{crd} to be served", lambda: is_established(self.get("crd", crd)))

    def can(self, user: str, verb: str, resource: str, namespace: str | None = None, subresource: str = "") -> bool:
        """Whether a user may; the API server's own answer."""
        place = ["--namespace", namespace] if namespace else ["--all-namespaces"]
        part = ["--subresource", subresource] if subresource else []
        command = [tool("kubectl"), "--kubeconfig", self.kubeconfig, "auth", "can-i", verb, resource, *place, *part]
        answer = run(*command, "--as", user).stdout.strip()
        assert answer in {"yes", "no"}, answer
        return answer == "yes"

    @staticmethod
    def _run(*command: str, stdin: str | None = None) -> str:
        done = run(*command, stdin=stdin)
        if done.returncode != 0:
            raise CommandError(done.stderr)
        return done.stdout


def eventually(what: str, ask: Callable[[], T]) -> T:
    """The first true answer of `ask`; fails with the last one after some minutes."""
    end = time.monotonic() + DEADLINE
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < end, f"{what}: still {answer!r}"
        time.sleep(0.2)
