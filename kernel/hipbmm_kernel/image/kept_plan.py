"""The image's answer in a store (`store/plans.py`): its key, and its file with a digest.

The key is of everything that the answer depends on, and of nothing that differs from pod to pod: two servers with the
same key get the same answer. Files that a command line names count by their content.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence

from hipbmm_kernel.planner import answer
from hipbmm_kernel.planner.answer import Answer, AnswerInvalid
from hipbmm_kernel.store import plans
from hipbmm_kernel.system.digest import canonical, sha256
from hipbmm_kernel.system.files import listed, read_bytes

LENGTH = 16
_MARK = "hipbmm-plan"
_VERSION = 1
MAX_FILE = 4 << 20
MAX_FILES = 256
_PREFIXES = ("VLLM_", "AITER_", "TRANSFORMERS_", "TORCH_COMPILE", "FLASH_ATTENTION_")
_OF_A_POD = (
    "VLLM_API_KEY",
    "VLLM_DP_MASTER_IP",
    "VLLM_DP_MASTER_PORT",
    "VLLM_DP_RANK",
    "VLLM_DP_RANK_LOCAL",
    "VLLM_HOST_IP",
    "VLLM_INSTANCE_ID",
    "VLLM_LOOPBACK_IP",
    "VLLM_NIXL_SIDE_CHANNEL_HOST",
    "VLLM_PORT",
    "VLLM_RPC_BASE_PATH",
)
"""Secrets, and what differs between pods of one Deployment."""
_OF_A_MODEL = (".json", ".py")
_NOT_OF_A_PLAN = ("tokenizer", "vocab", "merges", "special_tokens", "added_tokens", "model.safetensors.index")


def key_of(
    arguments: Sequence[str],
    env: Mapping[str, str],
    config: bytes | None,
    config_path: str,
    image: Mapping[str, object],
) -> str:
    """16 hex digits for a server with these arguments in an image.

    `config` are the bytes of config.json, found at `config_path`, beside which a model's other files lie; `image` is
    what the image and its GPU are, as JSON.
    """
    document = {
        "answer": answer.FORMAT,
        "arguments": list(arguments),
        "config": sha256(config) if config is not None else None,
        "env": {
            name: value for name, value in sorted(env.items()) if name.startswith(_PREFIXES) and name not in _OF_A_POD
        },
        "files": dict([*_named(arguments), *_beside(config_path)][:MAX_FILES]),
        "image": dict(image),
    }
    return sha256(canonical(document))[:LENGTH]


def _named(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Files and model directories that arguments name: `--config`, `--hf-config-path`, a draft model's in JSON."""
    for argument in arguments:
        for text in (argument, argument.partition("=")[2], *argument.split('"')[1::2]):
            if os.path.isfile(text):
                yield text, _digest(text)
            elif text and os.path.isdir(text):
                yield from ((f"{text}/{name}", digest) for name, digest in _beside(f"{text}/config.json"))


def _beside(config_path: str) -> Iterator[tuple[str, str]]:
    """What a model directory has beside its config.json that decides about layers: other configurations and code."""
    if not config_path.endswith("/config.json"):
        return
    folder = os.path.dirname(config_path)
    for name in listed(folder):
        if name.endswith(_OF_A_MODEL) and not name.startswith(_NOT_OF_A_PLAN):
            yield name, _digest(f"{folder}/{name}")


def _digest(path: str) -> str:
    """The digest of a file's content; its size when it is too large to be a configuration, "" when it is unreadable."""
    data = read_bytes(path, MAX_FILE + 1)
    if data is None:
        return ""
    return sha256(data) if len(data) <= MAX_FILE else f"{os.path.getsize(path)} bytes"


def encode(key: str, found: Answer) -> bytes:
    """A plan file: one JSON object in canonical form, so that the same plan gives the same bytes in every pod."""
    plan = json.loads(answer.encode(found))
    return canonical({_MARK: _VERSION, "key": key, "plan": plan, "sha256": sha256(canonical(plan))}) + b"\n"


def decode(key: str, data: bytes) -> Answer:
    """The answer in a plan file of this key. ValueError when it is cut, damaged, or another key's."""
    document = plans.document(key, data)
    if document.get(_MARK) != _VERSION:
        raise AnswerInvalid("not a plan file")
    plan = canonical(document.get("plan"))
    if document.get("sha256") != sha256(plan):
        raise AnswerInvalid("its digest does not fit its content")
    return answer.decode(plan)
