"""Where the stand-in finds a model's config.json.

The path, the Hugging Face cache, a setting, or the few that come with it.
"""

import json
import os
from pathlib import Path

from aiter_simulator import settings

_BUNDLED = Path(__file__).resolve().parents[2] / "models"


class ConfigNotFoundError(OSError):
    """No config.json for a model, with the places that were tried."""


def load(model: str) -> dict[str, object]:
    """The parsed config.json of a model id or path. ConfigNotFoundError, or ValueError when it is no JSON object."""
    places = [Path(model) / "config.json", *_cached(model)]
    named = settings.text("MODEL_CONFIG")
    if named:
        places.append(Path(named))
    places.append(_BUNDLED / model.rstrip("/").rpartition("/")[2] / "config.json")
    for place in places:
        if place.is_file():
            return _parse(place)
    tried = ", ".join(map(str, places))
    raise ConfigNotFoundError(f"Can't load the configuration of '{model}': no config.json at {tried}")


def _parse(place: Path) -> dict[str, object]:
    parsed = json.loads(place.read_text(encoding="utf-8"))
    if isinstance(parsed, dict):
        return parsed
    raise ValueError(f"{place} does not hold a JSON object")


def _cached(model: str) -> list[Path]:
    """Snapshots of the model in the Hugging Face cache, the youngest first."""
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache/huggingface"))
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    snapshots = (hub / f"models--{model.replace('/', '--')}" / "snapshots").glob("*/config.json")
    return sorted(snapshots, key=lambda path: path.stat().st_mtime, reverse=True)
