"""Bad days on a real node: several small resources are broken at once, checked, mended, and checked again."""

import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.ptpc import PTPC

from demo import checks, view, wait
from demo.cluster import Cluster
from demo.failure import DemoError
from demo.kubectl import Kubectl

Json = dict[str, Any]

SHOWN_WITHIN = 300.0
HEALED_WITHIN = 360.0
"""Seconds, generous: simulated GPUs compute on a CPU that others use as well. A quiet machine needs a tenth."""

SEED = "seed"
CONFIG = "small-config"
STORE = "small-store"
SMALL_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "num_hidden_layers": 2,
    "vocab_size": 1000,
    "torch_dtype": "bfloat16",
    "quantization_config": PTPC,
}


def nothing(_: Kubectl) -> None:
    """No other object is broken or mended."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is wrong with a healthy resource, where and in which words it must show, and what else mends it.

    `broken` is merged into the spec, and taken out again to mend it unless `reapply` is false. `arrange` and `mend` do
    what has to be done to other objects. `serves`: the resource is Ready in spite of its
    fault; None when that is not checked.
    """

    name: str
    kind: str
    reason: str
    words: str = ""
    broken: Json | None = None
    arrange: Callable[[Kubectl], None] = nothing
    mend: Callable[[Kubectl], None] = nothing
    mended: Json | None = None
    reapply: bool = True
    serves: bool | None = False


def faults(text: str, *more: tuple[str, str]) -> Json:
    """Failures that the simulator makes in the tuner and in the server."""
    pairs = [("HIPBMM_SIM_FAULTS", text), *more]
    return {"server": {"env": [{"name": name, "value": value} for name, value in pairs if value]}}


def tuned_alone(name: str, broken: Json, **tuning: object) -> Json:
    """The same with rows of its own: what others have tuned is not used."""
    return merged(broken, {"tuning": {"retuneToken": name, **tuning}})


def merged(base: Json, change: Json) -> Json:
    """A JSON merge patch."""
    out = copy.deepcopy(base)
    for key, value in change.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return {key: value for key, value in out.items() if value is not None}


def healthy(image: str, name: str) -> Json:
    """A resource that is tuned and serves in seconds."""
    return {
        "apiVersion": "hipbmm.io/v1alpha1",
        "kind": "HipbmmDeployment",
        "metadata": {"name": name},
        "spec": {
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            # Where the operator mounts the ConfigMap: the simulated server reads the config, too.
            "model": {"name": "/hipbmm/model-config", "configMapRef": {"name": CONFIG}},
            "server": {"args": ["--max-num-seqs", "4"], "startupSeconds": 300, "gracePeriodSeconds": 2},
            "tuning": {"tokens": [1, 2, 4], "budgetSeconds": 600, "retuneToken": ""},
            "gpu": {"products": ["MI300X"]},
            "cache": {"pvc": {"claimName": STORE}},
            # No second GPU is needed for the mended pod, so that several resources share the node.
            "rollout": {"strategy": "Recreate"},
        },
    }


class Wave:
    """Cases that run at the same time in one namespace. With the seed at most eight: the node has eight GPUs."""

    def __init__(self, cluster: Cluster, kubectl: Kubectl, cases: Sequence[Case], *, seed: bool = True) -> None:
        self.kubectl = kubectl
        self._seed = seed
        self._image = cluster.serving_image
        self._cases = cases
        self._until = 0.0
        self._mended = False

    def start(self) -> None:
        """Break everything. The seed tunes meanwhile, so that what is mended later only has to load its rows."""
        self._until = time.monotonic() + SHOWN_WITHIN
        if self._seed:
            self.kubectl.apply(healthy(self._image, SEED))
        for case in self._cases:
            case.arrange(self.kubectl)
            self.kubectl.apply(self._resource(case, broken=True))

    def resource(self, case: Case) -> Json:
        """As it is now."""
        return self.kubectl.get("hipbmmdeployment", case.name)

    def shows(self, case: Case) -> Json:
        """The condition with the case's own reason; the resource then is Ready exactly when the case serves."""

        def shown() -> Json | None:
            resource = self.resource(case)
            condition = view.condition(resource, case.kind)
            same = (condition.get("status"), condition.get("reason")) == ("False", case.reason)
            right = same and case.words in condition.get("message", "")
            ready = view.condition(resource, "Ready").get("status") == "True"
            return condition if right and case.serves in (None, ready) else None

        try:
            return wait.until(f"{case.name}: {case.kind}=False, {case.reason}", shown, self._left())
        except DemoError as error:
            raise AssertionError(f"{error}\n{view.evidence(self.kubectl, case.name)}") from None

    def mend(self) -> None:
        """Put everything right; once."""
        if self._mended:
            return
        self._mended = True
        self._until = time.monotonic() + HEALED_WITHIN
        if self._seed:
            view.watch(self.kubectl, SEED, checks.settled, HEALED_WITHIN)
        for case in self._cases:
            case.mend(self.kubectl)
            if case.reapply:
                self.kubectl.apply(self._resource(case, broken=False))

    def heals(self, case: Case) -> Json:
        """Ready, tuned and warm, with nothing left of the fault."""
        self.mend()

        def well() -> Json | None:
            resource = self.resource(case)
            left = resource.get("status", {}).get("failures")
            states = {entry["type"]: entry["status"] for entry in resource.get("status", {}).get("conditions", [])}
            fine = checks.settled(resource) and not left and set(states.values()) == {"True"}
            return resource if fine else None

        try:
            return wait.until(f"{case.name} heals", well, self._left())
        except DemoError as error:
            raise AssertionError(f"{error}\n{view.evidence(self.kubectl, case.name)}") from None

    def _left(self) -> float:
        """The cases share one limit: when all fail, that costs it once."""
        return max(1.0, self._until - time.monotonic())

    def _resource(self, case: Case, *, broken: bool) -> Json:
        good = healthy(self._image, case.name)
        change = case.broken or {}
        token = change.get("tuning", {}).get("retuneToken", "")
        kept = merged(good["spec"], {"tuning": {"retuneToken": token}})
        return {**good, "spec": merged(kept, change if broken else case.mended or {})}


def furnish(kubectl: Kubectl) -> None:
    """The model's config, and the volume that the resources of a namespace share."""
    config_map(kubectl, CONFIG, SMALL_CONFIG)


def config_map(kubectl: Kubectl, name: str, config: Json) -> None:
    """A config.json as a ConfigMap."""
    data = {"config.json": json.dumps(config)}
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


def secret(kubectl: Kubectl, name: str, data: dict[str, str]) -> None:
    """A Secret of texts."""
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
