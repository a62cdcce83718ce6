"""Where a model's config.json is: asked in order, from the surest place to the network.

The file is untrusted: it is bounded here and parsed elsewhere.
"""

import errno
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hipbmm_kernel.contract.settings import Settings
from hipbmm_kernel.planner.model_config import MAX_BYTES
from hipbmm_kernel.planner.server_flags import ServerFlags
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.files import read_text
from hipbmm_kernel.system.volume import Volume

FILE_NAME = "config.json"
_REPOSITORY = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?"
_REVISION = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
SECONDS = 60.0
MAX_REASON = 200
PROGRAM = (
    "import sys; sys.path = [*filter(None, sys.path)]; from huggingface_hub import hf_hub_download; "
    "sys.stdout.write(hf_hub_download(sys.argv[1], 'config.json', revision=sys.argv[2]))"
)


class Found(NamedTuple):
    """The bytes of a config.json and where they are from; `data` None when there is none, then `source` says why.

    `oversized` says that there is one, and that it is larger than any config.json.
    """

    data: bytes | None
    source: str
    oversized: bool = False


def find_config(settings: Settings, env: Mapping[str, str], volume: Volume) -> Found:
    """The model's config.json. Never raises; a file that exists and cannot be used ends the search with the reason."""
    for path in _places(settings, env):
        try:
            return Found(volumes.read_file(volume, path, MAX_BYTES, follow=True), path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return Found(None, f"{path}: {volumes.describe(error)}", error.errno == errno.EFBIG)
    if not _is_repository(settings.model):
        return Found(None, f"no config.json for {settings.model[:200]!r}" if settings.model else "no model is named")

    downloaded, reason = download_config(settings.model, _revision(settings), env)
    if downloaded is None:
        return Found(None, f"{settings.model}: {reason}")
    try:
        return Found(volumes.read_file(volume, downloaded, MAX_BYTES, follow=True), "download")
    except OSError as error:
        return Found(None, f"{settings.model}: {volumes.describe(error)}")


def _places(settings: Settings, env: Mapping[str, str]) -> Iterator[str]:
    if settings.model_config:
        yield settings.model_config
        return
    yield f"{settings.home}/model-config/{FILE_NAME}"
    other = ServerFlags.from_argv(settings.server_args).hf_config_path
    if other:
        # vLLM reads that model's configuration and this one's weights.
        settings = settings._replace(model=other)
    if settings.model.startswith(("/", "./", "~")) or os.path.isdir(settings.model):
        yield f"{os.path.expanduser(settings.model)}/{FILE_NAME}"
    if _is_repository(settings.model):
        yield from _cached(settings, env)


def _is_repository(model: str) -> bool:
    return re.fullmatch(_REPOSITORY, model) is not None and ".." not in model


def _cached(settings: Settings, env: Mapping[str, str]) -> Iterator[str]:
    """The snapshots of huggingface_hub's cache that hold the revision asked for; with ModelScope its one directory."""
    if _is_of_modelscope(env):
        root = env.get("MODELSCOPE_CACHE") or "~/.cache/modelscope/hub"
        yield f"{os.path.expanduser(root)}/models/{settings.model.replace('.', '___')}/{FILE_NAME}"
        return
    wanted = _revision(settings)
    for hub in _hubs(env):
        folder = f"{hub}/models--{settings.model.replace('/', '--')}"
        yield f"{folder}/snapshots/{wanted}/{FILE_NAME}"
        commit = read_text(f"{folder}/refs/{wanted}", 128).strip()
        if re.fullmatch(_REVISION, commit):
            yield f"{folder}/snapshots/{commit}/{FILE_NAME}"


def _is_of_modelscope(env: Mapping[str, str]) -> bool:
    return env.get("VLLM_USE_MODELSCOPE", "").strip().lower() in ("1", "true")


def _hubs(env: Mapping[str, str]) -> list[str]:
    """Where huggingface_hub keeps its cache, as its own constants.py decides; a download directory of vLLM first."""
    home = env.get("HF_HOME") or f"{env.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')}/huggingface"
    named = [env.get("HF_HUB_CACHE"), env.get("HUGGINGFACE_HUB_CACHE"), f"{home}/hub"]
    return [hub for hub in named if hub]


def _revision(settings: Settings) -> str:
    """What `--revision` says on the server's command line; main when it says nothing usable."""
    found = ServerFlags.from_argv(settings.server_args).revision
    return found if re.fullmatch(_REVISION, found) else "main"


def download_config(repository: str, revision: str, env: Mapping[str, str]) -> tuple[str | None, str]:
    """The path of the downloaded file, or None and why there is none. Takes at most a minute."""
    import subprocess  # noqa: PLC0415 - 10 ms of start-up that a config.json on a disk does not need

    if _is_of_modelscope(env):
        return None, "not in ModelScope's cache, and VLLM_USE_MODELSCOPE is set"
    if env.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return None, "not in the cache, and HF_HUB_OFFLINE is set"
    command = [sys.executable, "-c", PROGRAM, repository, revision]
    try:
        done = subprocess.run(command, env=dict(env), capture_output=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"the download of config.json failed: {type(error).__name__}"
    words = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if done.returncode != 0:
        return None, f"the download of config.json failed: {words[-1][:MAX_REASON] if words else done.returncode}"
    return done.stdout.decode("utf-8", "surrogateescape").strip(), ""
