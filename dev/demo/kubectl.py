"""kubectl as a value: one kubeconfig, JSON in and out, errors with kubectl's own words."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from demo.failure import DemoError

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kubectl:
    """A kubectl binary bound to a kubeconfig and a namespace."""

    binary: str
    kubeconfig: str
    namespace: str = "default"

    def within(self, namespace: str) -> "Kubectl":
        """The same cluster, another namespace."""
        return Kubectl(self.binary, self.kubeconfig, namespace)

    def run(self, *args: str, stdin: str | None = None, timeout: float = 300.0) -> str:
        """Run kubectl; its standard output. Raises DemoError with its standard error."""
        done = self.attempt(*args, stdin=stdin, timeout=timeout)
        if done.returncode:
            raise DemoError(f"kubectl {' '.join(args)} ended with {done.returncode}", done.stderr)
        return done.stdout

    def attempt(self, *args: str, stdin: str | None = None, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run kubectl and give what came of it, whatever it was."""
        return subprocess.run(
            [self.binary, "--kubeconfig", self.kubeconfig, "--namespace", self.namespace, *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=environment(),
        )

    def get(self, *args: str) -> Json:
        """`kubectl get ... -o json`; raises DemoError when the object is not there."""
        answer: Json = json.loads(self.run("get", *args, "-o", "json"))
        return answer

    def find(self, *args: str) -> Json | None:
        """`kubectl get ... -o json --ignore-not-found`; None when the object is not there."""
        text = self.run("get", *args, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def items(self, *args: str) -> list[Json]:
        """The items of a list."""
        items: list[Json] = self.get(*args)["items"]
        return items

    def apply(self, manifest: str | Mapping[str, Any]) -> None:
        """Server-side apply of a YAML text or one object."""
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        self.run("apply", "--server-side", "--field-manager", "demo", "-f", "-", stdin=text)


def environment() -> dict[str, str]:
    """Our environment without another cluster's KUBECONFIG: the flag names the cluster."""
    return {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
