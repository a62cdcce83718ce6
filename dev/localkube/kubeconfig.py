"""kubeconfig files: JSON, which is YAML."""

import base64
import json
from pathlib import Path


def render(name: str, server: str, pki: Path, user: str) -> str:
    """A kubeconfig that carries its certificates, so that it can be copied; `user` names files in `pki`."""
    context = f"localkube-{name}"

    def data(file: str) -> str:
        return base64.b64encode((pki / file).read_bytes()).decode("ascii")

    credentials = {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")}
    value = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": user}}],
        "current-context": context,
    }
    return json.dumps(value, indent=2) + "\n"
