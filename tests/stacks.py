"""Pods of 16 stacks, and a recipe with everything in it."""

import copy
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]

FOLDER = Path(__file__).parent / "fixtures" / "stacks"
STACKS = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
PROFILE = "qwen"

RECIPE: Json = {
    "format": 1,
    "ready": True,
    "kernel": {"configMap": "hipbmm-kernel-0123456789ab", "sha256": "0123456789abcdef" * 4},
    "mirrors": ["qwen-profile-mirror", "other-mirror"],
    "modes": ["Wrap", "EnvFile"],
    "env": [{"name": "HIPBMM_BUDGET_SECONDS", "value": "180"}, {"name": "HIPBMM_PROFILE", "value": PROFILE}],
    "harvest": {"resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "0", "memory": "0"}}},
}


def pod(stack: str, namespace: str = "default", **labels: str) -> Json:
    """The pod that a stack makes; with labels on it."""
    body: Json = {"apiVersion": "v1", "kind": "Pod", **yaml.safe_load((FOLDER / f"{stack}.yaml").read_text())}
    body["metadata"]["namespace"] = namespace
    body["metadata"]["labels"] |= {name.replace("__", "/").replace("_", "."): text for name, text in labels.items()}
    return body


def asking(stack: str, namespace: str = "default") -> Json:
    """The same with the label that asks for the profile."""
    body = pod(stack, namespace)
    body["metadata"]["labels"]["hipbmm.io/profile"] = PROFILE
    return body


def profile(namespace: str = "default", name: str = PROFILE, spec: Json | None = None, **recipe: object) -> Json:
    """A profile whose status has the recipe; a value of None leaves a field out."""
    wanted = {**copy.deepcopy(RECIPE), **recipe}
    return {
        "apiVersion": "hipbmm.io/v1alpha1",
        "kind": "HipbmmProfile",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec or {},
        "status": {
            "observedGeneration": 1,
            "injection": {key: value for key, value in wanted.items() if value is not None},
        },
    }
