"""Environment of the pod's containers. A user's own value wins, everywhere."""

import json
from collections.abc import Mapping

from hipbmm_operator.api.spec import Spec
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.pods import contract
from hipbmm_operator.resources.server_args import Command

CACHE = f"{contract.HOME}/cache"

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

_DOWNWARD = {
    "HIPBMM_POD_UID": "metadata.uid",
    "HIPBMM_POD_NAME": "metadata.name",
    "HIPBMM_NODE_NAME": "spec.nodeName",
}


def program(spec: Spec, command: Command, *, mirror: bool = False) -> dict[str, str]:
    """The settings of the kernel program that the operator decides; its own defaults stay unset."""
    tuning = spec.tuning
    values = {
        "HIPBMM_MODEL": spec.model.name,
        "HIPBMM_TENSOR_PARALLEL": str(command.tensor),
        "HIPBMM_SERVER_ARGS": json.dumps(list(command.arguments)),
        "HIPBMM_POLICY": tuning.policy,
        "HIPBMM_BUDGET_SECONDS": str(tuning.budget_seconds),
        "HIPBMM_TUNE": "1" if tuning.enabled else "0",
        "HIPBMM_VERIFY": "1" if tuning.verify else "0",
        "HIPBMM_WARMUP_SECONDS": str(spec.server.startup_seconds),
    }
    if mirror:
        values["HIPBMM_MIRROR_LOG"] = "1"
    if spec.model.config_map_ref:
        values["HIPBMM_MODEL_CONFIG"] = contract.MODEL_CONFIG
    if tuning.search != "Online":
        values["HIPBMM_SEARCH"] = tuning.search
    if tuning.linears:
        values["HIPBMM_LINEARS"] = json.dumps([linear.model_dump() for linear in tuning.linears])
    if tuning.tokens:
        values["HIPBMM_TOKENS"] = json.dumps(sorted(tuning.tokens))
    if tuning.retune_token:
        values["HIPBMM_RETUNE_TOKEN"] = tuning.retune_token
    return values


def of_server(spec: Spec, command: Command, *, mirror: bool = False) -> list[Json]:
    """Environment of `warm` and `server`: the same, so that the stack and the plan are those of the server."""
    plain = {**WRITABLE, **_jit(spec), **contract.FLAGS, **program(spec, command, mirror=mirror)}
    return _with_users(spec, [*_values(plain), *_downward(), *_token(spec)])


def of_harvest(spec: Spec, command: Command, *, mirror: bool = False) -> list[Json]:
    """Environment of `harvest`: the program's settings only."""
    plain = {"HOME": CACHE, "USER": "vllm", **program(spec, command, mirror=mirror)}
    users = [entry for entry in _users(spec) if entry["name"].startswith("HIPBMM_")]
    return _merge([*_values(plain), *_downward()], users)


def _with_users(spec: Spec, own: list[Json]) -> list[Json]:
    return _merge(own, _users(spec))


def _users(spec: Spec) -> list[Json]:
    return [entry.model_dump(by_alias=True, exclude_none=True) for entry in spec.server.env]


def _merge(own: list[Json], users: list[Json]) -> list[Json]:
    """Own entries that the user does not set, sorted; then the user's, in order (they may refer to earlier ones)."""
    taken = {entry["name"] for entry in users}
    return [*sorted((entry for entry in own if entry["name"] not in taken), key=lambda entry: entry["name"]), *users]


def _values(plain: Mapping[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in plain.items()]


def _downward() -> list[Json]:
    return [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in _DOWNWARD.items()]


def _token(spec: Spec) -> list[Json]:
    reference = spec.model.token_secret_ref
    if reference is None:
        return []
    return [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": reference.name, "key": reference.key}}}]


def _jit(spec: Spec) -> dict[str, str]:
    """AITER's build directory, where the image's own cannot be written; elsewhere its prebuilt modules are used."""
    pod = spec.pod_template.spec
    server = pod.containers[0].security_context if pod.containers else None
    restricted = (
        (pod.security_context and (pod.security_context.run_as_user or pod.security_context.run_as_non_root))
        or (server and (server.run_as_user or server.run_as_non_root))
        or (server and server.read_only_root_filesystem)
    )
    return {"AITER_JIT_DIR": f"{CACHE}/aiter"} if restricted else {}
