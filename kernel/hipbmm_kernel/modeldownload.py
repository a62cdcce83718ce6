"""The last resort for a config.json: one download of that file, in a child, by the serving image's own huggingface_hub.

Its own settings decide (HF_ENDPOINT, HF_TOKEN, proxies, cache directory); nothing of it is imported here.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 60.0
MAX_REASON = 200
PROGRAM = (
    "import sys; from huggingface_hub import hf_hub_download; "
    "sys.stdout.write(hf_hub_download(sys.argv[1], 'config.json', revision=sys.argv[2]))"
)


def download_config(repository: str, revision: str, env: Mapping[str, str]) -> tuple[str | None, str]:
    """The path of the downloaded file, or None and why there is none. Takes at most a minute."""
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
