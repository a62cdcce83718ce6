"""Environment of the pod's containers. A user's own value wins, everywhere."""

import json
import re
from collections.abc import Collection, Mapping

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.pods import contract
from hipbmm_operator.pods.contract import CACHE
from hipbmm_operator.resources import volumes
from hipbmm_operator.resources.server_args import Command

WRITABLE: Mapping[str, str] = {
    "HOME": CACHE,
    "USER": "vllm",
    "HF_HOME": f"{CACHE}/huggingface",
    "XDG_CACHE_HOME": f"{CACHE}/xdg",
    "TRITON_CACHE_DIR": f"{CACHE}/triton",
    "TORCHINDUCTOR_CACHE_DIR": f"{CACHE}/inductor",
    "VLLM_CACHE_ROOT": f"{CACHE}/vllm",
}
"""Caches go to an emptyDir, so that any user and a read-only root file system work (vllm#44548: torch needs USER)."""
_OLD_HUB = "HUGGINGFACE_HUB_CACHE"
_OF_MODELS = ("HF_HUB_CACHE", "MODELSCOPE_CACHE")
CACHES = frozenset({*WRITABLE, *_OF_MODELS, _OLD_HUB})
"""Variables of which the operator leaves out, or derives, what a user gives by `envFrom`."""
_HUGGING_FACE = re.compile(r"\.?(?:hf|hugging[-_]?face)(?:[-_]?(?:home|cache|hub))?", re.IGNORECASE)
"""Names that people give to a cache of the Hugging Face hub."""
_POD_UID: Json = {"name": "HIPBMM_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
_NODE_NAME: Json = {"name": "HIPBMM_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
"""A veto binds other nodes once a second node has confirmed it, so `warm` says on which node it ran."""


def program(spec: Spec, command: Command, *, mirror: bool = False) -> dict[str, str]:
    """The settings of the kernel program that the operator decides."""
    tuning = spec.tuning
    values = {
        "HIPBMM_MODEL": spec.model.name,
        "HIPBMM_TENSOR_PARALLEL": str(command.tensor),
        # `$$`: Kubernetes would put variables in here, whose values need not be JSON; the program does it.
        "HIPBMM_SERVER_ARGS": json.dumps(list(command.arguments)).replace("$", "$$"),
        "HIPBMM_POLICY": tuning.policy,
        "HIPBMM_BUDGET_SECONDS": str(tuning.budget_seconds),
        "HIPBMM_TUNE": "1" if tuning.enabled else "0",
        "HIPBMM_VERIFY": "1" if tuning.verify else "0",
        "HIPBMM_SEARCH": tuning.search,
        "HIPBMM_WARMUP_SECONDS": str(spec.server.startup_seconds),
        "HIPBMM_DISPATCH": spec.server.dispatch,
        "HIPBMM_PLUGIN": "1" if spec.server.plugin else "",
        "HIPBMM_MIRROR_LOG": "1" if mirror else "",
        "HIPBMM_MODEL_CONFIG": contract.MODEL_CONFIG if spec.model.config_map_ref else "",
        "HIPBMM_LINEARS": json.dumps([linear.model_dump() for linear in tuning.linears]) if tuning.linears else "",
        "HIPBMM_TOKENS": json.dumps(sorted(tuning.tokens)) if tuning.tokens else "",
        "HIPBMM_RETUNE_TOKEN": tuning.retune_token,
    }
    return {name: value for name, value in values.items() if value}


def of_warm(spec: Spec, command: Command, *, mirror: bool = False, given: frozenset[str] = frozenset()) -> list[Json]:
    """Environment of `warm`: that of the server, so that the stack and the plan are the server's, and its pod."""
    return _merge([*_of_serving(spec, command, given, mirror=mirror), _POD_UID, _NODE_NAME], _users(spec))


def of_server(spec: Spec, command: Command, *, mirror: bool = False, given: frozenset[str] = frozenset()) -> list[Json]:
    """Environment of `server`. A cache that is `given` by `envFrom`, over which `env` would win, is left out."""
    return _merge(_of_serving(spec, command, given, mirror=mirror), _users(spec))


def _of_serving(spec: Spec, command: Command, given: frozenset[str], *, mirror: bool) -> list[Json]:
    # Not what is the program's own default: the template is in each ReplicaSet, revision and pod.
    wanted = program(spec, command, mirror=mirror)
    settings = {name: value for name, value in wanted.items() if contract.DEFAULTS.get(name) != value}
    flags = sorted(contract.FLAGS.keys() & {entry.name for entry in spec.server.env})
    if flags:
        settings["HIPBMM_USER_FLAGS"] = ",".join(flags)
    derived = _derived(spec, given)
    caches = {name: path for name, path in WRITABLE.items() if name not in derived} | _mounted_caches(spec, given)
    caches = {name: path for name, path in caches.items() if name not in given}
    return [*_values({**caches, **contract.FLAGS, **settings}), *_token(spec)]


def _derived(spec: Spec, given: frozenset[str]) -> Collection[str]:
    """Caches that follow from a variable of the user's, as the libraries derive them."""
    values = {entry.name: entry.value or "" for entry in spec.server.env}
    if "XDG_CACHE_HOME" in values or "XDG_CACHE_HOME" in given:
        return ("HF_HOME", "VLLM_CACHE_ROOT")
    writable = set(volumes.users_paths(spec)) - volumes.read_only_paths(spec)
    mounted = any(f"{values.get('HOME', '')}/".startswith(f"{path}/") for path in writable)
    # A home that is mounted is meant to hold the caches; any other one may be read-only.
    return ("XDG_CACHE_HOME", "HF_HOME", "VLLM_CACHE_ROOT", "TRITON_CACHE_DIR") if mounted else ()


def of_harvest(spec: Spec, *, mirror: bool = False) -> list[Json]:
    """Environment of `harvest`: what the program needs to publish rows; `warm` leaves it the rest in files."""
    plain = {"HOME": CACHE, "USER": "vllm"}
    if mirror:
        plain["HIPBMM_MIRROR_LOG"] = "1"
    if spec.tuning.retune_token:
        plain["HIPBMM_RETUNE_TOKEN"] = spec.tuning.retune_token
    users = [entry for entry in _users(spec) if entry["name"].startswith("HIPBMM_")]
    return _merge([*_values(plain), _POD_UID], users)


def _mounted_caches(spec: Spec, given: frozenset[str]) -> dict[str, str]:
    """Caches that the user has mounted where an image keeps them, or by a name that says what they are.

    Without this they would be mounted and not used, and every pod would download the model again. Where nobody can
    write, only models are looked for: code of a model (HF_HOME/modules) and compiled kernels have to be written.
    """
    found: dict[str, str] = {}
    read_only = volumes.read_only_paths(spec)
    for path in sorted(volumes.users_paths(spec), key=len):
        caches = _caches_at(path)
        if path in read_only:
            home = caches.get("HF_HOME")
            models = {"HF_HUB_CACHE": f"{home}/hub"} if home else {}
            caches = {**models, **{name: at for name, at in caches.items() if name in _OF_MODELS}}
        found |= caches
    if _OLD_HUB in given or any(entry.name == _OLD_HUB for entry in spec.server.env):
        found.pop("HF_HUB_CACHE", None)  # the newer name, which would win over the user's
    return found


def _caches_at(path: str) -> dict[str, str]:
    parent, _, last = path.rpartition("/")
    if last == ".cache":
        models = {"HF_HOME": f"{path}/huggingface", "MODELSCOPE_CACHE": f"{path}/modelscope/hub"}
        return {"XDG_CACHE_HOME": path, "VLLM_CACHE_ROOT": f"{path}/vllm", **models}
    found: dict[str, str] = {}
    if last == "hub" and _HUGGING_FACE.fullmatch(parent.rpartition("/")[2]):
        found["HF_HUB_CACHE"] = path
    elif _HUGGING_FACE.fullmatch(last):
        found["HF_HOME"] = path
    elif path == "/root" or parent == "/home":
        found["HF_HOME"] = f"{path}/.cache/huggingface"
    elif path.endswith(("/.cache/modelscope", "/.cache/modelscope/hub")):
        found["MODELSCOPE_CACHE"] = f"{path.removesuffix('/hub')}/hub"
    elif path.endswith("/.cache/vllm"):
        found["VLLM_CACHE_ROOT"] = path
    elif path.endswith(("/.triton", "/.triton/cache")):
        found["TRITON_CACHE_DIR"] = f"{path.removesuffix('/cache')}/cache"
    return found


def _users(spec: Spec) -> list[Json]:
    return [entry.body() for entry in spec.server.env]


def _merge(own: list[Json], users: list[Json]) -> list[Json]:
    """Own entries that the user does not set, sorted; then the user's, in order (they may refer to earlier ones)."""
    taken = {entry["name"] for entry in users}
    return [*sorted((entry for entry in own if entry["name"] not in taken), key=lambda entry: entry["name"]), *users]


def _values(plain: Mapping[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in plain.items()]


def _token(spec: Spec) -> list[Json]:
    reference = spec.model.token_secret_ref
    if reference is None:
        return []
    return [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": reference.name, "key": reference.key}}}]
